"""Laws of pruned trees, over random graphs, each peer using its own tables only."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ripstop.core.mesh.bitmap import mask_of, members
from ripstop.core.mesh.routes import places
from ripstop.core.mesh.topology import Topology
from ripstop.core.names import NO_PEER, ShortId
from ripstop.core.overlay.pruning import next_hops
from tests.core.mesh.graphs import topologies


@given(topologies(), st.integers(1, 5), st.data())
@settings(max_examples=150)
def test_a_frame_comes_once_to_each_member_and_to_nobody_else_but_relays(
    topology: Topology, limit: int, data: st.DataObject
) -> None:
    tables = {one: places(topology, one, limit) for one in topology.links}
    wanted = mask_of(data.draw(st.sets(st.sampled_from([*topology.links]))))
    for source in topology.links:
        arrived: dict[ShortId, int] = {}
        leads_to: dict[ShortId, int] = {}
        waiting = [(source, child) for child in members(next_hops(tables[source][source], wanted))]
        while waiting:
            sender, here = waiting.pop()
            place = tables[here][source]
            assert place.parent == sender
            arrived[here] = arrived.get(here, 0) + 1
            leads_to[here] = next_hops(place, wanted)
            waiting += [(here, child) for child in members(leads_to[here])]
        assert all(times == 1 for times in arrived.values())
        assert wanted & topology.reachable(source) & ~mask_of(arrived) == 0
        for here, hops in leads_to.items():
            assert hops or wanted >> here & 1, "neither a member nor on the way to one"


@given(topologies())
def test_if_all_want_it_the_tree_is_whole_and_if_none_does_there_is_none(topology: Topology) -> None:
    for one in topology.links:
        for source, place in places(topology, one).items():
            assert next_hops(place, topology.everyone) == place.children
            assert next_hops(place, 0) == 0
            assert (place.parent == NO_PEER) == (source == one)
