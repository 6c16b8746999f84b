"""Time as a process lives it: what passes while it does not run is no time.

Most of what a peer concludes it concludes from silence: nobody answered, nobody confirmed, nobody said a word for so
and so long.  A process that got no processor for a while, on a busy host or in a stopped machine, has asked nobody
meanwhile, so that silence proves nothing.  By its own time nothing was due yet.
"""

import math

STALL = 0.25  # seconds a timer may be late until that counts as a stall; other processes' turns take some tens of ms


class OwnTime:
    """Counts on as the clock does, and stands still during stalls."""

    def __init__(self) -> None:
        """Begin with the clock's own reading."""
        self._lost = 0.0  # seconds, in stalls
        self._seen = -math.inf  # at the last look

    def look(self, clock: float, deadline: float) -> float:
        """Return what time it is; to be asked at least whenever something is due.

        Args:
            clock: what the clock reads.
            deadline: in own time, when the next look should have been.
        """
        now, due = max(clock - self._lost, self._seen), max(self._seen, deadline)
        if now - due > STALL:
            self._lost += now - due
            now = due
        self._seen = now
        return now

    def read(self, clock: float) -> float:
        """Return the same for whoever decides nothing by it: a stall that is not over yet counts as time."""
        return clock - self._lost

    def clock(self, own: float) -> float:
        """Return what the clock reads at an own time, or at the first it can show after it, if no stall comes first."""
        clock = own + self._lost
        while clock - self._lost < own:  # by rounding; whoever waits for it would look too soon, again and again
            clock = math.nextafter(clock, math.inf)
        return clock
