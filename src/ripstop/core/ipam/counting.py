"""Which replicated tokens, and which rings, nobody needs any more.

A token counts where no other of higher rank speaks of the same address.  One that counts nowhere says nothing that the
others do not say better; so it may go, and the entries of a ring stay as few as its ranges.  Whoever hears of some of
the others late knows less meanwhile, but nothing wrong.

A ring is over when everybody who could own something of it, its members and the owners in its tokens, says by ballot
to be in another, and nobody says to be in this one; then its start and all its tokens go.  Whoever left a ring has
another birth since, so nothing in it can be anybody's again.  A peer of which no ballot has come yet counts as being
in it.  One that is still in it, unheard of, has it on disk and in its own replica, and brings it back when it is heard.
"""

from collections.abc import Iterable

from ripstop.core.address import Range
from ripstop.core.ipam.messages import Ballot, RingStart, Token
from ripstop.core.ipam.ring import Stamped, resolve, ring_id
from ripstop.core.mesh.messages import Entry
from ripstop.core.names import PeerName


class Counting:
    """Follows the tokens of all rings, ours or not, and finds those that count nowhere."""

    def __init__(self) -> None:
        self._universes: dict[str, Range] = {}  # of the rings whose start is known; of others nothing is let go
        self._tokens: dict[str, dict[int, Stamped]] = {}
        self._members: dict[str, tuple[PeerName, ...]] = {}
        self._rings: dict[PeerName, str] = {}  # by their ballots: where peers are, "" before they are in any

    def take(self, news: Iterable[Entry]) -> list[str]:
        """Take entries that were merged; return the keys of what nobody needs any more, and forget that.

        Entries of other channels are ignored.
        """
        changed: dict[str, list[Range]] = {}
        left: dict[str, None] = {}
        for entry in news:
            match entry.value:
                case RingStart(start=start, end=end):
                    ring = entry.key.removeprefix("ring-start/")
                    if ring == ring_id(entry.value):
                        self._universes[ring] = Range(start, end)
                        self._members[ring] = entry.value.members
                        changed.setdefault(ring, []).append(Range(start, end))
                case Token(start=start, end=end):
                    ring = entry.key.removeprefix("ring/").rpartition("/")[0]
                    one = Stamped(entry.version, entry.value)
                    self._tokens.setdefault(ring, {})[start] = one
                    changed.setdefault(ring, []).append(Range(start, max(start + 1, end)))
                case Ballot(ring=ring):
                    peer = PeerName(entry.key.removeprefix("paxos/"))
                    if self._rings.get(peer) != ring:
                        left |= dict.fromkeys(self._members)  # one that was in none so far may be the last to be missed
                    self._rings[peer] = ring
                case _:
                    pass
        over = [ring for ring in {**changed, **left} if self._is_over(ring)]
        void = [key for ring in over for key in self._forget(ring)]
        for ring, ranges in changed.items():
            if ring in self._universes:
                void += [f"ring/{ring}/{start}" for start in self._let_go(ring, ranges)]
        return void

    def _is_over(self, ring: str) -> bool:
        if ring not in self._members or ring in self._rings.values():
            return False
        owners = {*self._members[ring], *(one.token.owner for one in self._tokens.get(ring, {}).values())}
        return all(self._rings.get(owner) for owner in owners)

    def _forget(self, ring: str) -> list[str]:
        del self._universes[ring], self._members[ring]
        return [f"ring-start/{ring}", *(f"ring/{ring}/{start}" for start in self._tokens.pop(ring, {}))]

    def _let_go(self, ring: str, changed: list[Range]) -> list[int]:
        tokens, universe = self._tokens.setdefault(ring, {}), self._universes[ring]
        low, high = _hull(changed)
        doubtful = [
            one for start, one in tokens.items() if low <= start < high or (start < high and low < one.token.end)
        ]
        low, high = _hull(one.range for one in doubtful)
        near = [one for start, one in tokens.items() if start < high and low < one.token.end]
        sane = [one for one in near if one.token.start < one.token.end and universe.covers(one.range)]
        counting = {segment.stamped.token.start for segment in resolve(sane)}
        gone = [one.token.start for one in doubtful if one.token.start not in counting]
        for start in gone:
            del tokens[start]
        return gone


def _hull(ranges: Iterable[Range]) -> tuple[int, int]:
    """Return the first address of all of them, and the one after the last."""
    ends = [(one.start, one.end) for one in ranges]
    return min((start for start, _ in ends), default=0), max((end for _, end in ends), default=0)
