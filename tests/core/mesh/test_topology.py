"""A link needs both sides; a changed topology is the same as one built anew."""

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.mesh.bitmap import mask_of, members
from ripstop.core.mesh.topology import Topology
from ripstop.core.names import ShortId
from tests.core.mesh.graphs import distance, topologies

ids = [ShortId(i) for i in (1, 2, 3, 5, 8, 13)]
claims = st.dictionaries(st.sampled_from(ids), st.sets(st.sampled_from(ids)).map(mask_of))


@given(claims)
def test_a_link_needs_the_claim_of_both(claimed: dict[ShortId, int]) -> None:
    topology = Topology.of(claimed)
    for one in ids:
        for other in ids:
            both = one != other and claimed.get(one, 0) >> other & 1 and claimed.get(other, 0) >> one & 1
            assert bool(topology.links.get(one, 0) >> other & 1) == bool(both)
    assert topology.everyone == mask_of(claimed)


@given(st.lists(claims, min_size=1, max_size=5))
def test_a_changed_topology_is_the_same_as_a_new_one(history: list[dict[ShortId, int]]) -> None:
    topology = Topology()
    for claimed in history:
        topology = topology.changed(claimed)
    assert topology == Topology.of(history[-1])
    assert topology.changed(history[-1]) is topology


@given(topologies())
def test_reachable_are_all_with_a_way(topology: Topology) -> None:
    for one in topology.links:
        found = {*members(topology.reachable(one))}
        assert found == {other for other in topology.links if other != one and distance(topology, one, other)}
    assert topology.reachable(ShortId(999)) == 0
