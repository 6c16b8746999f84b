"""One port: what it wants, what it is asked, what it may not do."""

from ripstop.core.multicast.filters import EVERYTHING, NOTHING
from ripstop.core.multicast.limits import Limits, Refusal
from ripstop.core.multicast.messages import ANY_GROUP, Family, Kind, PimHello, Query, Record, Report, Version
from ripstop.core.multicast.port import MembersChanged, MulticastEffect, Port, SendQuery
from ripstop.core.multicast.timers import Timers
from ripstop.core.names import MulticastIp, PortId, SourceIp

ID = PortId(7)
HOST, HOST_V6 = SourceIp(bytes([10, 0, 0, 1])), SourceIp(bytes.fromhex("fe80") + bytes(13) + b"\1")
GROUP, GROUP_V6 = MulticastIp(bytes([239, 1, 2, 3])), MulticastIp(bytes.fromhex("ff15") + bytes(13) + b"\7")
CONTROL = MulticastIp(bytes([224, 0, 0, 251]))
TIMERS = Timers()


def port(limits: Limits | None = None) -> Port:
    return Port(ID, TIMERS, limits or Limits(), now=0.0)


def report(kind: Kind, *groups: MulticastIp) -> Report:
    return Report(Version.V3, tuple(Record(kind, group) for group in groups))


def pass_time(one: Port, until: float) -> list[MulticastEffect]:
    effects: list[MulticastEffect] = []
    while one.deadline <= until:
        effects += one.tick(one.deadline)
    return effects


def group(number: int) -> MulticastIp:
    return MulticastIp(bytes([239, 2]) + number.to_bytes(2))


def test_both_families_are_asked_at_once() -> None:
    effects = port().tick(0.0)
    assert [(one.port, one.family) for one in effects if isinstance(one, SendQuery)] == [
        (ID, Family.IPV4),
        (ID, Family.IPV6),
    ]


def test_a_join_changes_the_group_once() -> None:
    one = port()
    assert one.hear(HOST, report(Kind.TO_EX, GROUP), 0.0) == [MembersChanged(GROUP)]
    assert one.hear(HOST, report(Kind.IS_EX, GROUP), 0.5) == []
    assert dict(one.wanted) == {GROUP: EVERYTHING}
    assert one.hear(HOST, report(Kind.TO_IN, GROUP), 1.0) == [MembersChanged(GROUP)]
    assert dict(one.wanted) == {}


def test_messages_are_counted_by_family_and_kind_whether_they_have_an_effect_or_not() -> None:
    one = port(Limits(records_per_second=1.0, burst=2))
    for _ in range(3):
        one.hear(HOST, report(Kind.TO_EX, GROUP), 0.0)
    one.hear(HOST_V6, Query(Version.V3), 0.0)
    one.hear(HOST, PimHello(30.0), 0.0)
    assert one.heard == {(Family.IPV4, "report"): 3, (Family.IPV6, "query"): 1, (Family.IPV4, "hello"): 1}
    assert one.refusals.all() == {Refusal.RATE: 3}


def test_a_group_is_asked_in_its_own_family() -> None:
    one = port()
    one.hear(HOST_V6, Report(Version.V2, (Record(Kind.IS_EX, GROUP_V6),)), 0.0)
    (effect,) = one.hear(HOST_V6, Report(Version.V2, (Record(Kind.TO_IN, GROUP_V6),)), 1.0)
    assert isinstance(effect, SendQuery)
    assert (effect.family, effect.query.group) == (Family.IPV6, GROUP_V6)


def test_what_nobody_confirms_runs_out() -> None:
    one = port()
    one.hear(HOST, report(Kind.TO_EX, GROUP), 0.0)
    assert MembersChanged(GROUP) not in pass_time(one, until=TIMERS.membership() - 0.1)
    assert MembersChanged(GROUP) in pass_time(one, until=TIMERS.membership())


