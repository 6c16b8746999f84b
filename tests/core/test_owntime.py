"""Own time: goes on as the clock does, never back, and stands still while nobody looks."""

import math

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.owntime import STALL, OwnTime

PAUSES = st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(0.001, 60.0)), max_size=30)


def test_without_a_stall_it_is_the_clocks() -> None:
    time = OwnTime()
    assert time.look(100.0, 100.0) == 100.0
    assert time.look(107.0, 110.0) == 107.0
    assert time.look(110.0 + STALL, 110.0) == 110.0 + STALL
    assert time.look(500.0, math.inf) == 500.0


def test_a_stall_ends_at_the_moment_at_which_something_was_due() -> None:
    time = OwnTime()
    assert time.look(100.0, 100.0) == 100.0
    assert time.look(130.0, 101.0) == 101.0
    assert time.clock(102.0) == 131.0
    assert time.look(131.0, 102.0) == 102.0
    assert time.read(132.0) == 103.0


def test_a_deadline_that_was_over_at_the_last_look_is_not_late_since_then() -> None:
    time = OwnTime()
    assert time.look(100.0, 100.0) == 100.0
    assert time.look(100.1, 90.0) == 100.1
    assert time.look(103.1, 90.0) == 100.1


@given(PAUSES)
def test_it_never_goes_back_nor_faster_than_the_clock(pauses: list[tuple[float, float]]) -> None:
    time, clock, last = OwnTime(), 1000.0, -math.inf
    for passed, until in pauses:
        before = last
        clock += passed
        last = time.look(clock, before + until if before > -math.inf else clock)
        if before > -math.inf:
            assert before <= last <= before + passed + 1e-6
            assert last <= before + until + STALL + 1e-6  # whoever looks is never told more than was due


@given(st.floats(0.3, 1e5), st.floats(0.0, 1e6))
def test_who_waits_for_an_own_time_does_not_look_too_soon(stall: float, own: float) -> None:
    time = OwnTime()
    time.look(100.0, 100.0)
    time.look(100.1 + stall, 100.1)
    assert time.read(time.clock(own)) >= own
