"""The ports of one host together, and what was joined for those that cannot speak."""

import pytest

from ripstop.core.errors import NotFoundError, RequestError
from ripstop.core.multicast.filters import EVERYTHING, NOTHING, Filter, Mode
from ripstop.core.multicast.limits import Limits, Refusal
from ripstop.core.multicast.messages import ANY_GROUP, Family, Kind, PimHello, Query, Record, Report, Version
from ripstop.core.multicast.snooper import MembersChanged, SendQuery, Snooper
from ripstop.core.multicast.timers import Timers
from ripstop.core.names import MulticastIp, PortId, SourceIp

P1, P2, P3 = PortId(1), PortId(2), PortId(3)
HOST, OTHER = SourceIp(bytes([10, 0, 0, 1])), SourceIp(bytes([10, 0, 0, 2]))
GROUP, SECOND = MulticastIp(bytes([239, 1, 2, 3])), MulticastIp(bytes([232, 1, 1, 1]))
GROUP_V6 = MulticastIp(bytes.fromhex("ff15") + bytes(13) + b"\7")
ANY = ANY_GROUP[Family.IPV4]
S1, S2 = SourceIp(bytes([10, 9, 0, 1])), SourceIp(bytes([10, 9, 0, 2]))
TIMERS = Timers()


def snooper(*ports: PortId) -> Snooper:
    one = Snooper(TIMERS, Limits(sources=8))
    for port in ports or (P1, P2):
        one.add_port(port, 0.0)
    return one


def says(kind: Kind, group: MulticastIp, *sources: SourceIp) -> Report:
    return Report(Version.V3, (Record(kind, group, sources),))


def test_a_new_port_is_asked_at_once_and_only_when_it_is_new() -> None:
    one = Snooper(TIMERS, Limits())
    effects = one.add_port(P1, 0.0)
    assert [type(effect) for effect in effects] == [SendQuery, SendQuery]
    assert one.deadline == TIMERS.startup_interval
    assert one.add_port(P1, 0.1) == []


def test_ports_are_told_apart_and_the_host_wants_their_union() -> None:
    one = snooper()
    assert one.hear(P1, HOST, says(Kind.ALLOW, GROUP, S1), 0.0) == [MembersChanged(GROUP)]
    assert one.hear(P2, OTHER, says(Kind.ALLOW, GROUP, S2), 0.0) == [MembersChanged(GROUP)]
    assert one.ports(GROUP) == {P1: Filter(Mode.INCLUDE, (S1,)), P2: Filter(Mode.INCLUDE, (S2,))}
    assert one.interest(GROUP) == Filter(Mode.INCLUDE, (S1, S2))
    assert one.groups() == (GROUP,)
    assert [reporter.host for reporter in one.reporters(P1, GROUP, 0.0)] == [HOST]


def test_memberships_and_messages_are_counted() -> None:
    one = snooper()
    assert one.memberships() == {"report": 0, "static": 0, "router": 0}
    for port in (P1, P2):
        one.hear(port, HOST, says(Kind.TO_EX, GROUP), 0.0)
    one.hear(P1, HOST, says(Kind.TO_EX, SECOND), 0.0)
    one.hear(P1, HOST, PimHello(30.0), 0.0)
    one.join(P2, SECOND, EVERYTHING)
    assert one.memberships() == {"report": 3, "static": 1, "router": 1}
    assert one.heard() == {
        P1: {(Family.IPV4, "report"): 2, (Family.IPV4, "hello"): 1},
        P2: {(Family.IPV4, "report"): 1},
    }
    one.remove_port(P1)
    assert one.memberships() == {"report": 1, "static": 1, "router": 0}
    assert one.heard().keys() == {P2}


def test_groups_are_sorted_and_routers_are_none() -> None:
    one = snooper()
    for group in (GROUP_V6, GROUP, SECOND):
        one.hear(P1, HOST, says(Kind.TO_EX, group), 0.0)
    one.hear(P1, HOST, PimHello(30.0), 0.0)
    assert one.groups() == (SECOND, GROUP, GROUP_V6)


def test_several_records_of_one_group_are_one_change() -> None:
    one = snooper()
    report = Report(Version.V3, (Record(Kind.ALLOW, GROUP, (S1,)), Record(Kind.ALLOW, GROUP, (S2,))))
    assert one.hear(P1, HOST, report, 0.0) == [MembersChanged(GROUP)]


def test_a_port_that_goes_takes_everything_with_it_at_once() -> None:
    one = snooper()
    one.hear(P1, HOST, says(Kind.TO_EX, GROUP), 0.0)
    one.hear(P2, HOST, says(Kind.TO_EX, GROUP), 0.0)
    one.hear(P1, HOST, PimHello(30.0), 0.0)
    one.join(P1, SECOND, EVERYTHING)
    one.refuse(P1, Refusal.MALFORMED)
    assert one.remove_port(P1) == [MembersChanged(GROUP), MembersChanged(ANY), MembersChanged(SECOND)]
    assert one.ports(GROUP) == {P2: EVERYTHING}
    assert one.static_ports(SECOND) == {}
    assert one.router_ports(Family.IPV4) == ()
    assert one.groups() == (GROUP,)
    assert one.remove_port(P1) == []
    assert one.hear(P1, HOST, says(Kind.TO_EX, GROUP), 0.0) == []
    assert one.restore(P1, GROUP, EVERYTHING, 0.0) == []
    assert one.reporters(P1, GROUP, 0.0) == ()
    assert one.version(P1, GROUP, 0.0) is Version.V3
    assert one.refusals() == {P2: {}}
    assert one.refused() == {Refusal.MALFORMED: 1}


