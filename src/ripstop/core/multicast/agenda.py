"""Who is to be looked at when, for thousands of things of which few are due."""

import math
from heapq import heappop, heappush
from typing import Generic, TypeVar

K = TypeVar("K")


class Agenda(Generic[K]):
    """Keys by time; a look comes at the time planned or sooner, never later.

    What is put off, as most timers are again and again, costs nothing until its old time comes: then its owner looks,
    finds nothing to do, and plans anew.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K]] = []  # what is in it but not in `_at` is out of date
        self._at: dict[K, tuple[float, int]] = {}
        self._count = 0  # breaks ties in the order of planning, so that keys need no order

    @property
    def deadline(self) -> float:
        """When the next look is due, in seconds."""
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][:2]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else math.inf

    def plan(self, key: K, when: float) -> None:
        """Look at `key` at this time at the latest; infinity is no plan."""
        if when < self._at.get(key, (math.inf,))[0]:
            self._count += 1
            self._at[key] = (when, self._count)
            heappush(self._heap, (when, self._count, key))

    def drop(self, key: K) -> None:
        """Look at `key` no more."""
        self._at.pop(key, None)

    def due(self, now: float) -> list[K]:
        """Take out what is to be looked at now, in order; who still has plans must plan again."""
        keys: list[K] = []
        while self.deadline <= now:
            _, _, key = heappop(self._heap)
            del self._at[key]
            keys.append(key)
        return keys
