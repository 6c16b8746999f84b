"""Who wants what, and whether that is everybody."""

import pytest

from ripstop.core.multicast.filters import EVERYTHING, Filter, Mode
from ripstop.core.multicast.messages import Kind, Record, Version
from ripstop.core.multicast.reporters import Reporters
from ripstop.core.names import MulticastIp, SourceIp

GROUP = MulticastIp(bytes([239, 1, 2, 3]))
ONE, OTHER, NOBODY = (SourceIp(bytes(address)) for address in ([10, 0, 0, 1], [10, 0, 0, 2], [0, 0, 0, 0]))


def record(kind: Kind, numbers: str = "") -> Record:
    return Record(kind, GROUP, tuple(SourceIp(bytes([10, 9, 0, int(number)])) for number in numbers))


def wanted(mode: Mode, numbers: str) -> Filter:
    return Filter(mode, record(Kind.IS_IN, numbers).sources)


@pytest.mark.parametrize(
    ("kind", "said", "after_include_12", "after_exclude_12"),
    [
        (Kind.IS_IN, "23", (Mode.INCLUDE, "123"), (Mode.EXCLUDE, "1")),
        (Kind.ALLOW, "23", (Mode.INCLUDE, "123"), (Mode.EXCLUDE, "1")),
        (Kind.TO_IN, "23", (Mode.INCLUDE, "23"), (Mode.INCLUDE, "23")),
        (Kind.IS_EX, "23", (Mode.EXCLUDE, "23"), (Mode.EXCLUDE, "23")),
        (Kind.TO_EX, "23", (Mode.EXCLUDE, "23"), (Mode.EXCLUDE, "23")),
        (Kind.BLOCK, "23", (Mode.INCLUDE, "1"), (Mode.EXCLUDE, "123")),
    ],
)
def test_what_a_host_wants_follows_from_what_it_says(
    kind: Kind, said: str, after_include_12: tuple[Mode, str], after_exclude_12: tuple[Mode, str]
) -> None:
    for first, expected in ((Kind.TO_IN, after_include_12), (Kind.TO_EX, after_exclude_12)):
        reporters = Reporters(8)
        reporters.hear(ONE, Version.V3, record(first, "12"), until=20.0, now=0.0)
        reporters.hear(ONE, Version.V3, record(kind, said), until=20.0, now=0.0)
        assert [one.wanted for one in reporters.current(0.0)] == [wanted(*expected)]


def test_the_only_one_is_known_of_version_3_and_alone() -> None:
    reporters = Reporters(8)
    assert not reporters.is_only(ONE, 0.0)
    reporters.hear(ONE, Version.V3, record(Kind.TO_EX), until=20.0, now=0.0)
    assert reporters.is_only(ONE, 0.0)
    reporters.hear(OTHER, Version.V3, record(Kind.TO_EX), until=10.0, now=0.0)
    assert not reporters.is_only(ONE, 0.0)
    assert reporters.is_only(ONE, 10.0)
    reporters.hear(NOBODY, Version.V3, record(Kind.TO_EX), until=15.0, now=10.0)
    assert not reporters.is_only(ONE, 14.9)
    assert reporters.is_only(ONE, 15.0)


def test_an_older_host_is_never_the_only_one() -> None:
    reporters = Reporters(8)
    reporters.hear(ONE, Version.V2, record(Kind.IS_EX), until=20.0, now=0.0)
    assert not reporters.is_only(ONE, 0.0)
    assert not reporters.is_only(ONE, 30.0)


def test_old_ones_make_room() -> None:
    reporters = Reporters(1)
    assert reporters.hear(ONE, Version.V3, record(Kind.TO_EX), until=20.0, now=0.0)
    assert not reporters.hear(OTHER, Version.V3, record(Kind.TO_EX), until=30.0, now=10.0)
    assert reporters.hear(OTHER, Version.V3, record(Kind.TO_EX), until=40.0, now=20.0)
    assert [one.host for one in reporters.current(20.0)] == [OTHER]


def test_when_exclude_has_run_out_nobody_excludes() -> None:
    reporters = Reporters(8)
    reporters.hear(ONE, Version.V3, record(Kind.TO_EX), until=20.0, now=0.0)
    assert reporters.current(0.0)[0].wanted == EVERYTHING
    reporters.nobody_excludes(wanted(Mode.INCLUDE, "1"))
    assert reporters.current(0.0)[0].wanted == wanted(Mode.INCLUDE, "1")
