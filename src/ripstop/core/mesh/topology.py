"""Who is next to whom: the symmetric part of what all peers claim to reach."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ripstop.core.mesh.bitmap import mask_of, members
from ripstop.core.names import ShortId


@dataclass(frozen=True, slots=True)
class Topology:
    """A graph of peers by short id; sets of peers are bits of an integer.

    So "the lowest of these" is the lowest bit, and a step of a breadth-first search is a few operations.
    """

    claims: Mapping[ShortId, int] = field(default_factory=dict)  # per peer whom it claims to reach
    links: Mapping[ShortId, int] = field(default_factory=dict)  # per peer its neighbors; symmetric, without itself
    everyone: int = 0

    @classmethod
    def of(cls, claims: Mapping[ShortId, int]) -> "Topology":
        """Build the graph in which two peers are linked if and only if each claims to reach the other."""
        return cls().changed(claims)

    def changed(self, claims: Mapping[ShortId, int]) -> "Topology":
        """Return the graph of other claims; costs only what differs.  Peers that make no claims do not count."""
        if claims == self.claims:
            return self
        links = {one: self.links.get(one, 0) for one in sorted({**self.links, **claims})}
        for one in links:
            if claims.get(one) != self.claims.get(one):
                mine = claims.get(one, 0) & ~(1 << one)
                found = mask_of(other for other in members(mine) if claims.get(other, 0) >> one & 1)
                for other in members(found ^ links[one]):
                    links[other] ^= 1 << one
                links[one] = found
        links = {one: links[one] for one in links if one in claims}
        return Topology(dict(claims), links, mask_of(links))

    def reachable(self, own: ShortId) -> int:
        """Return every peer with a way to this one, itself not among them."""
        if own not in self.links:
            return 0
        seen = frontier = 1 << own
        while frontier:
            frontier = self.around(frontier) & ~seen
            seen |= frontier
        return seen & ~(1 << own)

    def around(self, mask: int) -> int:
        """Return all neighbors of a set of peers."""
        found = 0
        for one in members(mask):
            found |= self.links[one]
        return found
