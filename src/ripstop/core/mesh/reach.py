"""Our own `Reach`: bad news is written at once, good news in batches."""

import math

from ripstop.core.mesh.bitmap import unpack
from ripstop.core.mesh.membership import Author
from ripstop.core.mesh.messages import Entry, Reach
from ripstop.core.names import PeerName

REACH_INTERVAL = 0.1  # seconds between versions that only bring good news


class ReachWriter:
    """Says what we reach, whenever that has changed."""

    def __init__(self, own: PeerName, author: Author) -> None:
        self.deadline = math.inf  # when something held back is due, seconds
        self._own = own
        self._author = author
        self._incarnation = 0  # in which the last version was written
        self._written = Reach(own, b"", b"", 0)
        self._next_at = -math.inf

    def write(self, data: bytes, control: bytes, mtu: int, now: float) -> Entry | None:
        """Return a new version if there is something to say now."""
        reach = Reach(self._own, data, control, mtu)
        self.deadline = math.inf
        is_first = self._incarnation != self._author.incarnation
        if reach == self._written and not is_first:
            return None
        if not is_first and now < self._next_at and not self._is_bad_news(reach):
            self.deadline = self._next_at
            return None
        self._next_at = now + REACH_INTERVAL
        self._incarnation = self._author.incarnation
        self._written = reach
        return self._author.write(f"reach/{self._own}", reach)

    def _is_bad_news(self, reach: Reach) -> bool:
        gone = unpack(self._written.data) & ~unpack(reach.data)
        return gone != 0 or (reach.mtu < self._written.mtu and reach.mtu != 0)
