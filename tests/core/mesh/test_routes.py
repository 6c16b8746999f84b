"""Laws of routes and flood trees, over random graphs, each peer using its own tables only."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripstop.core.mesh.bitmap import lowest, mask_of, members
from ripstop.core.mesh.routes import MAX_CHILDREN, places, route, routes, tree
from ripstop.core.mesh.topology import Topology
from ripstop.core.names import NO_PEER, ShortId
from tests.core.mesh.graphs import distance, topologies


@given(topologies())
def test_following_next_hops_takes_the_shortest_way_and_ends(topology: Topology) -> None:
    tables = {one: routes(topology, one) for one in topology.links}
    for start in topology.links:
        for goal in topology.links:
            hops = distance(topology, start, goal)
            if start == goal or hops is None:
                assert goal not in tables[start]
                continue
            assert tables[start][goal].hops == hops
            here, steps = start, 0
            while here != goal:
                here = tables[here][goal].next_hop
                steps += 1
            assert steps == hops


@given(topologies())
def test_the_next_hop_is_the_lowest_neighbor_that_is_nearer(topology: Topology) -> None:
    for start in topology.links:
        for goal, way in routes(topology, start).items():
            nearer = [o for o in members(topology.links[start]) if distance(topology, o, goal) == way.hops - 1]
            assert way.next_hop == min(nearer)
            assert route(topology, start, goal) == way


def flood(topology: Topology, source: ShortId, limit: int) -> dict[ShortId, int]:
    """Send a frame along the tree as each peer knows it; return how often it arrived where."""
    tables = {one: places(topology, one, limit) for one in topology.links}
    arrived: dict[ShortId, int] = {}
    waiting = [(source, child) for child in members(tables[source][source].children)]
    while waiting:
        sender, here = waiting.pop()
        place = tables[here][source]
        assert place.parent == sender
        arrived[here] = arrived.get(here, 0) + 1
        assert arrived[here] < 3
        waiting += [(here, child) for child in members(place.children)]
    return arrived


@given(topologies(), st.integers(1, 5))
@settings(max_examples=150)
def test_a_flood_reaches_everyone_exactly_once(topology: Topology, limit: int) -> None:
    for source in topology.links:
        assert flood(topology, source, limit) == dict.fromkeys(members(topology.reachable(source)), 1)


@given(topologies(), st.integers(1, 5))
@settings(max_examples=150)
def test_what_children_serve_is_what_a_flood_reaches_through_them(topology: Topology, limit: int) -> None:
    tables = {one: places(topology, one, limit) for one in topology.links}

    def reached(source: ShortId, here: ShortId) -> int:
        found = 1 << here
        for child in members(tables[here][source].children):
            found |= reached(source, child)
        return found

    for one in topology.links:
        for source, place in tables[one].items():
            assert [child for child, _ in place.below] == [*members(place.children)]
            for child, below in place.below:
                assert below == reached(source, child)


@given(topologies(), st.integers(1, 5))
def test_children_divide_everyone_else_among_them(topology: Topology, limit: int) -> None:
    for one in topology.links:
        place = places(topology, one, limit)[one]
        assert sum(below.bit_count() for _, below in place.below) == topology.reachable(one).bit_count()
        assert mask_of(peer for _, below in place.below for peer in members(below)) == topology.reachable(one)


@given(topologies())
def test_without_limits_the_parent_is_the_lowest_neighbor_one_step_nearer(topology: Topology) -> None:
    for one in topology.links:
        for source, place in places(topology, one).items():
            if source == one:
                assert place.parent == NO_PEER
            else:
                hops = distance(topology, source, one)
                assert hops
                nearer = [o for o in members(topology.links[one]) if distance(topology, source, o) == hops - 1]
                assert place.parent == min(nearer)


@pytest.mark.parametrize("count", [3, 65, 66, 80])
def test_in_a_full_mesh_nobody_has_more_children_than_the_kernel_takes(count: int) -> None:
    everyone = mask_of(ShortId(i) for i in range(1, count + 1))
    topology = Topology.of(dict.fromkeys(members(everyone), everyone))
    source = lowest(everyone)
    children = {one: places(topology, one)[source].children.bit_count() for one in members(everyone)}
    assert max(children.values()) == min(count - 1, MAX_CHILDREN)
    assert sum(children.values()) == count - 1


def test_a_hub_serves_first_who_has_no_other_parent() -> None:
    hub, pairs, loners = ShortId(1), range(2, 6), range(6, 8)
    claims = {hub: mask_of(ShortId(i) for i in range(2, 8))}
    claims |= {ShortId(i): mask_of(ShortId(j) for j in (1, *pairs) if j != i) for i in pairs}
    claims |= {ShortId(i): 1 << hub for i in loners}
    place = places(Topology.of(claims), hub, limit=3)[hub]
    assert [*members(place.children)] == [2, 6, 7]


def test_who_is_not_in_the_topology_has_no_ways() -> None:
    assert routes(Topology(), ShortId(1)) == {}
    assert places(Topology(), ShortId(1)) == {}
    assert route(Topology(), ShortId(1), ShortId(2)) is None


def test_alone_one_is_the_root_of_ones_own_tree() -> None:
    alone = Topology.of({ShortId(4): 0})
    assert routes(alone, ShortId(4)) == {}
    assert places(alone, ShortId(4))[ShortId(4)].parent == NO_PEER


@given(topologies())
def test_a_tree_as_a_whole_is_what_each_peer_knows_of_it(topology: Topology) -> None:
    for source in topology.links:
        parents = tree(topology, source)
        stands = {own: places(topology, own).get(source) for own in topology.links}
        assert parents == {own: place.parent for own, place in stands.items() if place and own != source}
        seen = {source}
        for child, parent in parents.items():
            assert parent in seen
            seen.add(child)
