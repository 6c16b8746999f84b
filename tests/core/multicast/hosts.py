"""Hosts as the RFCs want them, and ports with several of them that a snooper looks after.

Host behaviour: RFC 1112, appendix I; RFC 2236, section 3; RFC 3376, section 5.
"""

import math
from collections.abc import Iterator
from random import Random

from ripstop.core.multicast.filters import NOTHING, Filter, Mode
from ripstop.core.multicast.limits import Limits
from ripstop.core.multicast.messages import Kind, Query, Record, Report, Version
from ripstop.core.multicast.snooper import MulticastEffect, SendQuery, Snooper
from ripstop.core.multicast.timers import V1_RESPONSE, Timers
from ripstop.core.names import MulticastIp, PortId, SourceIp

UNSOLICITED = 1.0  # seconds between the reports of a change, at most; RFC 3376, section 8.11


class Host:
    """One that speaks the newest version."""

    version = Version.V3

    def __init__(self, address: SourceIp, robustness: int, rng: Random) -> None:
        self.address = address
        self.wanted: dict[MulticastIp, Filter] = {}
        self._robustness = robustness
        self._rng = rng
        self._general_at = math.inf
        self._specific: dict[MulticastIp, tuple[float, frozenset[SourceIp]]] = {}
        self._mode_changes: dict[MulticastIp, int] = {}  # reports still to be sent
        self._source_changes: dict[MulticastIp, dict[SourceIp, int]] = {}
        self._change_at = math.inf

    @property
    def deadline(self) -> float:
        return min(self._general_at, self._change_at, *(at for at, _ in self._specific.values()), math.inf)

    def want(self, group: MulticastIp, wanted: Filter, now: float) -> None:
        before = self.wanted.pop(group, NOTHING)
        if wanted != NOTHING:
            self.wanted[group] = wanted
        if wanted.mode is not before.mode:
            self._mode_changes[group] = self._robustness
            self._source_changes.pop(group, None)
        elif wanted != before:
            changed = {*wanted.sources} ^ {*before.sources}
            self._source_changes.setdefault(group, {}).update(dict.fromkeys(sorted(changed), self._robustness))
        else:
            return
        self._change_at = now

    def hear_query(self, query: Query, now: float) -> None:
        at = now + self._rng.random() * query.max_response
        if self._general_at <= at:
            return
        if query.group is None:
            self._general_at = at
        elif query.group in self._specific:
            pending, sources = self._specific[query.group]
            both = sources | {*query.sources} if sources and query.sources else frozenset()
            self._specific[query.group] = (min(pending, at), both)
        else:
            self._specific[query.group] = (at, frozenset(query.sources))

    def hear_report(self, report: Report, now: float) -> None:
        """Hosts of this version never keep silent for others."""

    def tick(self, now: float) -> list[Report]:
        records = [*self._changes(now), *self._answers(now)]
        return [Report(self.version, tuple(records))] if records else []

    def _changes(self, now: float) -> Iterator[Record]:
        if now < self._change_at:
            return
        for group in list(self._mode_changes):
            wanted = self.wanted.get(group, NOTHING)
            yield Record(Kind.TO_IN if wanted.mode is Mode.INCLUDE else Kind.TO_EX, group, wanted.sources)
            self._mode_changes[group] -= 1
            if not self._mode_changes[group]:
                del self._mode_changes[group]
        for group, left in list(self._source_changes.items()):
            if group in self._mode_changes:
                continue
            wanted = self.wanted.get(group, NOTHING)
            allowed = tuple(source for source in left if wanted.passes(source))
            blocked = tuple(source for source in left if not wanted.passes(source))
            yield from (Record(kind, group, s) for kind, s in ((Kind.ALLOW, allowed), (Kind.BLOCK, blocked)) if s)
            self._source_changes[group] = {source: count - 1 for source, count in left.items() if count > 1}
            if not self._source_changes[group]:
                del self._source_changes[group]
        more = self._mode_changes or self._source_changes
        self._change_at = now + self._rng.random() * UNSOLICITED if more else math.inf

    def _answers(self, now: float) -> Iterator[Record]:
        if self._general_at <= now:
            self._general_at = math.inf
            for group, wanted in self.wanted.items():
                yield Record(Kind.IS_IN if wanted.mode is Mode.INCLUDE else Kind.IS_EX, group, wanted.sources)
        for group, (at, asked) in list(self._specific.items()):
            if at > now:
                continue
            del self._specific[group]
            wanted = self.wanted.get(group, NOTHING)
            if asked:
                some = tuple(sorted(source for source in asked if wanted.passes(source)))
                if some:
                    yield Record(Kind.IS_IN, group, some)
            elif wanted != NOTHING:
                yield Record(Kind.IS_IN if wanted.mode is Mode.INCLUDE else Kind.IS_EX, group, wanted.sources)


