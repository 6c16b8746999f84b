"""General queries, and the routers that are heard."""

import math
from itertools import pairwise

from ripstop.core.multicast.messages import PimHello, Query, Version
from ripstop.core.multicast.querier import MAX_ROUTERS, Querier
from ripstop.core.multicast.timers import Timers
from ripstop.core.names import SourceIp

TIMERS = Timers()
LOW, HIGH, NOBODY = (SourceIp(bytes([10, 0, 0, n]) if n else bytes(4)) for n in (1, 2, 0))
THEIRS = Query(Version.V3, max_response=4.0, robustness=3, interval=20.0)


def has_router(querier: Querier) -> bool:
    """Say it anew each time: mypy takes an attribute for unchanged."""
    return querier.has_router


def asked_at(querier: Querier, until: float) -> list[float]:
    times: list[float] = []
    while querier.deadline <= until:
        now = querier.deadline
        times += [now] * len(querier.tick(now))
    return times


def test_a_quick_start_and_then_the_interval_on_a_common_grid() -> None:
    assert asked_at(Querier(TIMERS, now=3.0), until=35.0) == [3.0, 3.25, 10.0, 20.0, 30.0]


def test_intervals_are_never_longer_wherever_the_clock_stands() -> None:
    for start in (0.0, 9.75, 9.9, 10.0, 123456.789):
        times = asked_at(Querier(TIMERS, now=start), until=start + 40)
        assert all(0 < later - earlier <= 10.0 for earlier, later in pairwise(times))


def test_a_query_says_by_which_numbers_we_go() -> None:
    (query,) = Querier(TIMERS, now=0.0).tick(0.0)
    assert query == Query(Version.V3, max_response=1.0, robustness=2, interval=10.0)


def test_a_querier_makes_a_router_port_for_as_long_as_it_says() -> None:
    querier = Querier(TIMERS, now=0.0)
    assert not has_router(querier)
    querier.hear_query(HIGH, THEIRS, now=1.0)
    assert has_router(querier)
    asked_at(querier, until=62.9)
    assert has_router(querier)
    asked_at(querier, until=63.0)
    assert not has_router(querier)


def test_one_that_says_nothing_is_believed_by_the_numbers_of_the_rfc() -> None:
    querier = Querier(TIMERS, now=0.0)
    querier.hear_query(HIGH, Query(Version.V2, max_response=10.0), now=0.0)
    asked_at(querier, until=254.9)
    assert has_router(querier)
    asked_at(querier, until=255.0)
    assert not has_router(querier)


def test_we_ask_although_another_querier_is_there() -> None:
    querier = Querier(TIMERS, now=0.0)
    querier.hear_query(LOW, THEIRS, now=0.0)
    assert len(asked_at(querier, until=30.0)) == 5


def test_the_lowest_address_is_elected_and_none_never() -> None:
    querier = Querier(TIMERS, now=0.0)
    querier.hear_query(NOBODY, THEIRS, now=0.0)
    assert (has_router(querier), querier.elected) == (False, None)
    querier.hear_query(HIGH, THEIRS, now=0.0)
    querier.hear_query(LOW, THEIRS, now=0.0)
    assert querier.elected == LOW
    assert querier.routers == (LOW, HIGH)


def test_routers_that_speak_pim_say_how_long_they_stay() -> None:
    querier = Querier(TIMERS, now=0.0)
    querier.hear_hello(LOW, PimHello(105.0), now=0.0)
    assert has_router(querier)
    assert querier.elected is None
    asked_at(querier, until=105.0)
    assert not has_router(querier)
    querier.hear_hello(LOW, PimHello(math.inf), now=110.0)
    asked_at(querier, until=1000.0)
    assert has_router(querier)
    querier.hear_hello(LOW, PimHello(0.0), now=1000.0)
    assert not has_router(querier)


def test_a_router_port_of_a_former_life_is_believed_for_a_while() -> None:
    querier = Querier(TIMERS, now=0.0)
    querier.restore(now=0.0)
    assert has_router(querier)
    asked_at(querier, until=260.0)
    assert not has_router(querier)


def test_a_crowd_of_routers_is_a_few_routers() -> None:
    querier = Querier(TIMERS, now=0.0)
    for n in range(100):
        querier.hear_query(SourceIp(bytes([10, 0, 1, n])), THEIRS, now=0.0)
    assert len(querier.routers) == MAX_ROUTERS
