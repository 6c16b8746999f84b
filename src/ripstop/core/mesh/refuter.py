"""Defends our entries against versions that we did not write.

They come from an earlier life of ours whose disk was lost, or from a peer with our name.  Against the first it is
enough to take a higher incarnation once; against the second it never is, so each time we wait twice as long.
"""

import math

from ripstop.core.effects import Effect, Notice
from ripstop.core.mesh.membership import Author
from ripstop.core.mesh.memory import Memory

FIRST_PAUSE = 0.5  # seconds between the first two refutations
PAUSE_LIMIT = 60.0  # seconds; after as long a quiet all begins anew


class Refuter:
    """Raises our incarnation above what others wrote under our name."""

    def __init__(self, author: Author, memory: Memory, now: float) -> None:
        self._author = author
        self._memory = memory
        self._usurped = 0  # the highest version that is not ours; 0 = none
        self._next_at = now
        self._pause = FIRST_PAUSE

    @property
    def deadline(self) -> float:
        """When `refute` next has something to do, in seconds."""
        return self._next_at if self._usurped else math.inf

    def usurped(self, version: int) -> None:
        """Somebody has an entry of ours in this version, which we did not write."""
        self._usurped = max(self._usurped, version)

    def refute(self, now: float) -> list[Effect]:
        """Take a higher incarnation if it is time; all our entries are to be written anew if anything is returned."""
        if now < self.deadline:
            return []
        if now - self._next_at > PAUSE_LIMIT:
            self._pause = FIRST_PAUSE
        is_first = self._pause == FIRST_PAUSE
        is_possible = self._author.outdo(self._usurped)
        self._usurped = 0
        self._next_at = now + self._pause
        self._pause = min(2 * self._pause, PAUSE_LIMIT)
        if not is_possible:
            return [Notice("error", "the mesh knows us with the last possible incarnation: take a new name")]
        text = f"others knew a later life of ours: our incarnation is {self._author.incarnation} now"
        saved = self._memory.keep_incarnation(self._author.incarnation)
        return [saved, Notice("warning", text)] if is_first else [saved]
