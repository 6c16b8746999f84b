"""Rings other than our own: what is heard of them, and which ring a peer should be in."""

from ripstop.core.address import Range
from ripstop.core.ipam.messages import Ballot, RingStart
from ripstop.core.ipam.ring import Stamped, ring_id
from ripstop.core.names import PeerName


class Sightings:
    """Every ring of our universe that was heard of, with its tokens, ours included until we enter it."""

    def __init__(self, universe: Range) -> None:
        self.starts: dict[str, RingStart] = {}
        self.ballots: dict[PeerName, Ballot] = {}  # of peers with our universe
        self.strangers: dict[PeerName, Range] = {}  # peers with another universe
        self.in_use: dict[PeerName, None] = {}  # those whose containers hold addresses of another universe
        self._universe = universe
        self._tokens: dict[str, dict[int, Stamped]] = {}

    def hear_start(self, ring: str, start: RingStart) -> bool:
        """Take the start of a ring; return whether it is news."""
        if ring in self.starts or ring != ring_id(start) or not start.members:
            return False
        if Range(start.start, start.end) != self._universe:
            return False
        self.starts[ring] = start
        return True

    def hear_ballot(self, peer: PeerName, ballot: Ballot) -> bool:
        """Take a peer's ballot; return whether the peer is a stranger, with another universe, and that is news."""
        theirs = Range(*ballot.universe)
        self.in_use.pop(peer, None)
        if theirs == self._universe:
            self.strangers.pop(peer, None)
            self.ballots[peer] = ballot
            return False
        self.ballots.pop(peer, None)
        if ballot.holds:
            self.in_use[peer] = None
        news = self.strangers.get(peer) != theirs
        self.strangers[peer] = theirs
        return news

    def stash(self, ring: str, stamped: Stamped) -> None:
        """Keep a token of a ring that we are not in."""
        known = self._tokens.setdefault(ring, {}).get(stamped.token.start)
        if known is None or stamped.rank > known.rank:
            self._tokens[ring][stamped.token.start] = stamped

    def take(self, ring: str) -> tuple[Stamped, ...]:
        """Return what was kept of a ring and keep it no longer."""
        return tuple(self._tokens.pop(ring, {}).values())

    def users(self, ring: str) -> list[PeerName]:
        """Return the other peers in a ring, sorted."""
        return sorted(peer for peer, ballot in self.ballots.items() if ballot.ring == ring)

    def best(self, own: str, holds: bool) -> str:
        """Return the ring to be in: "" if none is known.

        A peer whose containers hold addresses stays.  Any other goes where addresses are held, and, where that does not
        decide, to the lowest id; but it does not leave a ring in which others hold addresses.
        """
        held = {ballot.ring for ballot in self.ballots.values() if ballot.holds}
        if own and (holds or own in held):
            return own
        return min([*self.starts, *([own] if own else [])], key=lambda ring: (ring not in held, ring), default="")
