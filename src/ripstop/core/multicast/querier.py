"""Asks the hosts behind one port, and notices the routers among them."""

import math

from ripstop.core.multicast.messages import PimHello, Query, Version
from ripstop.core.multicast.timers import Timers
from ripstop.core.names import SourceIp

MAX_ROUTERS = 16  # known by address behind one port; one is enough to make it a router port
_UNSAID = Timers(robustness=2, query_interval=125.0, max_response=10.0)  # of a querier that does not say


class Querier:
    """The general queries of one family on one port.

    We ask every port whoever else asks: what a port wants is for us to know, and hosts answer each of us.  So the
    election of RFC 3376 section 6.6.2 decides nothing here but whom to call the querier; queries from no address,
    which are what proxies such as we send, never win it and do not come from routers.

    Source: RFC 4541, section 2.1.1; RFC 3376, section 6.6.
    """

    def __init__(self, timers: Timers, now: float) -> None:
        """Begin with the quick queries of a start."""
        self._timers = timers
        self._startup_left = timers.startup_count
        self._next_at = now
        self._queriers: dict[SourceIp, float] = {}  # until when each counts as present, seconds
        self._speakers: dict[SourceIp, float] = {}  # of PIM, the same
        self._restored_until = -math.inf

    @property
    def deadline(self) -> float:
        """When `tick` next has something to do, in seconds."""
        restored = self._restored_until if self._restored_until > -math.inf else math.inf
        return min(self._next_at, restored, *self._queriers.values(), *self._speakers.values())

    @property
    def has_router(self) -> bool:
        """Whether a router is behind the port, so that it gets every group."""
        return bool(self._queriers or self._speakers) or self._restored_until > -math.inf

    @property
    def elected(self) -> SourceIp | None:
        """The querier among the routers behind the port: the one with the lowest address."""
        return min(self._queriers, default=None)

    @property
    def routers(self) -> tuple[SourceIp, ...]:
        """All routers behind the port, by address."""
        return tuple(sorted({**self._queriers, **self._speakers}))

    def tick(self, now: float) -> list[Query]:
        """Ask if it is time, and forget the routers that were not heard for long."""
        self._queriers = _present(self._queriers, now)
        self._speakers = _present(self._speakers, now)
        if self._restored_until <= now:
            self._restored_until = -math.inf
        if now < self._next_at:
            return []
        self._startup_left = max(0, self._startup_left - 1)
        if self._startup_left:
            self._next_at = now + self._timers.startup_interval
        else:
            self._next_at = _after(now, self._timers.query_interval)
        timers = self._timers
        query = Query(
            Version.V3,
            max_response=timers.max_response,
            robustness=timers.robustness,
            interval=timers.query_interval,
        )
        return [query]

    def hear_query(self, sender: SourceIp, query: Query, now: float) -> None:
        """Another querier is there, for as long as it says that its next query may take.

        Source: RFC 3376, section 8.5; RFC 3810, section 9.5.
        """
        if any(sender):
            robustness = query.robustness or _UNSAID.robustness
            interval = query.interval or _UNSAID.query_interval
            response = _UNSAID.max_response if query.group else query.max_response
            self._note(self._queriers, sender, now + robustness * interval + response / 2)

    def hear_hello(self, sender: SourceIp, hello: PimHello, now: float) -> None:
        """A router says hello, or goodbye.

        Source: RFC 7761, section 4.3.
        """
        if hello.holdtime:
            self._note(self._speakers, sender, now + hello.holdtime)
        else:
            self._speakers.pop(sender, None)

    def restore(self, now: float) -> None:
        """A router was behind the port in a former life: believe it until it had time to speak."""
        self._restored_until = now + _UNSAID.membership()

    def _note(self, routers: dict[SourceIp, float], sender: SourceIp, until: float) -> None:
        if sender in routers or len(routers) < MAX_ROUTERS:
            routers[sender] = until


def _present(routers: dict[SourceIp, float], now: float) -> dict[SourceIp, float]:
    return {router: until for router, until in routers.items() if until > now}


def _after(now: float, interval: float) -> float:
    """Return the next multiple of an interval, so that a host at rest asks all its ports in one go."""
    following = (math.floor(now / interval) + 1) * interval
    return following if following > now else now + interval
