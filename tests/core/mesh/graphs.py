"""Random graphs for laws about routes."""

from hypothesis import strategies as st

from ripstop.core.mesh.bitmap import mask_of, members
from ripstop.core.mesh.topology import Topology
from ripstop.core.names import ShortId


@st.composite
def topologies(draw: st.DrawFn, most: int = 12) -> Topology:
    """Draw a graph, connected or not; claims need not be symmetric."""
    ids = sorted(draw(st.sets(st.integers(1, 40).map(ShortId), min_size=1, max_size=most)))
    dense = draw(st.booleans())
    some = st.sets(st.sampled_from(ids))
    claims = {one: mask_of(draw(some)) for one in ids}
    if dense:
        claims = {one: mask_of(ids) & ~mask for one, mask in claims.items()}
    return Topology.of(claims)


def distance(topology: Topology, start: ShortId, goal: ShortId) -> int | None:
    """Return the number of hops between two peers, by the plainest of searches."""
    seen, frontier, hops = {start}, [start], 0
    while frontier:
        if goal in frontier:
            return hops
        frontier = [other for one in frontier for other in members(topology.links[one]) if other not in seen]
        seen |= set(frontier)
        hops += 1
    return None