def test_what_nobody_has_said_may_be_asked_about() -> None:
    one = port()
    pass_time(one, 0.5)
    assert one.ask(GROUP, 0.5) == []
    one.restore(GROUP, EVERYTHING, Version.V1, 0.5)
    assert one.ask(GROUP, 0.6) == []  # they answer whenever they like
    one.restore(GROUP_V6, EVERYTHING, Version.V3, 0.5)
    (asked,) = one.ask(GROUP_V6, 0.6)
    assert isinstance(asked, SendQuery) and asked.family is Family.IPV6 and asked.query.group == GROUP_V6
    pass_time(one, 0.6 + TIMERS.last_member_time)
    assert one.wanted == {GROUP: EVERYTHING}


def test_control_groups_are_nobodys_business() -> None:
    one = port()
    assert one.hear(HOST, report(Kind.TO_EX, CONTROL), 0.0) == []
    assert dict(one.wanted) == {}


def test_who_leaves_what_it_never_joined_leaves_no_trace() -> None:
    one = port()
    for kind in (Kind.TO_IN, Kind.IS_IN, Kind.ALLOW, Kind.BLOCK):
        assert one.hear(HOST, report(kind, GROUP), 0.0) == []
    assert dict(one.wanted) == {}


def test_a_router_makes_a_router_port_of_its_family() -> None:
    one = port()
    assert one.hear(HOST, PimHello(30.0), 0.0) == [MembersChanged(ANY_GROUP[Family.IPV4])]
    assert one.hear(HOST_V6, Query(Version.V3, robustness=2, interval=10.0), 0.0) == [
        MembersChanged(ANY_GROUP[Family.IPV6])
    ]
    assert one.routers(Family.IPV4) == (HOST,)
    assert one.querier(Family.IPV6) == HOST_V6
    pass_time(one, until=30.0)
    assert dict(one.wanted) == {}


def test_groups_beyond_the_limit_are_refused_and_counted() -> None:
    one = port(Limits(groups=3))
    one.hear(HOST, report(Kind.TO_EX, *(group(n) for n in range(5))), 0.0)
    assert sorted(one.wanted) == [group(n) for n in range(3)]
    assert one.refusals.all() == {Refusal.GROUPS: 2}
    one.hear(HOST, report(Kind.TO_IN, group(0)), 1.0)
    one.hear(HOST, report(Kind.TO_EX, group(4)), 2.0)
    assert sorted(one.wanted) == [group(1), group(2), group(4)]


def test_a_storm_is_cut_off_and_counted_and_a_calm_forgets_it() -> None:
    one = port(Limits(records_per_second=10.0, burst=20))
    one.hear(HOST, report(Kind.TO_EX, *(group(n) for n in range(50))), 0.0)
    assert len(one.wanted) == 20
    assert one.hear(HOST, PimHello(30.0), 0.0) == []
    assert one.refusals.all() == {Refusal.RATE: 31}
    one.hear(HOST, report(Kind.TO_EX, GROUP), 1.0)
    assert GROUP in one.wanted


def test_a_report_of_nothing_costs_as_much_as_one_of_something() -> None:
    one = port(Limits(burst=2))
    for _ in range(3):
        one.hear(HOST, Report(Version.V3, ()), 0.0)
    assert one.refusals.all() == {Refusal.RATE: 1}


def test_a_former_life_is_believed_until_hosts_had_time_to_speak() -> None:
    one = port()
    assert one.restore(GROUP, EVERYTHING, Version.V3, 0.0) == [MembersChanged(GROUP)]
    assert one.restore(ANY_GROUP[Family.IPV4], EVERYTHING, Version.V3, 0.0) == [MembersChanged(ANY_GROUP[Family.IPV4])]
    assert one.restore(group(1), NOTHING, Version.V3, 0.0) == []
    one.hear(HOST, report(Kind.IS_EX, GROUP), 1.0)
    pass_time(one, until=TIMERS.membership())
    assert GROUP in one.wanted
    assert one.reporters(GROUP, 2.0)[0].host == HOST
    assert one.reporters(group(9), 2.0) == ()
