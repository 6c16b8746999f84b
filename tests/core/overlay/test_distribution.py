"""Rows for groups: exactly who wants a packet gets it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.mesh.routes import Place, places
from ripstop.core.mesh.topology import Topology
from ripstop.core.multicast.filters import EVERYTHING, Filter, Mode
from ripstop.core.multicast.tables import Branching, Delivery, Selector
from ripstop.core.names import NO_PEER, MulticastIp, PeerName, PortId, ShortId, SourceIp
from ripstop.core.overlay.distribution import Distribution, shares

GROUP, OTHER = MulticastIp(bytes([239, 1, 1, 1])), MulticastIp(bytes([239, 1, 1, 2]))
ONE, TWO, THREE = (SourceIp(bytes([10, 32, 0, last])) for last in (1, 2, 3))
A, B, C = (PeerName(letter * 16) for letter in "abc")
IDS = {A: ShortId(1), B: ShortId(2), C: ShortId(3)}
OWN_PLACE = Place(NO_PEER, 0b1100, ((ShortId(2), 0b100), (ShortId(3), 0b1000)))  # we are A, with B and C below
LEAF = Place(ShortId(2), 0)
P1, P2 = PortId(11), PortId(12)


def only(*sources: SourceIp) -> Filter:
    return Filter(Mode.INCLUDE, sources)


def without(*sources: SourceIp) -> Filter:
    return Filter(Mode.EXCLUDE, sources)


@dataclass
class World:
    """Who wants what."""

    here: dict[MulticastIp, dict[PortId, Filter]] = field(default_factory=dict)
    there: dict[MulticastIp, dict[PeerName, Filter]] = field(default_factory=dict)
    routers: tuple[PortId, ...] = ()
    router_hosts: tuple[PeerName, ...] = ()

    def groups(self) -> Iterable[MulticastIp]:
        return sorted({*self.here, *self.there})

    def ports(self, group: MulticastIp) -> Mapping[PortId, Filter]:
        return self.here.get(group, {})

    def peers(self, group: MulticastIp) -> Mapping[PeerName, Filter]:
        return self.there.get(group, {})

    def router_ports(self) -> Iterable[PortId]:
        return self.routers

    def router_peers(self) -> Iterable[PeerName]:
        return self.router_hosts


def started(*, marks_unknown: bool = False) -> Distribution:
    distribution = Distribution(marks_unknown=marks_unknown)
    distribution.use_mesh(IDS, {ShortId(1): OWN_PLACE, ShortId(2): LEAF})
    return distribution


def test_members_here_and_there() -> None:
    distribution = started()
    distribution.touch(GROUP)
    world = World({GROUP: {P2: EVERYTHING, P1: EVERYTHING}}, {GROUP: {C: EVERYTHING}})
    assert distribution.follow(world) == [
        Delivery(Selector(GROUP), (P1, P2)),
        Branching(ShortId(1), Selector(GROUP), (ShortId(3),)),
    ]
    assert distribution.follow(world) == []


def test_what_is_the_same_is_not_told_again_and_what_went_is_taken_back() -> None:
    distribution = started()
    world = World({GROUP: {P1: EVERYTHING}, OTHER: {P1: EVERYTHING}}, {GROUP: {B: EVERYTHING}})
    distribution.follow(world)
    world.here[GROUP] = {}
    distribution.touch_routers()
    assert distribution.follow(world) == [Delivery(Selector(GROUP), None)]
    world.there.clear()
    distribution.touch(GROUP)
    assert distribution.follow(world) == [Branching(ShortId(1), Selector(GROUP), None)]


def test_who_names_sources_gets_rows_of_their_own() -> None:
    distribution = started()
    distribution.touch(GROUP)
    world = World({GROUP: {P1: only(ONE), P2: without(TWO)}}, {GROUP: {B: only(TWO)}})
    assert distribution.follow(world) == [
        Delivery(Selector(GROUP), (P2,), by_source=True),
        Delivery(Selector(GROUP, ONE), (P1, P2)),
        Delivery(Selector(GROUP, TWO), ()),
        Branching(ShortId(1), Selector(GROUP), (), by_source=True),
        Branching(ShortId(1), Selector(GROUP, TWO), (ShortId(2),)),
    ]


def test_routers_get_everything() -> None:
    distribution = started()
    world = World({GROUP: {P1: only(ONE)}}, {GROUP: {B: EVERYTHING}}, routers=(P2,), router_hosts=(C,))
    assert distribution.follow(world) == [
        Delivery(Selector(b""), (P2,)),
        Branching(ShortId(1), Selector(b""), (ShortId(3),)),
        Delivery(Selector(GROUP), (P2,), by_source=True),
        Delivery(Selector(GROUP, ONE), (P1, P2)),
        Branching(ShortId(1), Selector(GROUP), (ShortId(2), ShortId(3))),
    ]


def test_a_group_wanted_only_elsewhere_is_marked_as_known_where_asked() -> None:
    world = World({}, {GROUP: {B: EVERYTHING}})
    for marks in (False, True):
        distribution = started(marks_unknown=marks)
        distribution.touch(GROUP)
        assert (Delivery(Selector(GROUP), ()) in distribution.follow(world)) == marks


def test_peers_without_an_id_get_nothing_until_they_have_one() -> None:
    distribution = Distribution()
    distribution.use_mesh({A: ShortId(1)}, {ShortId(1): OWN_PLACE})
    distribution.touch(GROUP)
    world = World({}, {GROUP: {B: EVERYTHING}})
    assert distribution.follow(world) == []
    distribution.use_mesh(IDS, {ShortId(1): OWN_PLACE})
    assert distribution.follow(world) == [Branching(ShortId(1), Selector(GROUP), (ShortId(2),))]


sources = st.sampled_from((ONE, TWO, THREE))
filters = st.builds(Filter, st.sampled_from(Mode), st.lists(sources, max_size=3).map(tuple))


@given(st.dictionaries(st.integers(1, 6).map(PortId), filters, max_size=6), sources)
def test_each_source_reaches_exactly_whom_its_packets_pass(wants: dict[PortId, Filter], source: SourceIp) -> None:
    found = {share.selector: share for share in shares(GROUP, wants, ())}
    general = found[Selector(GROUP)]
    chosen = found.get(Selector(GROUP, source), general) if general.by_source else general
    assert set(chosen.takers) == {taker for taker, wanted in wants.items() if wanted.passes(source)}


PEERS = {PeerName(f"{number:016x}"): ShortId(number) for number in range(1, 8)}
edges = st.sets(st.tuples(st.integers(1, 7), st.integers(1, 7)).filter(lambda edge: edge[0] < edge[1]), min_size=3)


@given(edges, st.sets(st.integers(1, 7)), st.integers(1, 7))
def test_along_the_rows_each_member_is_reached_once_and_nobody_in_vain(
    links: set[tuple[int, int]], wanting: set[int], source: int
) -> None:
    """Every peer computes its own rows; a packet that follows them gets to each reachable member exactly once."""
    masks = dict.fromkeys(range(1, 8), 0)
    for one, other in links:
        masks[one] |= 1 << other
        masks[other] |= 1 << one
    topology = Topology().changed({ShortId(number): mask for number, mask in masks.items()})
    world = World({}, {GROUP: {peer: EVERYTHING for peer, number in PEERS.items() if number in wanting}})
    onwards: dict[int, tuple[ShortId, ...]] = {}
    for own in PEERS.values():
        distribution = Distribution()
        distribution.use_mesh(PEERS, places(topology, own))
        distribution.touch(GROUP)
        for row in distribution.follow(world):
            if isinstance(row, Branching) and row.peer == source:
                onwards[own] = row.children or ()
    visited: list[int] = []
    queue = [source]
    while queue:
        at = queue.pop()
        visited.append(at)
        queue += onwards.get(at, ())
    assert len(visited) == len(set(visited))
    reachable = {int(number) for number in PEERS.values() if topology.reachable(ShortId(source)) >> number & 1}
    assert set(visited) - {source} >= (wanting & reachable) - {source}
    for leaf in set(visited) - {source} - wanting:
        assert onwards.get(leaf), f"{leaf} got it in vain"
