"""Specific queries: the last call for a group, or for some of its sources, that somebody wants no more.

Source: RFC 3376, section 6.6.3; RFC 3810, section 7.6.3.
"""

import math
from collections.abc import Iterable, Mapping

from ripstop.core.multicast.messages import Query, Version
from ripstop.core.multicast.timers import Timers
from ripstop.core.names import MulticastIp, SourceIp

MAX_QUERY_SOURCES = 64  # of one query, so that it fits into a packet of 1280 bytes with IPv6


class LastCall:
    """Asks several times, as a query or its answer may be lost."""

    def __init__(self, group: MulticastIp, timers: Timers) -> None:
        self.deadline = math.inf  # when `repeat` next has something to do, seconds
        self._group = group
        self._timers = timers
        self._left: dict[SourceIp | None, int] = {}  # queries still to be sent; None is the group as such

    def begin(self, targets: Iterable[SourceIp | None], now: float) -> list[Query]:
        """Return the first query for these, whose timers have just been lowered, and repeat it."""
        asked = list(targets)
        if not asked:
            return []
        if self._timers.last_member_count > 1:
            self._left |= dict.fromkeys(asked, self._timers.last_member_count - 1)
            self.deadline = min(self.deadline, now + self._timers.last_member_interval)
        return self._queries(asked, suppress=False)

    def repeat(self, sources: Mapping[SourceIp, float], group: float | None, now: float) -> list[Query]:
        """Return what is due.

        Args:
            sources: their timers; those that are not in it are forgotten.
            group: the group timer, None if it has run out.
            now: the time, in the same seconds.
        """
        if now < self.deadline:
            return []
        timers: dict[SourceIp | None, float] = {None: group} if group is not None else {}
        timers |= {source: sources[source] for source in self._left if source is not None and source in sources}
        asked = [target for target in self._left if target in timers]
        self._left = {target: self._left[target] - 1 for target in asked if self._left[target] > 1}
        self.deadline = now + self._timers.last_member_interval if self._left else math.inf
        last = now + self._timers.last_member_time
        answered = [target for target in asked if timers[target] > last]
        waiting = [target for target in asked if timers[target] <= last]
        return [*self._queries(answered, suppress=True), *self._queries(waiting, suppress=False)]

    def _queries(self, targets: list[SourceIp | None], *, suppress: bool) -> list[Query]:
        sources = sorted(target for target in targets if target is not None)
        parts = [tuple(sources[i : i + MAX_QUERY_SOURCES]) for i in range(0, len(sources), MAX_QUERY_SOURCES)]
        if None in targets:
            parts.append(())
        return [
            Query(
                Version.V3,
                self._group,
                part,
                self._timers.last_member_interval,
                self._timers.robustness,
                self._timers.query_interval,
                suppress,
            )
            for part in parts
        ]
