"""What is behind one port: its groups, its queriers, and how much of both it may cost us."""

from collections.abc import Mapping
from dataclasses import dataclass

from ripstop.core.multicast.agenda import Agenda
from ripstop.core.multicast.filters import EVERYTHING, NOTHING, Filter
from ripstop.core.multicast.group import Group
from ripstop.core.multicast.limits import Limits, Refusal, Refusals, TokenBucket
from ripstop.core.multicast.messages import (
    ANY_GROUP,
    Family,
    Kind,
    Message,
    PimHello,
    Query,
    Record,
    Report,
    Version,
    family_of,
    is_snooped,
)
from ripstop.core.multicast.querier import Querier
from ripstop.core.multicast.reporters import Reporter
from ripstop.core.multicast.timers import Timers
from ripstop.core.names import MulticastIp, PortId, SourceIp


@dataclass(frozen=True, slots=True)
class SendQuery:
    """Ask the hosts behind a port, and nobody else."""

    port: PortId
    family: Family
    query: Query


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """What ports want of a group is not what it was; ANY_GROUP: other ports than before have routers."""

    group: MulticastIp


MulticastEffect = SendQuery | MembersChanged
Heard = tuple[Family, str]  # "report" | "query" | "hello"
_KINDS = {Report: "report", Query: "query", PimHello: "hello"}


class Port:
    """Hands what is heard to the group it is about, and says when what the port wants has changed."""

    def __init__(self, port: PortId, timers: Timers, limits: Limits, now: float) -> None:
        """Begin with nothing wanted; the first queries are due at once."""
        self.refusals = Refusals()
        self.heard: dict[Heard, int] = {}  # messages by family and kind, whether they had an effect or not
        self._id = port
        self._timers = timers
        self._limits = limits
        self._bucket = TokenBucket(limits.records_per_second, limits.burst, now)
        self._groups: dict[MulticastIp, Group] = {}
        self._queriers = {family: Querier(timers, now) for family in Family}
        self._wanted: dict[MulticastIp, Filter] = {}  # as we said last; ANY_GROUP for routers
        self._agenda: Agenda[MulticastIp | Family] = Agenda()
        for family in Family:
            self._agenda.plan(family, now)

    @property
    def deadline(self) -> float:
        """When `tick` next has something to do, in seconds."""
        return self._agenda.deadline

    @property
    def wanted(self) -> Mapping[MulticastIp, Filter]:
        """What the hosts want of each group, and everything of ANY_GROUP where there are routers."""
        return self._wanted

    def reporters(self, group: MulticastIp, now: float) -> tuple[Reporter, ...]:
        """Return the hosts that are known to want a group."""
        return self._groups[group].reporters(now) if group in self._groups else ()

    def routers(self, family: Family) -> tuple[SourceIp, ...]:
        """Return the routers behind the port."""
        return self._queriers[family].routers

    def querier(self, family: Family) -> SourceIp | None:
        """Return the router that other routers would leave the asking to; None if there is none but us."""
        return self._queriers[family].elected

    def hear(self, sender: SourceIp, message: Message, now: float) -> list[MulticastEffect]:
        """Take what came in by this port."""
        kind = family_of(sender), _KINDS[type(message)]
        self.heard[kind] = self.heard.get(kind, 0) + 1
        cost = max(1, len(message.records)) if isinstance(message, Report) else 1
        granted = self._bucket.take(cost, now)
        if granted < cost:
            self.refusals.count(Refusal.RATE, cost - granted)
        if not granted:
            return []
        match message:
            case Report(version, records):
                return self._hear_records(sender, version, records[:granted], now)
            case Query():
                self._queriers[family_of(sender)].hear_query(sender, message, now)
            case PimHello():
                self._queriers[family_of(sender)].hear_hello(sender, message, now)
        return self._settle_routers(family_of(sender))

    def version(self, group: MulticastIp, now: float) -> Version:
        """Return the version of the oldest hosts that may be in a group."""
        return self._groups[group].version(now) if group in self._groups else Version.V3

    def restore(self, group: MulticastIp, wanted: Filter, version: Version, now: float) -> list[MulticastEffect]:
        """Take what was wanted in a former life for wanted until hosts, or routers, had time to speak."""
        for family in Family:
            if group == ANY_GROUP[family]:
                self._queriers[family].restore(now)
                return self._settle_routers(family)
        restored = self._groups.get(group) or Group(group, self._timers, self._limits, self.refusals)
        restored.restore(wanted, version, now)
        return self._settle(group, restored)

    def ask(self, group: MulticastIp, now: float) -> list[MulticastEffect]:
        """Have a group that was restored confirmed: it ends unless a host claims it soon."""
        known = self._groups.get(group)
        if known is None or known.reporters(now):
            return []
        queries = [SendQuery(self._id, family_of(group), query) for query in known.ask(now)]
        return [*queries, *self._settle(group, known)]

    def tick(self, now: float) -> list[MulticastEffect]:
        """Do what is due."""
        effects: list[MulticastEffect] = []
        for key in self._agenda.due(now):
            if isinstance(key, Family):
                effects += (SendQuery(self._id, key, query) for query in self._queriers[key].tick(now))
                effects += self._settle_routers(key)
            else:
                group = self._groups[key]
                effects += (SendQuery(self._id, family_of(key), query) for query in group.tick(now))
                effects += self._settle(key, group)
        return effects

    def _hear_records(
        self, sender: SourceIp, version: Version, records: tuple[Record, ...], now: float
    ) -> list[MulticastEffect]:
        effects: list[MulticastEffect] = []
        for record in records:
            group = self._group(record) if is_snooped(record.group) else None
            if group is not None:
                queries = group.hear(sender, version, record, now)
                effects += (SendQuery(self._id, family_of(record.group), query) for query in queries)
                effects += self._settle(record.group, group)
        return effects

    def _group(self, record: Record) -> Group | None:
        """Return the group that a record is about; None if it wants nothing of a group that nobody wanted."""
        known = self._groups.get(record.group)
        if known is not None or not _joins(record):
            return known
        if len(self._groups) >= self._limits.groups:
            self.refusals.count(Refusal.GROUPS)
            return None
        return Group(record.group, self._timers, self._limits, self.refusals)

    def _settle(self, address: MulticastIp, group: Group) -> list[MulticastEffect]:
        """Remember a group, or forget it if nothing of it is wanted, and say what has changed."""
        if group.wanted == NOTHING:
            self._groups.pop(address, None)
            self._agenda.drop(address)
        else:
            self._groups[address] = group
            self._agenda.plan(address, group.deadline)
        return self._say(address, group.wanted)

    def _settle_routers(self, family: Family) -> list[MulticastEffect]:
        querier = self._queriers[family]
        self._agenda.plan(family, querier.deadline)
        return self._say(ANY_GROUP[family], EVERYTHING if querier.has_router else NOTHING)

    def _say(self, group: MulticastIp, wanted: Filter) -> list[MulticastEffect]:
        if wanted == self._wanted.get(group, NOTHING):
            return []
        if wanted == NOTHING:
            del self._wanted[group]
        else:
            self._wanted[group] = wanted
        return [MembersChanged(group)]


def _joins(record: Record) -> bool:
    return record.kind in (Kind.IS_EX, Kind.TO_EX) or (record.kind is not Kind.BLOCK and bool(record.sources))
