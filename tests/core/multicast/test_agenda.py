"""A look is never late, and what has no plan is not looked at."""

import math

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.multicast.agenda import Agenda

keys = st.integers(0, 4)
steps = st.lists(st.tuples(keys, st.floats(0, 100) | st.just(math.inf) | st.none()), max_size=30)


@given(steps, st.floats(0, 100))
def test_keys_come_in_the_order_of_their_first_plan(planned: list[tuple[int, float | None]], now: float) -> None:
    agenda: Agenda[int] = Agenda()
    first: dict[int, float] = {}
    for key, when in planned:
        if when is None:
            agenda.drop(key)
            first.pop(key, None)
        else:
            agenda.plan(key, when)
            first[key] = min(when, first.get(key, math.inf))
    first = {key: when for key, when in first.items() if when < math.inf}
    assert agenda.deadline == min(first.values(), default=math.inf)
    due = agenda.due(now)
    assert sorted(due) == sorted(key for key, when in first.items() if when <= now)
    assert [first[key] for key in due] == sorted(first[key] for key in due)
    assert agenda.deadline == min((when for when in first.values() if when > now), default=math.inf)


def test_who_was_looked_at_must_plan_again() -> None:
    agenda: Agenda[str] = Agenda()
    agenda.plan("a", 1.0)
    agenda.plan("a", 5.0)
    assert agenda.due(1.0) == ["a"]
    assert agenda.deadline == math.inf
    agenda.plan("a", 5.0)
    assert agenda.deadline == 5.0
