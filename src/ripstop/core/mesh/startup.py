"""What a daemon that starts must know before it changes anything that works.

Two things can wait a moment.  A newcomer hears first which short ids are taken, so that no peer has to move.  A
restarted daemon finds a kernel that forwards by the tables of its former life, and leaves them alone until its paths
have answered and a neighbor has told the news.
"""

import math

SETTLE = 1.0  # seconds after a restart until tables are written whatever is known
CHOOSE = 1.0  # seconds until a newcomer takes a short id whatever it has heard


class Startup:
    """Says from when on we may take a short id, and may write tables."""

    def __init__(self, *, has_id: bool, has_paths: bool) -> None:
        """Begin with or without a short id and paths of a former life."""
        self.has_id = has_id
        self.is_settled = not has_paths
        self.heard_back = False  # whether we know what one neighbor knows
        self._choose_at = self._settle_at = math.inf

    @property
    def deadline(self) -> float:
        """When one of the waits is over, in seconds."""
        return min(math.inf if self.has_id else self._choose_at, math.inf if self.is_settled else self._settle_at)

    def begin(self, *, has_targets: bool, now: float) -> None:
        """The underlay is there: time runs from now, and nobody need be waited for if nobody is asked."""
        if self._settle_at == math.inf:
            self._settle_at = now + SETTLE
            self._choose_at = now + CHOOSE if has_targets else now

    def choose(self, now: float) -> bool:
        """Return whether we have a short id, or may take one now."""
        self.has_id = self.has_id or self.heard_back or now >= self._choose_at
        return self.has_id

    def settle(self, *, is_confirmed: bool, now: float) -> bool:
        """Return whether tables may be written, given whether all paths in use have answered."""
        self.is_settled = self.is_settled or now >= self._settle_at or (self.heard_back and is_confirmed)
        return self.is_settled
