"""Something to be done, again and again: when, and when again after a failure."""

from math import inf
from random import Random

FIRST_RETRY = 0.5  # seconds
GROWTH = 2.0  # per failure
LAST_RETRY = 30.0  # seconds
JITTER = 0.5  # of a delay, downwards: a thousand nodes must not come back at once


class Chore:
    """Due at a time, then running until it has succeeded or failed."""

    def __init__(self, rng: Random, due: float = inf) -> None:
        self.error = ""  # of the last attempt
        self.running = False
        self._rng, self._due, self._delay = rng, due, FIRST_RETRY

    @property
    def due(self) -> float:
        """When to begin, in seconds; never while it runs."""
        return inf if self.running else self._due

    def want(self, at: float) -> None:
        """Have it done at that time, or earlier if it is due earlier; after a failure, not before its rest is over."""
        self._due = min(self._due, at) if not self.error else self._due

    def begin(self) -> None:
        """Note that it is being done."""
        self.running, self._due = True, inf

    def succeed(self, again: float = inf) -> None:
        """Note that it is done, until `again` or until somebody wants it."""
        self.running, self.error, self._delay = False, "", FIRST_RETRY
        self._due = min(self._due, again)

    def go_on(self, at: float) -> None:
        """Note that a part of it is done, and have the next begun at that time; what failed before still counts."""
        self.running, self._due = False, at

    def prosper(self) -> None:
        """Note that it works, though it is not done: what failed before counts no more."""
        self.error, self._delay = "", FIRST_RETRY

    def fail(self, error: str, now: float) -> None:
        """Note that it is not; it is due again after a rest that grows with every failure."""
        self.running, self.error = False, error
        self._due = now + self._delay * (1 - JITTER * self._rng.random())
        self._delay = min(self._delay * GROWTH, LAST_RETRY)
