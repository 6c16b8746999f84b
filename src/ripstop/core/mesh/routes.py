"""Ways through a topology: next hops for one peer's frames, and a flood tree for each source.

Both depend on nothing but the topology, so peers with the same data agree on them.  Each hop of a route is one step
nearer to its destination, so routes have no loops; each peer has one parent in a tree, so a flood comes once.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ripstop.core.mesh.bitmap import lowest, mask_of, members
from ripstop.core.mesh.topology import Topology
from ripstop.core.names import NO_PEER, ShortId

MAX_CHILDREN = 64  # per peer and tree: the copies that the kernel makes of one frame


@dataclass(frozen=True, slots=True)
class Route:
    """How frames get to one peer."""

    next_hop: ShortId
    hops: int  # 1 = direct


@dataclass(frozen=True, slots=True)
class Place:
    """Where one peer stands in one source's flood tree."""

    parent: ShortId  # NO_PEER at the source itself
    children: int  # a set
    below: tuple[tuple[ShortId, int], ...] = ()  # each child and the set of peers it serves, itself among them


def routes(topology: Topology, own: ShortId) -> dict[ShortId, Route]:
    """Return the way from `own` to each peer it can reach: by the lowest neighbor that is nearer to it."""
    ways = ((there, route(topology, own, there)) for there in members(topology.reachable(own)))
    return {there: way for there, way in ways if way}


def route(topology: Topology, own: ShortId, destination: ShortId) -> Route | None:
    """Return the way to one peer, searching from there until we are found; None if there is no way."""
    goal = topology.links.get(own, 0) if own != destination else 0
    seen = frontier = 1 << destination & topology.everyone
    hops = 1
    while frontier:
        if nearer := frontier & goal:
            return Route(lowest(nearer), hops)
        frontier = topology.around(frontier) & ~seen
        seen |= frontier
        hops += 1
    return None


def places(topology: Topology, own: ShortId, limit: int = MAX_CHILDREN) -> dict[ShortId, Place]:
    """Return where `own` stands in the tree of each source that can reach it, its own tree included."""
    if own not in topology.links:
        return {}
    connected = topology.reachable(own) | 1 << own
    found: dict[ShortId, Place] = {}
    for source in members(connected):
        branches = _Branches(own)
        _grow(topology, connected, source, limit, branches.take)
        found[source] = branches.place()
    return found


def tree(topology: Topology, source: ShortId, limit: int = MAX_CHILDREN) -> dict[ShortId, ShortId]:
    """Return the parent of each peer in one source's tree, parents before their children."""
    parents: dict[ShortId, ShortId] = {}

    def take(one: ShortId, taken: int) -> None:
        parents.update((child, one) for child in members(taken))

    if source in topology.links:
        _grow(topology, topology.reachable(source) | 1 << source, source, limit, take)
    return parents


def _grow(
    topology: Topology, connected: int, source: ShortId, limit: int, take: Callable[[ShortId, int], None]
) -> None:
    """Grow one source's tree and tell `take` of each peer and the children that it gets.

    Level by level, the peers of a level in the order of their ids each take all neighbors that nobody has yet, but
    at most `limit`: those with the fewest links first, as others may find another parent.  Who is left over in the
    end goes beyond the limit of the lowest neighbor in the tree, so that nobody is left out.
    """
    level = 1 << source
    missing = connected & ~level
    while level and missing:
        below = 0
        for one in members(level):
            taken = _fewest_links(topology, topology.links[one] & missing, limit)
            missing &= ~taken
            below |= taken
            take(one, taken)
        if not below:
            tree = connected & ~missing
            below = topology.around(tree) & missing
            missing &= ~below
            for one in members(below):
                take(lowest(topology.links[one] & tree), 1 << one)
        level = below


class _Branches:
    """What of a growing tree is one peer's place in it."""

    def __init__(self, own: ShortId) -> None:
        self._own = own
        self._parent = NO_PEER
        self._served = 0  # everyone below us
        self._below: dict[ShortId, int] = {}

    def take(self, one: ShortId, taken: int) -> None:
        """Peer `one` has these as children; it has its own place in the tree already."""
        if taken >> self._own & 1:
            self._parent = one
        if one == self._own:
            self._below |= {child: 1 << child for child in members(taken)}
            self._served |= taken
        elif self._served >> one & 1 and taken:
            child = next(child for child, mask in self._below.items() if mask >> one & 1)
            self._below[child] |= taken
            self._served |= taken

    def place(self) -> Place:
        """Return what was found, children in the order of their ids."""
        return Place(self._parent, mask_of(self._below), tuple(sorted(self._below.items())))


def _fewest_links(topology: Topology, candidates: int, limit: int) -> int:
    if candidates.bit_count() <= limit:
        return candidates
    ordered = sorted(members(candidates), key=lambda one: (topology.links[one].bit_count(), one))
    return mask_of(ordered[:limit])