def test_a_former_port_of_the_same_number_leaves_no_timers_behind() -> None:
    one = snooper(P1)
    one.hear(P1, HOST, says(Kind.TO_EX, GROUP), 0.0)
    one.remove_port(P1)
    one.tick(100.0)
    assert one.deadline > 1e9
    one.add_port(P1, 200.0)
    assert one.ports(GROUP) == {}
    assert one.deadline == 200.25


def test_static_members_are_kept_apart_and_count_in_the_union() -> None:
    one = snooper()
    one.hear(P1, HOST, says(Kind.ALLOW, GROUP, S1), 0.0)
    assert one.join(P2, GROUP, EVERYTHING) == [MembersChanged(GROUP)]
    assert one.join(P2, GROUP, EVERYTHING) == []
    assert one.ports(GROUP) == {P1: Filter(Mode.INCLUDE, (S1,))}
    assert one.static_ports(GROUP) == {P2: EVERYTHING}
    assert one.interest(GROUP) == EVERYTHING
    assert one.leave(P2, GROUP, 0.0) == [MembersChanged(GROUP)]
    assert one.interest(GROUP) == Filter(Mode.INCLUDE, (S1,))


def test_a_static_member_that_leaves_after_a_restart_is_not_taken_for_one_that_reported() -> None:
    one = snooper()
    one.restore(P2, GROUP, EVERYTHING, 0.0)  # the kernel does not tell them apart
    one.join(P2, GROUP, EVERYTHING)
    changed, *asked = one.leave(P2, GROUP, 1.0)
    assert changed == MembersChanged(GROUP)
    assert [(effect.port, effect.query.group) for effect in asked if isinstance(effect, SendQuery)] == [(P2, GROUP)]
    one.tick(1.0 + TIMERS.last_member_time)
    assert one.interest(GROUP) == NOTHING


def test_hosts_that_reported_are_not_asked_when_a_static_membership_ends() -> None:
    one = snooper()
    one.restore(P2, GROUP, EVERYTHING, 0.0)
    one.join(P2, GROUP, EVERYTHING)
    one.hear(P2, HOST, says(Kind.IS_EX, GROUP), 0.5)
    assert one.leave(P2, GROUP, 1.0) == [MembersChanged(GROUP)]
    assert one.interest(GROUP) == EVERYTHING


def test_what_cannot_be_joined_is_refused() -> None:
    one = snooper()
    with pytest.raises(NotFoundError, match="port 3"):
        one.join(P3, GROUP, EVERYTHING)
    for group in (b"\xe0\0\0\1", b"\n\0\0\1", ANY):
        with pytest.raises(RequestError, match="cannot be joined"):
            one.join(P1, MulticastIp(group), EVERYTHING)
    with pytest.raises(NotFoundError, match="has not joined"):
        one.leave(P1, GROUP, 0.0)


def test_a_static_member_outlives_every_silence() -> None:
    one = snooper()
    one.join(P1, GROUP, EVERYTHING)
    while one.deadline < 100.0:
        one.tick(one.deadline)
    assert one.interest(GROUP) == EVERYTHING


def test_routers_are_reported_as_any_group() -> None:
    one = snooper()
    theirs = Query(Version.V3, robustness=2, interval=10.0)
    assert one.hear(P2, HOST, theirs, 0.0) == [MembersChanged(ANY)]
    assert one.router_ports(Family.IPV4) == (P2,)
    assert one.router_ports(Family.IPV6) == ()
    assert one.interest(ANY) == EVERYTHING
    assert one.routers(P2, Family.IPV4) == (HOST,)
    assert one.querier(P2, Family.IPV4) == HOST
    assert (one.routers(P3, Family.IPV4), one.querier(P3, Family.IPV4)) == ((), None)


def test_after_a_restart_what_the_kernel_had_goes_on_until_hosts_had_time_to_speak() -> None:
    one = snooper()
    assert one.restore(P1, GROUP, Filter(Mode.INCLUDE, (S1,)), 0.0) == [MembersChanged(GROUP)]
    assert one.restore(P1, ANY, EVERYTHING, 0.0) == [MembersChanged(ANY)]
    assert one.restore(P1, MulticastIp(b"\xe0\0\0\1"), EVERYTHING, 0.0) == []
    changes = []
    while one.deadline < 300.0:
        now = one.deadline
        changes += [(now, effect) for effect in one.tick(now) if isinstance(effect, MembersChanged)]
    assert [effect.group for _, effect in changes] == [GROUP, ANY]
    assert changes[0][0] >= TIMERS.membership()
    assert one.interest(GROUP) == NOTHING


def test_refusals_are_counted_by_port() -> None:
    one = snooper()
    one.refuse(P1, Refusal.MALFORMED)
    one.refuse(P3, Refusal.MALFORMED)
    one.hear(P2, HOST, says(Kind.ALLOW, GROUP, *(SourceIp(bytes([10, 9, 1, n])) for n in range(9))), 0.0)
    assert one.refusals() == {P1: {Refusal.MALFORMED: 1}, P2: {Refusal.SOURCES: 1}}
    assert one.refused() == {Refusal.MALFORMED: 1, Refusal.SOURCES: 1}
