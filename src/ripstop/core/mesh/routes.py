"""Ways through a topology: next hops for one peer's frames, and a flood tree for each source.

Both depend on nothing but the topology, so peers with the same data agree on them.  Each hop of a route is one step
nearer to its destination, so routes have no loops; each peer has one parent in a tree, so a flood comes once.
"""

from dataclasses import dataclass

from ripstop.core.mesh.topology import Topology, bits
from ripstop.core.names import PeerName

MAX_CHILDREN = 64  # per peer and tree: the copies that the kernel makes of one frame


@dataclass(frozen=True, slots=True)
class Route:
    """How frames get to one peer."""

    destination: PeerName
    next_hop: PeerName
    hops: int  # 1 = direct


@dataclass(frozen=True, slots=True)
class Place:
    """Where one peer stands in one source's flood tree."""

    parent: PeerName | None  # None at the source itself
    children: tuple[PeerName, ...]  # sorted


def routes(topology: Topology, own: PeerName) -> dict[PeerName, Route]:
    """Return the way from `own` to each peer it can reach: the lowest-named neighbor that is nearer to it."""
    here = topology.places.get(own)
    if here is None:
        return {}
    found: dict[PeerName, Route] = {}
    for there, destination in enumerate(topology.names):
        if there != here and (step := _step(topology, here, there)) is not None:
            found[destination] = Route(destination, topology.names[step[0]], step[1])
    return found


def next_hop(topology: Topology, own: PeerName, destination: PeerName) -> PeerName | None:
    """Return the first step of the way to one peer, or None if there is no way."""
    here, there = topology.places.get(own), topology.places.get(destination)
    if here is None or there is None or here == there:
        return None
    step = _step(topology, here, there)
    return topology.names[step[0]] if step else None


def _step(topology: Topology, here: int, there: int) -> tuple[int, int] | None:
    """Return (next hop, number of hops), searching from the destination until we are found."""
    goal = topology.links[here]
    seen = frontier = 1 << there
    hops = 1
    while frontier:
        if nearer := frontier & goal:
            return (nearer & -nearer).bit_length() - 1, hops
        frontier = topology.around(frontier) & ~seen
        seen |= frontier
        hops += 1
    return None


def places(topology: Topology, own: PeerName, limit: int = MAX_CHILDREN) -> dict[PeerName, Place]:
    """Return where `own` stands in the tree of each source that can reach it, its own tree included."""
    here = topology.places.get(own)
    if here is None:
        return {}
    found: dict[PeerName, Place] = {}
    for source, name in enumerate(topology.names):
        parent, children = _grow(topology, source, here, limit)
        if parent is not None or source == here:
            found[name] = Place(
                None if parent is None else topology.names[parent],
                tuple(topology.names[i] for i in bits(children)),
            )
    return found


def _grow(topology: Topology, source: int, here: int, limit: int) -> tuple[int | None, int]:
    """Grow one source's tree and return parent and children of `here` in it.

    Level by level, the peers of a level in the order of their names each take all neighbors that nobody has yet, but
    at most `limit`: those with the fewest links first, as others may find another parent.  Who is left over in the
    end goes beyond the limit of the lowest-named neighbor in the tree, so that nobody is left out.
    """
    everyone = (1 << len(topology.names)) - 1
    level = 1 << source
    missing = everyone & ~level
    parent: int | None = None
    children = 0
    while level and missing:
        below = 0
        for i in bits(level):
            taken = _fewest_links(topology, topology.links[i] & missing, limit)
            missing &= ~taken
            below |= taken
            parent = i if taken >> here & 1 else parent
            children |= taken if i == here else 0
        if not below:
            tree = everyone & ~missing
            below = topology.around(tree) & missing
            missing &= ~below
            for i in bits(below):
                near = topology.links[i] & tree
                above = (near & -near).bit_length() - 1
                parent = above if i == here else parent
                children |= 1 << i if above == here else 0
        level = below
    return parent, children


def _fewest_links(topology: Topology, candidates: int, limit: int) -> int:
    if candidates.bit_count() <= limit:
        return candidates
    ordered = sorted(bits(candidates), key=lambda i: (topology.links[i].bit_count(), i))
    return sum(1 << i for i in ordered[:limit])
