"""One group behind one port, as a router sees it."""

import math
from collections.abc import Iterable

from ripstop.core.multicast.filters import Filter, Mode
from ripstop.core.multicast.lastcall import LastCall
from ripstop.core.multicast.limits import Limits, Refusal, Refusals
from ripstop.core.multicast.messages import Kind, Query, Record, Version
from ripstop.core.multicast.reporters import Reporter, Reporters
from ripstop.core.multicast.table import Step, step
from ripstop.core.multicast.timers import Timers
from ripstop.core.names import MulticastIp, SourceIp

_LEAVES = (Kind.TO_IN, Kind.TO_EX, Kind.BLOCK)  # records after which something may be wanted no more


class Group:
    """Takes records and says what is wanted; asks before it believes that nobody wants something.

    Everything holds until a timer runs out: the group timer is how long EXCLUDE holds, the timer of a source how long
    that source is known to be wanted.

    Source: RFC 3376, sections 6.2 to 6.5; RFC 3810, section 7.
    """

    def __init__(self, group: MulticastIp, timers: Timers, limits: Limits, refusals: Refusals) -> None:
        """Begin with nothing wanted; what is refused is counted in `refusals`."""
        self._timers = timers
        self._limits = limits
        self._refusals = refusals
        self._mode = Mode.INCLUDE
        self._until = -math.inf  # group timer, seconds
        self._requested: dict[SourceIp, float] = {}  # source timers, seconds
        self._excluded: dict[SourceIp, None] = {}
        self._reporters = Reporters(limits.reporters)
        self._last_call = LastCall(group, timers)
        self._v1_until = self._v2_until = -math.inf  # older version host present timers, seconds

    @property
    def deadline(self) -> float:
        """When `tick` next has something to do, in seconds."""
        group = self._until if self._mode is Mode.EXCLUDE else math.inf
        return min(group, self._last_call.deadline, min(self._requested.values(), default=math.inf))

    @property
    def wanted(self) -> Filter:
        """What is to be forwarded; if that is nothing, the group can be forgotten."""
        if self._mode is Mode.INCLUDE:
            return Filter(Mode.INCLUDE, tuple(self._requested))
        return Filter(Mode.EXCLUDE, tuple(self._excluded))

    def version(self, now: float) -> Version:
        """Return the version of the oldest hosts that may be present.

        Source: RFC 3376, section 7.3.2; RFC 3810, section 8.3.2.
        """
        if now < self._v1_until:
            return Version.V1
        return Version.V2 if now < self._v2_until else Version.V3

    def reporters(self, now: float) -> tuple[Reporter, ...]:
        """Return the hosts that are known to want something."""
        return self._reporters.current(now)

    def restore(self, wanted: Filter, version: Version, now: float) -> None:
        """Take what was wanted in a former life for wanted, until hosts had time to say it again.

        Args:
            wanted: by anybody who is left.
            version: the oldest that was present.
            now: the time, in seconds.
        """
        until = now + self._timers.membership(version)
        self._reporters.lose_sight(until)
        if version is Version.V1:
            self._v1_until = until
        elif version is Version.V2:
            self._v2_until = until
        together = self.wanted | wanted  # hosts may have spoken already
        if together.mode is Mode.EXCLUDE:
            self._mode, self._until = Mode.EXCLUDE, max(self._until, until)
            self._excluded = dict.fromkeys(together.sources)
        else:
            self._requested = {**dict.fromkeys(together.sources, until), **self._requested}

    def hear(self, sender: SourceIp, version: Version, record: Record, now: float) -> list[Query]:
        """Take what a host says, and return what it must be asked back."""
        may_leave = version is Version.V3 and record.kind in _LEAVES and self.version(now) is Version.V3
        leaves_at_once = may_leave and self._reporters.is_only(sender, now)
        self._note_version(version, record.kind, now)
        heeded = _heed(record, self.version(now))
        if heeded is None:
            return []
        heeded = self._within_limits(heeded, leaves_at_once=leaves_at_once)
        until = now + self._timers.membership(self.version(now))
        if not self._reporters.hear(sender, version, heeded, until, now):
            self._refusals.count(Refusal.REPORTERS)
        requested, excluded = frozenset(self._requested), frozenset(self._excluded)
        taken = step(self._mode, heeded.kind, requested, excluded, frozenset(heeded.sources))
        self._take(taken, until)
        if leaves_at_once:
            self._end(taken.asked, is_group=taken.asks_group)
            return []
        return self._ask(taken, now)

    def ask(self, now: float) -> list[Query]:
        """Doubt everything, unless hosts of version 1 may be there, which take their time; return the queries."""
        if self.version(now) is Version.V1:
            return []
        requested = frozenset(self._requested)
        return self._ask(Step(self._mode, requested, asked=requested, asks_group=self._mode is Mode.EXCLUDE), now)

    def tick(self, now: float) -> list[Query]:
        """Forget what nobody claimed in time, and repeat what was not answered yet."""
        self._end([source for source, until in self._requested.items() if until <= now], is_group=self._until <= now)
        return self._last_call.repeat(self._requested, self._until if self._mode is Mode.EXCLUDE else None, now)

    def _note_version(self, version: Version, kind: Kind, now: float) -> None:
        """Older hosts show by their reports; a leave is no sign of presence."""
        if version is Version.V1:
            self._v1_until = now + self._timers.membership(Version.V1)
        elif version is Version.V2 and kind is Kind.IS_EX:
            self._v2_until = now + self._timers.membership(Version.V2)

    def _within_limits(self, record: Record, *, leaves_at_once: bool) -> Record:
        """Leave out new sources for which there is no room."""
        if not record.sources or (self._mode is Mode.INCLUDE and record.kind is Kind.BLOCK):
            return record
        said = tuple(dict.fromkeys(record.sources))
        known = [*self._requested, *self._excluded]
        if record.kind in (Kind.IS_EX, Kind.TO_EX) or (record.kind is Kind.TO_IN and leaves_at_once):
            known = [source for source in known if source in said]  # the others are not there any more afterwards
        new = [source for source in said if source not in self._requested and source not in self._excluded]
        excess = len(known) + len(new) - self._limits.sources
        if excess <= 0 or not new:
            return record
        self._refusals.count(Refusal.SOURCES, min(excess, len(new)))
        refused = dict.fromkeys(new[-excess:] if excess < len(new) else new)
        return Record(record.kind, record.group, tuple(source for source in said if source not in refused))

    def _take(self, taken: Step, until: float) -> None:
        inherited = self._until if self._mode is Mode.EXCLUDE else until
        timers = dict.fromkeys(taken.inherited, inherited) | dict.fromkeys(taken.renewed, until)
        self._mode = taken.mode
        self._requested = {source: timers.get(source, self._requested.get(source, until)) for source in taken.requested}
        self._excluded = dict.fromkeys(taken.excluded)
        if taken.renews_group:
            self._until = until

    def _ask(self, taken: Step, now: float) -> list[Query]:
        """Lower the timers of what may be wanted no more, unless they are low already, and ask."""
        last = now + self._timers.last_member_time
        asked: list[SourceIp | None] = [source for source in sorted(taken.asked) if self._requested[source] > last]
        self._requested |= {source: last for source in asked if source is not None}
        if taken.asks_group and self._until > last:
            self._until = last
            asked.append(None)
        return self._last_call.begin(asked, now)

    def _end(self, sources: Iterable[SourceIp], *, is_group: bool) -> None:
        """The timers of these have run out."""
        for source in sources:
            del self._requested[source]
            if self._mode is Mode.EXCLUDE:
                self._excluded[source] = None
        if is_group and self._mode is Mode.EXCLUDE:
            self._mode, self._excluded = Mode.INCLUDE, {}
            self._reporters.nobody_excludes(self.wanted)


def _heed(record: Record, version: Version) -> Record | None:
    """Return what of a record counts while hosts of an older version are present; None if nothing does.

    Source: RFC 3376, section 7.3.2; RFC 3810, section 8.3.2.
    """
    if version is not Version.V3 and record.kind is Kind.BLOCK:
        return None
    if version is Version.V1 and record.kind is Kind.TO_IN:
        return None
    if version is not Version.V3 and record.kind is Kind.TO_EX:
        return Record(Kind.TO_EX, record.group)
    return record
