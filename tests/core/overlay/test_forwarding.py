"""From a topology to tables; that all tables together forward well is shown in tests/sim."""

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.mesh.bitmap import mask_of, members
from ripstop.core.mesh.routes import places, routes
from ripstop.core.mesh.topology import Topology
from ripstop.core.names import NO_PEER, PeerName, ShortId, UnderlayIp
from ripstop.core.overlay.forwarding import ForwardingTables, Hop, Tree, tables
from ripstop.sim.kernel import FakeKernel, follow_flood, follow_unicast
from tests.core.mesh.graphs import topologies


def ip(peer: int) -> UnderlayIp:
    """Return the address of a peer."""
    return UnderlayIp(f"192.0.2.{peer}")


def hop(here: int, there: int) -> Hop:
    """Return the step from one peer to another."""
    return Hop(ShortId(there), ip(there), ip(here), 1450)


def build(topology: Topology, own: ShortId) -> ForwardingTables:
    """Return the tables of one peer that has a path to each of its neighbors."""
    hops = {other: hop(own, other) for other in members(topology.links[own])}
    return of(topology, own, {ip(one): one for one in topology.links}, hops)


def of(
    topology: Topology, own: ShortId, vteps: dict[UnderlayIp, ShortId], hops: dict[ShortId, Hop]
) -> ForwardingTables:
    """Return the tables of one peer in a topology."""
    return tables(own, vteps, hops, routes(topology, own), places(topology, own))


def line(*ids: int) -> Topology:
    """Return peers in a row."""
    near = {ShortId(one): mask_of(ShortId(o) for o in ids if abs(ids.index(o) - i) == 1) for i, one in enumerate(ids)}
    return Topology.of(near)


def test_the_middle_of_a_row_relays() -> None:
    made = build(line(7, 3, 5), ShortId(3))
    assert made.own == 3
    assert made.routes == {7: hop(3, 7), 5: hop(3, 5)}
    assert made.trees == {
        3: Tree(NO_PEER, (hop(3, 5), hop(3, 7))),
        7: Tree(ShortId(7), (hop(3, 5),)),
        5: Tree(ShortId(5), (hop(3, 7),)),
    }


def test_the_end_of_a_row_sends_by_the_middle() -> None:
    made = build(line(7, 3, 5), ShortId(7))
    assert made.routes == {3: hop(7, 3), 5: hop(7, 3)}
    assert made.trees == {
        7: Tree(NO_PEER, (hop(7, 3),)),
        3: Tree(ShortId(3), ()),
        5: Tree(ShortId(3), ()),
    }


def test_what_leads_over_a_path_that_is_gone_is_left_out() -> None:
    made = of(line(7, 3, 5), ShortId(3), {}, {ShortId(7): hop(3, 7)})
    assert made.routes == {7: hop(3, 7)}
    assert made.trees[ShortId(3)] == Tree(NO_PEER, (hop(3, 7),))


def test_without_an_id_there_is_nothing_but_whose_addresses_are_whose() -> None:
    assert of(line(7, 3), NO_PEER, {ip(7): ShortId(7)}, {}) == ForwardingTables(vteps={ip(7): ShortId(7)})


@given(topologies(), st.data())
def test_frames_follow_the_tables_of_all(topology: Topology, draw: st.DataObject) -> None:
    kernels = {one: FakeKernel(PeerName(f"{one:016x}"), build(topology, one)) for one in topology.links}
    by_address = {ip(one): kernel for one, kernel in kernels.items()}
    source = draw.draw(st.sampled_from(sorted(topology.links)))
    flood = follow_flood(kernels[source], lambda _local, remote: by_address[remote])
    reachable = [*members(topology.reachable(source))]
    assert dict(flood.arrived) == {kernels[one].name: 1 for one in reachable}
    assert flood.dropped == ()
    assert flood.copies == len(reachable)
    for goal in topology.links:
        trail = follow_unicast(kernels[source], goal, lambda _local, remote: by_address[remote])
        assert dict(trail.arrived) == ({kernels[goal].name: 1} if goal in (*reachable, source) else {})
