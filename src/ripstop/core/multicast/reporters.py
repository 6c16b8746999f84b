"""Which hosts behind a port want what of one group, as far as each has said so itself.

Hosts of version 3 all speak for themselves, so where only such are heard, the last one that leaves can be let go
without a question.  Older hosts keep silent when another has spoken (RFC 2236, section 3).
"""

from dataclasses import dataclass

from ripstop.core.multicast.filters import NOTHING, Filter, Mode
from ripstop.core.multicast.messages import Kind, Record, Version
from ripstop.core.names import SourceIp


@dataclass(frozen=True, slots=True)
class Reporter:
    """One host and what it wants of the group."""

    host: SourceIp
    version: Version
    wanted: Filter  # perhaps more than it still wants, if a word of its was lost
    until: float  # when it is forgotten unless it is heard again, seconds


class Reporters:
    """Remembers who said what, and whether that can be all there is."""

    def __init__(self, most: int) -> None:
        """Know at most so many hosts, and as many sources of each."""
        self._most = most
        self._known: dict[SourceIp, Reporter] = {}
        self._blind_until = 0.0  # up to here there may be hosts that we do not know, seconds

    def current(self, now: float) -> tuple[Reporter, ...]:
        """Return those who want something, by address."""
        return tuple(self._known[host] for host in sorted(self._known) if self._known[host].until > now)

    def is_only(self, host: SourceIp, now: float) -> bool:
        """Return whether this host is known, of version 3, and nobody else can be there."""
        known = [(one.host, one.version) for one in self.current(now)]
        return now >= self._blind_until and known == [(host, Version.V3)]

    def lose_sight(self, until: float) -> None:
        """There may be hosts that we do not know, until everyone must have been heard again."""
        self._blind_until = max(self._blind_until, until)

    def hear(self, host: SourceIp, version: Version, record: Record, until: float, now: float) -> bool:
        """Note what a host says; return whether there is room for it."""
        if version is not Version.V3 or not any(host):  # hosts without an address share none (RFC 3376, section 4.2.13)
            self.lose_sight(until)
        if not any(host):
            return True
        before = self._known.get(host)
        wanted = _after(before.wanted if before else NOTHING, record)
        wanted = Filter(wanted.mode, wanted.sources[: self._most])
        if wanted == NOTHING:
            self._known.pop(host, None)
            return True
        if before is None and len(self._known) >= self._most:
            self._known = {one.host: one for one in self.current(now)}
            if len(self._known) >= self._most:
                self.lose_sight(until)
                return False
        self._known[host] = Reporter(host, version, wanted, until)
        return True

    def nobody_excludes(self, wanted: Filter) -> None:
        """Whoever wanted all but some sources has said so no more: at most it wants what is still wanted."""
        for one in self._known.values():
            if one.wanted.mode is Mode.EXCLUDE:
                self._known[one.host] = Reporter(one.host, one.version, wanted, one.until)


def _after(wanted: Filter, record: Record) -> Filter:
    """Return what a host wants that wanted this before.

    IS_IN may answer a query for some sources only, so what it does not name may be wanted still.

    Source: RFC 3376, section 5.2.
    """
    match record.kind:
        case Kind.TO_IN:
            return Filter(Mode.INCLUDE, record.sources)
        case Kind.IS_EX | Kind.TO_EX:
            return Filter(Mode.EXCLUDE, record.sources)
        case Kind.IS_IN | Kind.ALLOW:
            return wanted | Filter(Mode.INCLUDE, record.sources)
        case Kind.BLOCK if wanted.mode is Mode.EXCLUDE:
            return Filter(Mode.EXCLUDE, wanted.sources + record.sources)
        case Kind.BLOCK:
            return Filter(Mode.INCLUDE, tuple(source for source in wanted.sources if source not in record.sources))
