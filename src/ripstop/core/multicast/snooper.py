"""Who behind the ports of this host wants what: the one door to everything in this package that is about hosts."""

from collections.abc import Mapping

from ripstop.core.errors import NotFoundError, RequestError
from ripstop.core.multicast.agenda import Agenda
from ripstop.core.multicast.filters import NOTHING, Filter, union
from ripstop.core.multicast.limits import Limits, Refusal, Refusals
from ripstop.core.multicast.messages import ANY_GROUP, Family, Message, Version, is_snooped
from ripstop.core.multicast.port import Heard, MembersChanged, MulticastEffect, Port, SendQuery
from ripstop.core.multicast.reporters import Reporter
from ripstop.core.multicast.timers import Timers
from ripstop.core.names import MulticastIp, PortId, SourceIp

__all__ = ["MembersChanged", "MulticastEffect", "SendQuery", "Snooper"]

_ANY = tuple(ANY_GROUP[family] for family in Family)


class Snooper:
    """Everything that hosts said, by port, and what was joined for those that cannot speak.

    What is said by `MembersChanged` is level-triggered: read the group anew and make the tables so.
    """

    def __init__(self, timers: Timers, limits: Limits) -> None:
        self._timers = timers
        self._limits = limits
        self._ports: dict[PortId, Port] = {}
        self._heard: dict[MulticastIp, dict[PortId, Filter]] = {}
        self._static: dict[MulticastIp, dict[PortId, Filter]] = {}
        self._former = Refusals()  # of ports that are gone
        self._agenda: Agenda[PortId] = Agenda()

    @property
    def deadline(self) -> float:
        """When `tick` next has something to do, in seconds."""
        return self._agenda.deadline

    # What can happen.

    def add_port(self, port: PortId, now: float) -> list[MulticastEffect]:
        """A port is there; its hosts are asked at once.  One that we have already stays as it is."""
        if port in self._ports:
            return []
        self._ports[port] = Port(port, self._timers, self._limits, now)
        return self._settle(port, self._ports[port].tick(now))

    def remove_port(self, port: PortId) -> list[MulticastEffect]:
        """A port is gone, and with it all that was wanted behind it, static memberships too."""
        gone = self._ports.pop(port, None)
        if gone is None:
            return []
        self._agenda.drop(port)
        self._former.add(gone.refusals)
        static = [group for group, wanted in self._static.items() if port in wanted]
        for group in static:
            _put(self._static, group, port, NOTHING)
        for group in gone.wanted:
            _put(self._heard, group, port, NOTHING)
        return [MembersChanged(group) for group in dict.fromkeys((*gone.wanted, *static))]

    def hear(self, port: PortId, sender: SourceIp, message: Message, now: float) -> list[MulticastEffect]:
        """Take what came in by a port; it means nothing if the port is gone."""
        known = self._ports.get(port)
        return self._settle(port, known.hear(sender, message, now)) if known else []

    def refuse(self, port: PortId, reason: Refusal) -> None:
        """Count something that came in by a port and was not even a message."""
        if port in self._ports:
            self._ports[port].refusals.count(reason)

    def restore(
        self, port: PortId, group: MulticastIp, wanted: Filter, now: float, version: Version = Version.V3
    ) -> list[MulticastEffect]:
        """Believe what the kernel has from a former life until hosts had time to confirm it.

        Args:
            port: one that was added.
            group: what it is about; `ANY_GROUP` restores a router port.
            wanted: what the kernel forwards to the port.
            now: the time, in seconds.
            version: the oldest that was present, as `version` said it.
        """
        known = self._ports.get(port)
        if known is None or not (is_snooped(group) or group in _ANY):
            return []
        return self._settle(port, known.restore(group, wanted, version, now))

    def join(self, port: PortId, group: MulticastIp, wanted: Filter) -> list[MulticastEffect]:
        """Want something for a device that cannot say it; in place of what was joined before.

        Raises:
            NotFoundError: there is no such port.
            RequestError: the group is none, or everyone gets it anyway.
        """
        if port not in self._ports:
            raise NotFoundError(f"port {port} is none of this switch")
        if not is_snooped(group):
            raise RequestError(f"group {group.hex(':')} cannot be joined: it is no group, or goes to every port anyway")
        if self._static.get(group, {}).get(port, NOTHING) == wanted:
            return []
        _put(self._static, group, port, wanted)
        return [MembersChanged(group)]

    def leave(self, port: PortId, group: MulticastIp, now: float) -> list[MulticastEffect]:
        """End what `join` began; the port is asked about what only the kernel says it wants, for that may be the same.

        Raises:
            NotFoundError: it was not joined.
        """
        if port not in self._static.get(group, {}):
            raise NotFoundError(f"port {port} has not joined group {group.hex(':')}")
        _put(self._static, group, port, NOTHING)
        return [MembersChanged(group), *self._settle(port, self._ports[port].ask(group, now))]

    def tick(self, now: float) -> list[MulticastEffect]:
        """Do what is due."""
        effects: list[MulticastEffect] = []
        for port in self._agenda.due(now):
            effects += self._settle(port, self._ports[port].tick(now))
        return effects

    # What is known.

    def groups(self) -> tuple[MulticastIp, ...]:
        """Return every group of which something is wanted, sorted, IPv4 first."""
        found = {**self._heard, **self._static}
        return tuple(sorted((group for group in found if group not in _ANY), key=lambda group: (len(group), group)))

    def ports(self, group: MulticastIp) -> Mapping[PortId, Filter]:
        """Return what the hosts behind each port want of a group; for `ANY_GROUP`, the ports with routers."""
        return dict(sorted(self._heard.get(group, {}).items()))

    def static_ports(self, group: MulticastIp) -> Mapping[PortId, Filter]:
        """Return what was joined for each port."""
        return dict(sorted(self._static.get(group, {}).items()))

    def router_ports(self, family: Family) -> tuple[PortId, ...]:
        """Return the ports that get every group of a family."""
        return tuple(sorted(self._heard.get(ANY_GROUP[family], {})))

    def interest(self, group: MulticastIp) -> Filter:
        """Return what all ports together want of a group; for `ANY_GROUP`, everything if there are routers."""
        return union((*self._heard.get(group, {}).values(), *self._static.get(group, {}).values()))

    def reporters(self, port: PortId, group: MulticastIp, now: float) -> tuple[Reporter, ...]:
        """Return the hosts behind a port that are known to want a group; there may be others of older versions."""
        return self._ports[port].reporters(group, now) if port in self._ports else ()

    def version(self, port: PortId, group: MulticastIp, now: float) -> Version:
        """Return the version of the oldest hosts behind a port that may be in a group."""
        return self._ports[port].version(group, now) if port in self._ports else Version.V3

    def routers(self, port: PortId, family: Family) -> tuple[SourceIp, ...]:
        """Return the routers behind a port."""
        return self._ports[port].routers(family) if port in self._ports else ()

    def querier(self, port: PortId, family: Family) -> SourceIp | None:
        """Return the router behind a port that others would leave the asking to; None if there is none but us."""
        return self._ports[port].querier(family) if port in self._ports else None

    def memberships(self) -> Mapping[str, int]:
        """Return how many memberships there are, by why: a group counts once for each port."""
        heard = {group: wanted for group, wanted in self._heard.items() if group not in _ANY}
        return {
            "report": sum(map(len, heard.values())),
            "static": sum(map(len, self._static.values())),
            "router": sum(len(self._heard.get(group, {})) for group in _ANY),
        }

    def heard(self) -> Mapping[PortId, Mapping[Heard, int]]:
        """Return how many messages of each kind came in by each port that is there."""
        return {port: dict(self._ports[port].heard) for port in sorted(self._ports)}

    def refusals(self) -> Mapping[PortId, Mapping[Refusal, int]]:
        """Return what was refused at each port that is there."""
        return {port: self._ports[port].refusals.all() for port in sorted(self._ports)}

    def refused(self) -> Mapping[Refusal, int]:
        """Return what was refused in all, at ports that are gone, too."""
        total = Refusals()
        total.add(self._former)
        for port in self._ports.values():
            total.add(port.refusals)
        return total.all()

    def _settle(self, id_: PortId, effects: list[MulticastEffect]) -> list[MulticastEffect]:
        """Take over what has changed behind a port, and say so once for each group."""
        port = self._ports[id_]
        self._agenda.plan(id_, port.deadline)
        for effect in effects:
            if isinstance(effect, MembersChanged):
                _put(self._heard, effect.group, id_, port.wanted.get(effect.group, NOTHING))
        return list(dict.fromkeys(effects))


def _put(index: dict[MulticastIp, dict[PortId, Filter]], group: MulticastIp, port: PortId, wanted: Filter) -> None:
    if wanted == NOTHING:
        index.get(group, {}).pop(port, None)
        if not index.get(group):
            index.pop(group, None)
    else:
        index.setdefault(group, {})[port] = wanted
