"""Which replicated tokens nobody needs any more.

A token counts where no other of higher rank speaks of the same address.  One that counts nowhere says nothing that the
others do not say better; so it may go, and the entries of a ring stay as few as its ranges.  Whoever hears of some of
the others late has a gap meanwhile: it knows less, but nothing wrong.
"""

from collections.abc import Iterable

from ripstop.core.address import Range
from ripstop.core.ipam.messages import RingStart, Token
from ripstop.core.ipam.ring import Stamped, resolve, ring_id
from ripstop.core.mesh.messages import Entry


class Counting:
    """Follows the tokens of all rings, ours or not, and finds those that count nowhere."""

    def __init__(self) -> None:
        self._universes: dict[str, Range] = {}  # of the rings whose start is known; of others nothing is let go
        self._tokens: dict[str, dict[int, Stamped]] = {}

    def take(self, news: Iterable[Entry]) -> list[str]:
        """Take entries that were merged; return the keys of tokens that count nowhere now, and forget these.

        Entries of other channels are ignored.
        """
        changed: dict[str, list[Range]] = {}
        for entry in news:
            match entry.value:
                case RingStart(start=start, end=end):
                    ring = entry.key.removeprefix("ring-start/")
                    if ring == ring_id(entry.value):
                        self._universes[ring] = Range(start, end)
                        changed.setdefault(ring, []).append(Range(start, end))
                case Token(start=start, end=end):
                    ring = entry.key.removeprefix("ring/").rpartition("/")[0]
                    one = Stamped(entry.version, entry.value)
                    self._tokens.setdefault(ring, {})[start] = one
                    changed.setdefault(ring, []).append(Range(start, max(start + 1, end)))
                case _:
                    pass
        return [
            f"ring/{ring}/{start}"
            for ring, ranges in changed.items()
            if ring in self._universes
            for start in self._let_go(ring, ranges)
        ]

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