class OlderHost(Host):
    """One of version 2: wants all of a group or nothing, and keeps silent when another host has spoken."""

    version = Version.V2

    def __init__(self, address: SourceIp, robustness: int, rng: Random) -> None:
        super().__init__(address, robustness, rng)
        self._report_at: dict[MulticastIp, float] = {}
        self._repeats: dict[MulticastIp, int] = {}
        self._spoke_last: dict[MulticastIp, bool] = {}
        self._leaves: list[MulticastIp] = []

    @property
    def deadline(self) -> float:
        return -math.inf if self._leaves else min(self._report_at.values(), default=math.inf)

    def want(self, group: MulticastIp, wanted: Filter, now: float) -> None:
        before = self.wanted.pop(group, NOTHING)
        if wanted != NOTHING:
            self.wanted[group] = Filter(Mode.EXCLUDE)
            if before == NOTHING:
                self._report_at[group] = now
                self._repeats[group] = self._robustness - 1
        else:
            self._report_at.pop(group, None)
            self._repeats.pop(group, None)
            if self._spoke_last.pop(group, False) and self.version is Version.V2:
                self._leaves.append(group)

    def hear_query(self, query: Query, now: float) -> None:
        for group in self.wanted:
            if query.group in (None, group):
                at = now + self._rng.random() * query.max_response
                self._report_at[group] = min(at, self._report_at.get(group, math.inf))

    def hear_report(self, report: Report, now: float) -> None:
        if report.version is not Version.V3:
            for record in report.records:
                if record.kind is Kind.IS_EX and record.group in self.wanted:
                    self._report_at.pop(record.group, None)
                    self._spoke_last[record.group] = False

    def tick(self, now: float) -> list[Report]:
        leaves, self._leaves = self._leaves, []
        reports = [Report(self.version, (Record(Kind.TO_IN, group),)) for group in leaves]
        for group in [group for group, at in self._report_at.items() if at <= now]:
            del self._report_at[group]
            self._spoke_last[group] = True
            if self._repeats.pop(group, 0) > 0:
                self._report_at[group] = now + self._rng.random() * UNSOLICITED
            reports.append(Report(self.version, (Record(Kind.IS_EX, group),)))
        return reports


class OldestHost(OlderHost):
    """One of version 1: takes its time, and goes without a word."""

    version = Version.V1

    def hear_query(self, query: Query, now: float) -> None:
        for group in self.wanted:
            self._report_at.setdefault(group, now + self._rng.random() * V1_RESPONSE)

    def hear_report(self, report: Report, now: float) -> None:
        if report.version is Version.V1:  # a report of version 2 has another type, which it does not know
            super().hear_report(report, now)


class Lan:
    """Hosts behind ports, a snooper and a clock; what one sends all others on its port hear, unless it is lost."""

    def __init__(self, hosts: dict[PortId, tuple[Host, ...]], timers: Timers, rng: Random) -> None:
        self.hosts = hosts
        self.now = 0.0
        self.lose_next = False
        self.arrived: dict[tuple[SourceIp, MulticastIp], None] = {}  # who has been heard since its last change
        self._timers = timers
        self._rng = rng
        self.snooper = Snooper(timers, Limits())
        for port in hosts:
            self._perform(self.snooper.add_port(port, self.now))

    def want(self, port: PortId, host: Host, group: MulticastIp, wanted: Filter) -> None:
        before = host.wanted.get(group, NOTHING)
        host.want(group, wanted, self.now)
        if host.wanted.get(group, NOTHING) != before:
            self.arrived.pop((host.address, group), None)
        self._speak(port, host)

    def restart(self) -> None:
        """The daemon dies and comes back; what it told the kernel is still there."""
        former, self.snooper = self.snooper, Snooper(self._timers, Limits())
        for port in self.hosts:
            self._perform(self.snooper.add_port(port, self.now))
        for group in former.groups():
            for port, wanted in former.ports(group).items():
                version = former.version(port, group, self.now)
                self._perform(self.snooper.restore(port, group, wanted, self.now, version))

    def run(self, seconds: float) -> Iterator[None]:
        """Let time pass, stopping after each thing that happens."""
        end = self.now + seconds
        while True:
            deadlines = [(host.deadline, port, host) for port, hosts in self.hosts.items() for host in hosts]
            at, port, host = min(deadlines, key=lambda one: one[0])
            following = min(at, self.snooper.deadline)
            if following > end:
                break
            self.now = max(self.now, following)
            if at <= self.snooper.deadline:
                self._speak(port, host)
            else:
                self._perform(self.snooper.tick(self.now))
            yield
        self.now = end

    def _speak(self, port: PortId, host: Host) -> None:
        for report in host.tick(self.now) if host.deadline <= self.now else ():
            for other in self.hosts[port]:
                if other is not host:
                    other.hear_report(report, self.now)
            if not self._is_lost():
                self._note(host, report)
                self._perform(self.snooper.hear(port, host.address, report, self.now))

    def _note(self, host: Host, report: Report) -> None:
        for record in report.records:
            is_whole = record.kind is not Kind.IS_IN  # it may have been about some sources only
            if is_whole and record.group in host.wanted:
                self.arrived[host.address, record.group] = None

    def _perform(self, effects: list[MulticastEffect]) -> None:
        for effect in effects:
            if isinstance(effect, SendQuery) and not self._is_lost():
                for host in self.hosts[effect.port]:
                    host.hear_query(effect.query, self.now)

    def _is_lost(self) -> bool:
        lost, self.lose_next = self.lose_next, False
        return lost
