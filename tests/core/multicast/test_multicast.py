"""Ports, peers and the kernel's rows tied together; whole meshes of it are in tests/sim."""

from ripstop.core.effects import Announce, Answer, Distribute, Effect, Internal
from ripstop.core.errors import NotFoundError, RequestError
from ripstop.core.mesh.messages import Entry
from ripstop.core.mesh.routes import Place
from ripstop.core.multicast.filters import EVERYTHING, Filter, Mode
from ripstop.core.multicast.interest import Interest
from ripstop.core.multicast.limits import Refusal
from ripstop.core.multicast.messages import ANY_GROUP, Family, Kind, Query, Record, Report, Version
from ripstop.core.multicast.multicast import SLICE, Multicast, MulticastSettings, former_wants
from ripstop.core.multicast.port import SendQuery
from ripstop.core.multicast.tables import Branching, Delivery, Row, Selector
from ripstop.core.names import NO_PEER, MulticastIp, PeerName, PortId, RequestId, ShortId, SourceIp

A, B = (PeerName(letter * 16) for letter in "ab")
IDS = {A: ShortId(1), B: ShortId(2)}
PLACES = {ShortId(1): Place(NO_PEER, 0b100, ((ShortId(2), 0b100),)), ShortId(2): Place(ShortId(2), 0)}
PORT, OTHER = PortId(11), PortId(12)
GROUP = MulticastIp(bytes([239, 1, 1, 1]))
SOURCE, HOST, ROUTER = (SourceIp(bytes([10, 32, 0, last])) for last in (1, 2, 3))
JOIN = Report(Version.V3, (Record(Kind.TO_EX, GROUP),))
LEAVE = Report(Version.V3, (Record(Kind.TO_IN, GROUP),))


def started() -> Multicast:
    """Return one with a port and a peer."""
    multicast = Multicast(A, MulticastSettings())
    multicast.use_ports((PORT, OTHER), 0.0)
    multicast.restore((), 0.0)
    assert multicast.use_mesh(IDS, PLACES, 0.0) == [Distribute((), complete=True)]
    return multicast


def rows(effects: list[Effect | Internal]) -> list[Row]:
    return [row for effect in effects if isinstance(effect, Distribute) for row in effect.rows]


def said(effects: list[Effect | Internal]) -> list[Entry]:
    return [entry for effect in effects if isinstance(effect, Announce) for entry in effect.entries]


def test_ports_are_asked_at_once() -> None:
    effects = Multicast(A, MulticastSettings()).use_ports((PORT,), 0.0)
    asked = [effect.family for effect in effects if isinstance(effect, SendQuery)]
    assert asked == [Family.IPV4, Family.IPV6]


def test_a_join_is_delivered_and_announced_and_a_leave_undoes_it() -> None:
    multicast = started()
    effects = multicast.hear(PORT, HOST, JOIN, 1.0)
    assert rows(effects) == [Delivery(Selector(GROUP), (PORT,))]
    assert Interest(B).learn(said(effects)) == ([GROUP], [])
    effects = multicast.hear(PORT, HOST, LEAVE, 2.0)
    assert rows(effects) == [Delivery(Selector(GROUP), None)]


def test_groups_that_anybody_wants_are_counted_once() -> None:
    multicast = started()
    assert multicast.everyone.count() == 0
    multicast.hear(PORT, HOST, JOIN, 1.0)
    multicast.learn(said([*Interest(B).set(GROUP, EVERYTHING)]), 1.0)
    multicast.learn(said([*Interest(PeerName("c" * 16)).set(ANY_GROUP[Family.IPV4], EVERYTHING)]), 1.0)
    assert multicast.everyone.count() == len(list(multicast.everyone.groups())) == 1


def test_what_a_peer_wants_is_branched_to_it() -> None:
    multicast = started()
    news = said([*Interest(B).set(GROUP, EVERYTHING)])
    assert rows(multicast.learn(news, 1.0)) == [Branching(ShortId(1), Selector(GROUP), (ShortId(2),))]


def test_the_kernel_is_left_alone_until_the_mesh_is_known() -> None:
    multicast = Multicast(A, MulticastSettings())
    multicast.use_ports((PORT,), 0.0)
    assert rows(multicast.hear(PORT, HOST, JOIN, 1.0)) == []
    assert multicast.use_mesh(IDS, PLACES, 0.0) == [Distribute((Delivery(Selector(GROUP), (PORT,)),), complete=True)]
    assert multicast.use_mesh(IDS, PLACES, 0.0) == []


def test_a_router_makes_its_port_get_everything() -> None:
    multicast = started()
    multicast.hear(PORT, HOST, JOIN, 1.0)
    query = Query(Version.V3, max_response=1.0, robustness=2, interval=10.0)
    effects = multicast.hear(OTHER, ROUTER, query, 2.0)
    assert rows(effects) == [Delivery(Selector(b""), (OTHER,)), Delivery(Selector(GROUP), (PORT, OTHER))]
    other = Interest(B)
    assert other.learn(said(effects)) == ([ANY_GROUP[Family.IPV4]], [])


