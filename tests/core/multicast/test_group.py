"""One group: timers of every row, last calls, older hosts, hosts that are known one by one, limits."""

import pytest

from ripstop.core.multicast.filters import EVERYTHING, NOTHING, Filter, Mode
from ripstop.core.multicast.group import Group
from ripstop.core.multicast.limits import Limits, Refusal, Refusals
from ripstop.core.multicast.messages import Kind, Query, Record, Version
from ripstop.core.multicast.timers import Timers
from ripstop.core.names import MulticastIp, SourceIp

GROUP = MulticastIp(bytes([239, 1, 2, 3]))
TIMERS = Timers()
GMI = TIMERS.membership()
LAST = TIMERS.last_member_time
STEP = TIMERS.last_member_interval
V1, V2, V3 = Version
IS_IN, IS_EX, TO_IN, TO_EX, ALLOW, BLOCK = Kind
ONE, OTHER, NOBODY = (SourceIp(bytes(address)) for address in ([10, 0, 0, 1], [10, 0, 0, 2], [0, 0, 0, 0]))


def s(numbers: str) -> tuple[SourceIp, ...]:
    return tuple(SourceIp(bytes([10, 9, 0, int(number)])) for number in numbers)


def include(numbers: str) -> Filter:
    return Filter(Mode.INCLUDE, s(numbers))


def exclude(numbers: str) -> Filter:
    return Filter(Mode.EXCLUDE, s(numbers))


def query(numbers: str = "", *, suppress: bool = False) -> Query:
    return Query(V3, GROUP, s(numbers), STEP, TIMERS.robustness, TIMERS.query_interval, suppress)


