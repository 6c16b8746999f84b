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

    links: Mapping[ShortId, int] = field(default_factory=dict)  # per peer its neighbors; symmetric, without itself
    everyone: int = 0

    @classmethod
    def of(cls, claims: Mapping[ShortId, int]) -> "Topology":
        """Build the graph in which two peers are linked if and only if each claims to reach the other.

        Args:
            claims: per peer, in order of ids, whom it claims to reach; peers that make no claims do not count.
        """
        everyone = mask_of(claims)
        links = {
            one: mask_of(other for other in members(mask & everyone & ~(1 << one)) if claims[other] >> one & 1)
            for one, mask in claims.items()
        }
        return cls(links, everyone)

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
