"""Who is next to whom: the symmetric part of what all peers claim to reach."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ripstop.core.mesh.bitmap import unpack
from ripstop.core.names import PeerName, ShortId


def bits(mask: int) -> Iterator[int]:
    """Yield the places of the set bits, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


@dataclass(frozen=True, slots=True)
class Topology:
    """A graph of peers; peers are numbered in the order of their names, and sets of peers are bits of an integer.

    So "the lowest-named of these" is the lowest bit, and a step of a breadth-first search is a few operations.
    """

    names: tuple[PeerName, ...] = ()  # sorted
    links: tuple[int, ...] = ()  # per peer its neighbors, as bits; symmetric, without itself
    places: Mapping[PeerName, int] = field(default_factory=dict)  # the inverse of `names`

    @classmethod
    def of(cls, names: Iterable[PeerName], claims: Mapping[PeerName, Iterable[PeerName]]) -> "Topology":
        """Build the graph in which two peers are linked if and only if each claims to reach the other."""
        ordered = tuple(sorted(names))
        places = {name: i for i, name in enumerate(ordered)}
        claimed = [0] * len(ordered)
        for name, reached in claims.items():
            if name in places:
                for other in reached:
                    if other in places and other != name:
                        claimed[places[name]] |= 1 << places[other]
        links = tuple(
            sum(1 << other for other in bits(mask) if claimed[other] >> i & 1) for i, mask in enumerate(claimed)
        )
        return cls(ordered, links, places)

    @classmethod
    def of_bitmaps(cls, ids: Mapping[PeerName, ShortId], reached: Mapping[PeerName, bytes]) -> "Topology":
        """Build the graph from bitmaps over short ids; bits of ids that nobody has are ignored."""
        names = {short_id: name for name, short_id in ids.items()}
        claims = {
            name: [names[short_id] for short_id in unpack(bitmap) if short_id in names]
            for name, bitmap in reached.items()
        }
        return cls.of(ids, claims)

    def neighbors(self, name: PeerName) -> tuple[PeerName, ...]:
        """Return the peers linked to one, sorted."""
        place = self.places.get(name)
        return () if place is None else tuple(self.names[i] for i in bits(self.links[place]))

    def reachable(self, name: PeerName) -> tuple[PeerName, ...]:
        """Return every peer with a way to this one, itself not among them, sorted."""
        place = self.places.get(name)
        if place is None:
            return ()
        seen = frontier = 1 << place
        while frontier:
            frontier = self.around(frontier) & ~seen
            seen |= frontier
        return tuple(self.names[i] for i in bits(seen & ~(1 << place)))

    def around(self, mask: int) -> int:
        """Return all neighbors of a set of peers."""
        found = 0
        for i in bits(mask):
            found |= self.links[i]
        return found