class Behind:
    """A group whose hosts and clock are in the hands of a test."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.refusals = Refusals()
        self.group = Group(GROUP, TIMERS, limits or Limits(), self.refusals)
        self.now = 0.0

    def say(self, kind: Kind, numbers: str = "", host: SourceIp = ONE, version: Version = V3) -> list[Query]:
        return self.group.hear(host, version, Record(kind, GROUP, s(numbers)), self.now)

    def wait(self, seconds: float) -> list[Query]:
        """Let time pass, looking whenever a look is due."""
        end, queries = self.now + seconds, list[Query]()
        while self.group.deadline <= end:
            self.now = max(self.now, self.group.deadline)
            queries += self.group.tick(self.now)
        self.now = end
        return queries

    @property
    def wanted(self) -> Filter:
        return self.group.wanted


def prepared(old: str) -> Behind:
    """Bring a group into a state of which it knows nobody, ten seconds after it was last heard of."""
    behind = Behind()
    if old.startswith("INCLUDE"):
        behind.say(IS_IN, "12", host=NOBODY)
    else:  # EXCLUDE (X = 1 2, Y = 3 4)
        behind.say(IS_EX, "34", host=NOBODY)
        behind.say(ALLOW, "12", host=NOBODY)
    behind.wait(10.0)
    return behind


# For every row: what is wanted at once, after the last call if nobody answers, and in the end; what is asked.
ROWS = [
    ("INCLUDE", IS_IN, "23", include("123"), include("123"), include("23"), []),
    ("INCLUDE", IS_EX, "23", exclude("3"), exclude("3"), exclude("23"), []),
    ("INCLUDE", ALLOW, "23", include("123"), include("123"), include("23"), []),
    ("INCLUDE", BLOCK, "23", include("12"), include("1"), NOTHING, [query("2")]),
    ("INCLUDE", TO_EX, "23", exclude("3"), exclude("23"), exclude("23"), [query("2")]),
    ("INCLUDE", TO_IN, "23", include("123"), include("23"), include("23"), [query("1")]),
    ("EXCLUDE", IS_IN, "135", exclude("4"), exclude("4"), include("135"), []),
    ("EXCLUDE", IS_EX, "135", exclude("3"), exclude("3"), exclude("13"), []),
    ("EXCLUDE", ALLOW, "135", exclude("4"), exclude("4"), include("135"), []),
    ("EXCLUDE", BLOCK, "135", exclude("34"), exclude("1345"), NOTHING, [query("15")]),
    ("EXCLUDE", TO_EX, "135", exclude("3"), exclude("135"), exclude("135"), [query("15")]),
    ("EXCLUDE", TO_IN, "135", exclude("4"), include("135"), include("135"), [query("2"), query()]),
]


@pytest.mark.parametrize(
    ("old", "kind", "said", "at_once", "after_call", "in_the_end", "asked"),
    ROWS,
    ids=[f"{row[0]} {row[1].name}" for row in ROWS],
)
def test_row(
    old: str, kind: Kind, said: str, at_once: Filter, after_call: Filter, in_the_end: Filter, asked: list[Query]
) -> None:
    behind = prepared(old)
    assert behind.say(kind, said, host=NOBODY) == asked
    assert behind.wanted == at_once
    again = behind.wait(LAST)
    assert again == (asked if len(asked) < 2 else [query("2"), query()])
    assert behind.wanted == after_call
    behind.wait(GMI - 10 - LAST)  # whatever the record did not renew has run out
    assert behind.wanted == in_the_end


def test_everything_runs_out() -> None:
    for old, kind, said, *_ in ROWS:
        behind = prepared(old)
        behind.say(kind, said, host=NOBODY)
        behind.wait(2 * GMI)
        assert behind.wanted == NOTHING


def test_sources_new_to_exclude_hold_as_long_as_the_group_did() -> None:
    behind = prepared("EXCLUDE")
    behind.say(BLOCK, "5", host=NOBODY)
    behind.say(ALLOW, "2", host=NOBODY)
    behind.wait(GMI - 10)
    assert behind.wanted == include("2")


def test_who_answers_the_last_call_keeps_what_it_wants_and_the_rest_of_the_queries_suppress() -> None:
    behind = prepared("INCLUDE")
    assert behind.say(BLOCK, "12", host=NOBODY) == [query("12")]
    behind.now += STEP / 2
    behind.say(IS_IN, "1", host=OTHER)
    assert behind.wait(STEP) == [query("1", suppress=True), query("2")]
    behind.wait(LAST)
    assert behind.wanted == include("1")


def test_an_answered_group_query_suppresses_too() -> None:
    behind = prepared("EXCLUDE")
    behind.say(TO_IN, "", host=NOBODY)
    behind.say(IS_EX, "", host=OTHER)
    assert query(suppress=True) in behind.wait(LAST)
    assert behind.wanted == EVERYTHING


def test_a_leave_that_is_repeated_is_asked_about_once() -> None:
    behind = prepared("INCLUDE")
    assert behind.say(BLOCK, "1", host=NOBODY) == [query("1")]
    behind.now += STEP / 2
    assert behind.say(BLOCK, "1", host=NOBODY) == []
    behind.wait(LAST)
    assert behind.wanted == include("2")


def test_many_sources_are_asked_about_in_several_queries() -> None:
    behind = Behind(Limits(sources=200))
    many = tuple(SourceIp(bytes([10, 9, 1, n])) for n in range(150))
    behind.group.hear(NOBODY, V3, Record(IS_IN, GROUP, many), 0.0)
    queries = behind.group.hear(NOBODY, V3, Record(BLOCK, GROUP, many), 0.0)
    assert [len(one.sources) for one in queries] == [64, 64, 22]
    assert tuple(source for one in queries for source in one.sources) == many


# Older hosts.


def test_a_host_of_version_2_is_asked_after_when_it_leaves() -> None:
    behind = Behind()
    behind.say(IS_EX, version=V2)
    assert behind.wanted == EVERYTHING
    assert behind.group.version(behind.now) is V2
    assert behind.say(TO_IN, version=V2) == [query()]
    assert behind.wanted == EVERYTHING
    assert behind.wait(LAST) == [query()]
    assert behind.wanted == NOTHING


@pytest.mark.parametrize("version", [V1, V2])
def test_while_older_hosts_are_present_nothing_is_blocked(version: Version) -> None:
    behind = Behind()
    behind.say(IS_EX, version=version)
    assert behind.say(BLOCK, "1", host=OTHER) == []
    assert behind.say(TO_EX, "1", host=OTHER) == []
    behind.wait(5.0)
    assert behind.wanted == EVERYTHING


def test_while_hosts_of_version_1_are_present_nobody_leaves() -> None:
    behind = Behind()
    behind.say(IS_EX, version=V1)
    assert behind.say(TO_IN, host=OTHER, version=V2) == []
    assert behind.say(TO_IN, host=OTHER) == []
    behind.wait(TIMERS.membership(V1) - 0.1)
    assert behind.wanted == EVERYTHING
    behind.wait(0.1)
    assert behind.wanted == NOTHING


def test_newer_hosts_do_not_shorten_the_time_of_older_ones() -> None:
    behind = Behind()
    behind.say(IS_EX, version=V1)
    behind.say(IS_EX, host=OTHER)
    behind.wait(GMI + 1)
    assert behind.wanted == EVERYTHING


def test_older_hosts_count_as_gone_when_they_are_not_heard() -> None:
    behind = Behind()
    behind.say(IS_EX, version=V2)
    behind.wait(GMI / 2)
    behind.say(TO_IN, version=V2)  # no sign of presence
    behind.say(IS_EX, "", host=OTHER)
    behind.wait(GMI / 2)
    assert behind.group.version(behind.now) is V3


# Hosts that are known one by one.


@pytest.mark.parametrize(
    ("first", "then", "wanted"),
    [
        ((IS_EX, ""), (TO_IN, ""), NOTHING),
        ((TO_EX, "1"), (TO_IN, ""), NOTHING),
        ((ALLOW, "12"), (BLOCK, "12"), NOTHING),
        ((TO_IN, "12"), (BLOCK, "2"), include("1")),
        ((TO_IN, "12"), (TO_IN, "23"), include("23")),
        ((TO_IN, "12"), (TO_EX, "23"), exclude("23")),
        ((TO_EX, "1"), (TO_EX, "23"), exclude("23")),
        ((TO_EX, "1"), (BLOCK, "2"), exclude("12")),
        ((TO_EX, "1"), (TO_IN, "12"), include("12")),
    ],
)
def test_what_the_only_host_says_is_so_at_once(first: tuple[Kind, str], then: tuple[Kind, str], wanted: Filter) -> None:
    behind = Behind()
    behind.say(*first)
    behind.wait(5.0)
    assert behind.say(*then) == []
    assert behind.wanted == wanted
    assert behind.wait(1.0) == []


def test_if_another_host_is_known_the_leave_takes_a_query() -> None:
    behind = Behind()
    behind.say(IS_EX)
    behind.say(IS_EX, host=OTHER)
    assert behind.say(TO_IN) == [query()]
    behind.say(IS_EX, host=OTHER)
    behind.wait(1.0)
    assert behind.wanted == EVERYTHING
    assert behind.say(TO_IN, host=OTHER) == []
    assert behind.wanted == NOTHING


def test_a_stranger_that_leaves_takes_nobody_with_it() -> None:
    behind = Behind()
    behind.say(IS_EX)
    assert behind.say(TO_IN, host=OTHER) == [query()]
    behind.say(IS_EX)
    behind.wait(1.0)
    assert behind.wanted == EVERYTHING


def test_a_host_without_an_address_may_be_several() -> None:
    behind = Behind()
    behind.say(IS_EX)
    behind.say(IS_EX, host=NOBODY)
    assert behind.say(TO_IN) == [query()]


def test_what_was_restored_may_be_anybodys_until_all_were_heard() -> None:
    behind = Behind()
    behind.group.restore(exclude("1"), V3, 0.0)
    assert behind.wanted == exclude("1")
    behind.say(IS_EX, "1")
    assert behind.say(TO_IN) == [query()]
    behind.wait(LAST)
    assert behind.wanted == NOTHING
    behind.group.restore(include("1"), V3, behind.now)
    behind.wait(GMI)
    assert behind.wanted == NOTHING


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("kind", [TO_IN, TO_EX])
def test_what_was_heard_before_something_is_restored_is_wanted_too(kind: Kind, mode: Mode) -> None:
    behind = Behind()
    behind.say(kind, "12")
    behind.group.restore(Filter(mode, s("23")), V3, 0.0)
    heard = include("12") if kind is TO_IN else exclude("12")
    assert behind.wanted == heard | Filter(mode, s("23"))
    for _ in range(6):
        behind.wait(5.0)
        behind.say(IS_IN if kind is TO_IN else IS_EX, "12")
    assert behind.wanted == heard


@pytest.mark.parametrize("version", [V1, V2])
def test_older_hosts_of_a_former_life_are_believed_to_be_present(version: Version) -> None:
    behind = Behind()
    behind.group.restore(EVERYTHING, version, 0.0)
    assert behind.group.version(0.0) is version
    assert behind.say(TO_EX, "1") == []
    behind.wait(TIMERS.membership(version))
    assert behind.wanted == NOTHING


def test_reporters_are_listed_with_what_they_want() -> None:
    behind = Behind()
    behind.say(IS_EX, version=V2, host=OTHER)
    behind.say(ALLOW, "12")
    listed = [(one.host, one.version, one.wanted) for one in behind.group.reporters(0.0)]
    assert listed == [(ONE, V3, include("12")), (OTHER, V2, EVERYTHING)]
    behind.wait(GMI)
    assert behind.group.reporters(behind.now) == ()


# Limits.


def test_sources_for_which_there_is_no_room_are_left_out() -> None:
    behind = Behind(Limits(sources=3))
    behind.say(ALLOW, "12", host=NOBODY)
    behind.say(ALLOW, "2345", host=NOBODY)
    assert behind.wanted == include("123")
    assert behind.refusals.all() == {Refusal.SOURCES: 2}
    behind.say(TO_EX, "12345", host=NOBODY)
    assert behind.wanted == EVERYTHING
    behind.wait(LAST)
    assert behind.wanted == exclude("123"), "what could not be remembered as unwanted comes"


def test_a_list_may_be_replaced_by_another_as_long() -> None:
    behind = Behind(Limits(sources=3))
    behind.say(TO_IN, "123")
    behind.say(TO_IN, "456")
    assert behind.wanted == include("456")
    behind.say(TO_EX, "123")
    behind.say(TO_EX, "456")
    assert behind.wanted == exclude("456")
    assert behind.refusals.all() == {}


def test_hosts_beyond_the_limit_join_but_are_not_known() -> None:
    behind = Behind(Limits(reporters=1))
    behind.say(ALLOW, "1")
    behind.say(ALLOW, "2", host=OTHER)
    assert behind.wanted == include("12")
    assert behind.refusals.all() == {Refusal.REPORTERS: 1}
    assert behind.say(TO_IN) == [query("12")]