def test_a_port_that_goes_takes_its_groups_with_it() -> None:
    multicast = started()
    multicast.hear(PORT, HOST, JOIN, 1.0)
    assert rows(multicast.use_ports((OTHER,), 2.0)) == [Delivery(Selector(GROUP), None)]


def test_static_members() -> None:
    multicast = started()
    wanted = Filter(Mode.INCLUDE, (SOURCE,))
    effects = multicast.join(RequestId(1), PORT, GROUP, wanted, 1.0)
    assert effects[-1] == Answer(RequestId(1), 0)
    multicast.hear(OTHER, HOST, JOIN, 1.0)
    assert multicast.everyone.ports(GROUP) == {PORT: wanted, OTHER: EVERYTHING}
    assert multicast.leave(RequestId(2), PORT, GROUP, 2.0)[-1] == Answer(RequestId(2), 0)
    assert multicast.everyone.ports(GROUP) == {OTHER: EVERYTHING}


def test_what_cannot_be_joined_or_left_is_refused() -> None:
    multicast = started()
    control = MulticastIp(bytes([224, 0, 0, 5]))
    (refused,) = multicast.join(RequestId(1), PORT, control, EVERYTHING, 1.0)
    assert isinstance(refused, Answer)
    assert isinstance(refused.result, RequestError)
    (refused,) = multicast.join(RequestId(1), PortId(99), GROUP, EVERYTHING, 1.0)
    assert isinstance(refused, Answer)
    assert isinstance(refused.result, NotFoundError)
    (refused,) = multicast.leave(RequestId(2), PORT, GROUP, 2.0)
    assert isinstance(refused, Answer)
    assert isinstance(refused.result, NotFoundError)


def test_bytes_that_mean_nothing_are_counted() -> None:
    multicast = started()
    assert multicast.hear(PORT, HOST, None, 1.0) == []
    assert multicast.snooper.refusals()[PORT] == {Refusal.MALFORMED: 1}


def test_without_snooping_nothing_is_asked_or_told() -> None:
    multicast = Multicast(A, MulticastSettings(snoops=False))
    assert multicast.use_ports((PORT,), 0.0) == []
    assert multicast.use_mesh(IDS, PLACES, 0.0) == []


def test_a_host_that_does_not_snoop_wants_everything() -> None:
    multicast = Multicast(A, MulticastSettings(snoops=False))
    other = Interest(B)
    other.learn(said(multicast.restore((), 0.0)))
    assert sorted(other.groups()) == sorted(ANY_GROUP.values())


def test_very_many_groups_are_told_in_slices() -> None:
    multicast = started()
    groups = [MulticastIp(bytes([239, 2]) + number.to_bytes(2, "big")) for number in range(3 * SLICE)]
    peer = Interest(B)
    news = [entry for group in groups for entry in said([*peer.set(group, EVERYTHING)])]
    told = rows(multicast.learn(news, 1.0))
    assert len(told) == SLICE
    while multicast.deadline == 1.0:
        told += rows(multicast.tick(1.0))
    assert {row.selector.group for row in told} == set(groups)
    assert len(told) == len(groups)


def test_former_wants_are_read_from_rows() -> None:
    deliveries = (
        Delivery(Selector(b""), (PortId(9),)),
        Delivery(Selector(GROUP), (PortId(9), PORT), by_source=True),
        Delivery(Selector(GROUP, SOURCE), (PortId(9), OTHER)),
        Delivery(Selector(GROUP, HOST), (PortId(9), PORT, OTHER)),
    )
    assert list(former_wants(deliveries)) == [
        (PortId(9), ANY_GROUP[Family.IPV4], EVERYTHING),
        (PortId(9), ANY_GROUP[Family.IPV6], EVERYTHING),
        (PORT, GROUP, Filter(Mode.EXCLUDE, (SOURCE,))),
        (OTHER, GROUP, Filter(Mode.INCLUDE, (SOURCE, HOST))),
    ]


def test_a_restart_takes_nothing_back_before_it_knows_what_is_wanted() -> None:
    former = said([*Interest(A).set(GROUP, EVERYTHING)])
    multicast = Multicast(A, MulticastSettings())
    multicast.use_ports((PORT,), 0.0)
    assert multicast.learn(former, 0.0) == []
    effects = multicast.restore((Delivery(Selector(GROUP), (PORT,)),), 0.0)
    assert not [entry for entry in said(effects) if entry.value != former[0].value]


def test_a_restart_believes_the_kernel_for_a_while() -> None:
    multicast = Multicast(A, MulticastSettings())
    multicast.use_ports((PORT,), 0.0)
    delivery = Delivery(Selector(GROUP), (PORT,))
    multicast.restore((delivery,), 0.0)
    assert multicast.use_mesh(IDS, PLACES, 0.0) == [Distribute((delivery,), complete=True)]
    now = 0.0
    gone: list[Row] = []
    while now < 60.0 and not gone:
        now = multicast.deadline
        gone = rows(multicast.tick(now))
    assert gone == [Delivery(Selector(GROUP), None)]
    assert now > 10.0
