"""Specific queries are repeated as often as it says, and suppress what was answered."""

import math

from ripstop.core.multicast.lastcall import LastCall
from ripstop.core.multicast.messages import Query, Version
from ripstop.core.multicast.timers import Timers
from ripstop.core.names import MulticastIp, SourceIp

GROUP = MulticastIp(bytes([239, 1, 2, 3]))
A, B = SourceIp(bytes([10, 9, 0, 1])), SourceIp(bytes([10, 9, 0, 2]))
TIMERS = Timers(last_member_count=3)
LAST = TIMERS.last_member_time


def query(*sources: SourceIp, suppress: bool = False) -> Query:
    return Query(Version.V3, GROUP, sources, 0.1, 2, 10.0, suppress)


def test_nothing_to_ask_about() -> None:
    call = LastCall(GROUP, TIMERS)
    assert call.begin([], 0.0) == []
    assert call.repeat({}, None, 0.0) == []
    assert call.deadline == math.inf


def test_a_call_is_repeated_and_then_over() -> None:
    call = LastCall(GROUP, TIMERS)
    assert call.begin([A, None], 0.0) == [query(A), query()]
    for _ in range(2):
        now = call.deadline
        assert call.repeat({A: LAST}, LAST, now) == [query(A), query()]
    assert math.isclose(now, 0.2)
    assert call.deadline == math.inf


def test_what_was_answered_is_suppressed_and_what_is_gone_forgotten() -> None:
    call = LastCall(GROUP, TIMERS)
    call.begin([A, B, None], 0.0)
    assert call.repeat({A: 9.0, B: LAST}, 9.0, 0.1) == [query(A, suppress=True), query(suppress=True), query(B)]
    assert call.repeat({B: LAST}, None, 0.2) == [query(B)]


def test_what_joins_a_call_late_is_asked_about_as_often() -> None:
    call = LastCall(GROUP, TIMERS)
    call.begin([A], 0.0)
    assert call.begin([B], 0.05) == [query(B)]
    sent = [call.repeat({A: LAST, B: LAST}, None, call.deadline) for _ in range(2)]
    assert sent == [[query(A, B)], [query(A, B)]]
    assert call.deadline == math.inf


def test_one_query_may_be_all() -> None:
    call = LastCall(GROUP, Timers(last_member_count=1))
    assert call.begin([None], 0.0) == [query()]
    assert call.deadline == math.inf
