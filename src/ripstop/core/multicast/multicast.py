"""Multicast on one peer: ties what our ports want, what other peers want, and what the kernel does together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ripstop.core.effects import Answer, Distribute, Effect, Internal
from ripstop.core.errors import RequestError
from ripstop.core.mesh.messages import Entry
from ripstop.core.multicast.filters import EVERYTHING, Filter, Mode, union
from ripstop.core.multicast.interest import Interest
from ripstop.core.multicast.limits import Limits, Refusal
from ripstop.core.multicast.messages import ANY_GROUP, Family, Message
from ripstop.core.multicast.port import MembersChanged, MulticastEffect, SendQuery
from ripstop.core.multicast.snooper import Snooper
from ripstop.core.multicast.tables import Delivery
from ripstop.core.multicast.timers import Timers
from ripstop.core.names import MulticastIp, PeerName, PortId, RequestId, ShortId, SourceIp
from ripstop.core.overlay.distribution import Distribution, Places

SLICE = 500  # groups looked at in one go: some ten milliseconds
_ANY = tuple(ANY_GROUP[family] for family in Family)


@dataclass(frozen=True, slots=True)
class MulticastSettings:
    """How groups are dealt with."""

    snoops: bool = True  # else groups go to everyone, and nothing here does anything
    floods_unknown: bool = False  # groups that nobody joined anywhere go to everyone
    timers: Timers = field(default_factory=Timers)
    limits: Limits = field(default_factory=Limits)


class Multicast:
    """What happens comes in by methods that return effects; everything else only reads."""

    def __init__(self, name: PeerName, settings: MulticastSettings) -> None:
        """Begin with no port, no peer, and a kernel that may do something since a former life."""
        self.snooper = Snooper(settings.timers, settings.limits)
        self.interest = Interest(name)
        self._snoops = settings.snoops
        self._distribution = Distribution(marks_unknown=settings.floods_unknown)
        self.everyone = Everyone(self.snooper, self.interest)
        self._ports: tuple[PortId, ...] = ()
        self._knows_mesh = self._has_told = False
        self._behind_since: float | None = None  # since when the kernel has not been told everything
        self._unheard: list[Entry] | None = []  # entries learnt before we know what our ports want; then None

    @property
    def deadline(self) -> float:
        """When `tick` next has something to do, in seconds."""
        return self._behind_since if self._behind_since is not None else self.snooper.deadline

    # What can happen.

    def use_ports(self, ports: tuple[PortId, ...], now: float) -> list[Effect | Internal]:
        """These are our ports now; what was wanted behind those that are gone is wanted no more."""
        if not self._snoops:
            return []
        before, self._ports = self._ports, ports
        effects: list[MulticastEffect] = []
        for port in before:
            if port not in ports:
                effects += self.snooper.remove_port(port)
        for port in ports:
            effects += self.snooper.add_port(port, now)
        return self._follow(effects, now)

    def hear(self, port: PortId, sender: SourceIp, message: Message | None, now: float) -> list[Effect | Internal]:
        """Take what a host or a router behind a port said."""
        if message is None:
            self.snooper.refuse(port, Refusal.MALFORMED)
            return []
        return self._follow(self.snooper.hear(port, sender, message, now), now)

    def restore(self, deliveries: Iterable[Delivery], now: float) -> list[Effect | Internal]:
        """Believe for a while that ports want what the kernel gives them since a former life."""
        effects: list[MulticastEffect] = []
        for port, group, wanted in former_wants(deliveries):
            effects += self.snooper.restore(port, group, wanted, now)
        unheard, self._unheard = self._unheard or [], None
        found = self._follow(effects, now)
        if not self._snoops:  # whatever there is, we want it: we cannot tell who of ours wants what
            found += (announce for group in _ANY for announce in self.interest.set(group, EVERYTHING))
        return [*found, *self.learn(unheard, now)]

    def join(
        self, request: RequestId, port: PortId, group: MulticastIp, wanted: Filter, now: float
    ) -> list[Effect | Internal]:
        """Want packets of a group for a port until `leave`."""
        try:
            effects = self.snooper.join(port, group, wanted)
        except RequestError as error:
            return [Answer(request, error)]
        return [*self._follow(effects, now), Answer(request, 0)]

    def leave(self, request: RequestId, port: PortId, group: MulticastIp, now: float) -> list[Effect | Internal]:
        """End what `join` began."""
        try:
            effects = self.snooper.leave(port, group, now)
        except RequestError as error:
            return [Answer(request, error)]
        return [*self._follow(effects, now), Answer(request, 0)]

    def learn(self, entries: Iterable[Entry], now: float) -> list[Effect | Internal]:
        """Take news from the mesh: entries of the channel mcast; others are ignored.

        Not before `restore`: else what others still have of our former life would be taken back for a moment.
        """
        if self._unheard is not None:
            self._unheard += entries
            return []
        changed, answers = self.interest.learn(entries)
        for group in changed:
            self._touch(group)
        return [*answers, *self._tell(now)]

    def use_mesh(self, ids: Mapping[PeerName, ShortId], places: Places, now: float) -> list[Effect | Internal]:
        """These are the peers now, and our places in their trees and our own."""
        self._knows_mesh = True
        self._distribution.use_mesh(ids, places)
        return self._tell(now)

    def tick(self, now: float) -> list[Effect | Internal]:
        """Do what is due."""
        return self._follow(self.snooper.tick(now), now)

    # What follows.

    def _follow(self, effects: Iterable[MulticastEffect], now: float) -> list[Effect | Internal]:
        found: list[Effect | Internal] = []
        for effect in effects:
            match effect:
                case SendQuery():
                    found.append(effect)
                case MembersChanged(group):
                    self._touch(group)
                    found += self.interest.set(group, self.snooper.interest(group))
        return [*found, *self._tell(now)]

    def _touch(self, group: MulticastIp) -> None:
        if group in _ANY:
            self._distribution.touch_routers()
        else:
            self._distribution.touch(group)

    def _tell(self, now: float) -> list[Effect | Internal]:
        """Say what the kernel must do; nothing before we know the mesh, for it may know better.

        After the first time in slices, so that a change in a mesh with very many groups does not hold up all else.
        """
        if not (self._snoops and self._knows_mesh and self._distribution.is_behind):
            return []
        rows = tuple(self._distribution.follow(self.everyone, SLICE if self._has_told else None))
        self._behind_since = now if self._distribution.is_behind else None
        complete, self._has_told = not self._has_told, True
        return [Distribute(rows, complete)] if rows or complete else []


class Everyone:
    """What all hosts want, behind our ports and elsewhere; static memberships are like any other."""

    def __init__(self, snooper: Snooper, interest: Interest) -> None:
        self._snooper, self._interest = snooper, interest

    def groups(self) -> Iterable[MulticastIp]:
        """Return every group that anybody wants, sorted."""
        found = {*self._snooper.groups(), *self._interest.groups()}.difference(_ANY)
        return sorted(found, key=lambda group: (len(group), group))

    def count(self) -> int:
        """Return how many groups anybody wants."""
        return len({*self._snooper.groups(), *self._interest.groups()}.difference(_ANY))

    def ports(self, group: MulticastIp) -> Mapping[PortId, Filter]:
        """Return what our ports want of a group."""
        heard, static = self._snooper.ports(group), self._snooper.static_ports(group)
        if not static:
            return heard
        return {
            port: union(wanted[port] for wanted in (heard, static) if port in wanted)
            for port in sorted({*heard, *static})
        }

    def peers(self, group: MulticastIp) -> Mapping[PeerName, Filter]:
        """Return what other peers want of a group."""
        return self._interest.peers(group)

    def router_ports(self) -> Iterable[PortId]:
        """Return our ports behind which a router of either family wants everything."""
        return sorted({port for family in Family for port in self._snooper.router_ports(family)})

    def router_peers(self) -> Iterable[PeerName]:
        """Return the other peers that have such ports."""
        return sorted({peer for group in _ANY for peer in self._interest.peers(group)})


def former_wants(deliveries: Iterable[Delivery]) -> Iterable[tuple[PortId, MulticastIp, Filter]]:
    """Yield what ports must have wanted, as rows of the kernel give it to them; `ANY_GROUP` for routers."""
    rows: dict[bytes, dict[bytes, tuple[PortId, ...]]] = {}
    for delivery in deliveries:
        rows.setdefault(delivery.selector.group, {})[delivery.selector.source] = delivery.ports or ()
    routers = rows.pop(b"", {}).get(b"", ())
    yield from ((port, group, EVERYTHING) for port in routers for group in _ANY)
    for group, by_source in sorted(rows.items()):
        general = by_source.pop(b"", ())
        for port in sorted({*general, *(port for ports in by_source.values() for port in ports)}.difference(routers)):
            is_general = port in general
            named = [SourceIp(source) for source, ports in by_source.items() if (port in ports) != is_general]
            yield port, MulticastIp(group), Filter(Mode.EXCLUDE if is_general else Mode.INCLUDE, tuple(named))
