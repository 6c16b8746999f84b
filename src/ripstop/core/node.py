"""One peer: owns the feature cores and routes between them; decides nothing itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from ripstop.core.address import Range
from ripstop.core.dns.dns import Dns
from ripstop.core.effects import (
    Announce,
    Effect,
    Heard,
    Internal,
    Learned,
    ReachabilityChanged,
    Tell,
    TreesChanged,
    WaysChanged,
)
from ripstop.core.events import (
    AllocateRequested,
    CancelRequested,
    ClaimRequested,
    Event,
    FormerRows,
    JoinRequested,
    LeaveGroupRequested,
    LeaveRequested,
    NamesDropped,
    NamesForgotten,
    NamesRequested,
    NamesRestored,
    PortsChanged,
    PrimeRequested,
    Reconciled,
    ReleaseRequested,
    RemoveRequested,
    ResetRequested,
    Snooped,
)
from ripstop.core.ipam.allocator import Allocator
from ripstop.core.ipam.counting import Counting
from ripstop.core.ipam.paxos import Init
from ripstop.core.ipam.saved import Disk
from ripstop.core.mesh.membership import Identity
from ripstop.core.mesh.mesh import Mesh, Settings
from ripstop.core.multicast.multicast import Multicast, MulticastSettings


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What a node needs to know from the start."""

    identity: Identity
    settings: Settings
    universe: Range
    init: Init
    disk: Disk = Disk.CURRENT  # whether what was saved is what this peer knew last
    multicast: MulticastSettings = field(default_factory=MulticastSettings)


class Node:
    """The whole of one peer's core: `receive` and `tick` change state and return effects, nothing else does."""

    def __init__(self, config: NodeConfig, saved: Mapping[str, bytes], now: float, rng: Random) -> None:
        self.mesh = Mesh(config.identity, config.settings, saved, now, rng, Counting().take)
        self.allocator = Allocator(config.identity.name, config.universe, config.init, saved, now, rng, config.disk)
        self.allocator.use_names(self.mesh.nickname)
        self.multicast = Multicast(config.identity.name, config.multicast)
        self.dns = Dns(config.identity.name)

    @property
    def deadline(self) -> float:
        """When `tick` next has something to do, in the clock's seconds."""
        return min(self.mesh.deadline, self.allocator.deadline, self.multicast.deadline, self.dns.deadline)

    def receive(self, event: Event, now: float) -> list[Effect]:
        """Take one event."""
        match event:
            case AllocateRequested(request, container, subnet, wait):
                found = self.allocator.allocate(request, container, subnet, wait, now)
            case ClaimRequested(request, container, address, wait):
                found = self.allocator.claim(request, container, address, wait, now)
            case ReleaseRequested(container):
                found = self.allocator.release(container, now)
            case Reconciled(living):
                found = self.allocator.reconcile(living, now)
            case PrimeRequested(request, wait):
                found = self.allocator.prime(request, wait, now)
            case RemoveRequested(request, peers, wait, force):
                found = self.allocator.remove(request, peers, wait, now, force=force)
            case ResetRequested(request, wait):
                found = self.allocator.reset(request, wait, now)
            case CancelRequested(request):
                found = self.allocator.cancel(request, now)
            case PortsChanged(ports):
                found = self.multicast.use_ports(ports, now)
            case Snooped(port, sender, message):
                found = self.multicast.hear(port, sender, message, now)
            case FormerRows(deliveries):
                found = self.multicast.restore(deliveries, now)
            case JoinRequested(request, port, group, wanted):
                found = self.multicast.join(request, port, group, wanted, now)
            case LeaveGroupRequested(request, port, group):
                found = self.multicast.leave(request, port, group, now)
            case NamesRestored(holders):
                found = self.dns.restore(holders, now)
            case NamesRequested(request, names):
                found = self.dns.register(request, names, now)
            case NamesDropped(holder):
                found = self.dns.drop(holder, now)
            case NamesForgotten(peers):
                found = self.dns.forget(peers, now)
            case LeaveRequested():
                goodbye = list(self._route(self.dns.leave(now), now))  # first: the mesh says no more when it has left
                return [*goodbye, *self._route(self.mesh.receive(event, now), now)]
            case _:
                found = self.mesh.receive(event, now)
        return list(self._route(found, now))

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        if now >= self.mesh.deadline:
            effects += self._route(self.mesh.tick(now), now)
        if now >= self.allocator.deadline:
            effects += self._route(self.allocator.tick(now), now)
        if now >= self.multicast.deadline:
            effects += self._route(self.multicast.tick(now), now)
        if now >= self.dns.deadline:
            effects += self._route(self.dns.tick(now), now)
        return effects

    def _route(self, found: Iterable[Effect | Internal], now: float) -> Iterable[Effect]:
        """Pass on what leaves the node; hand what one core has for another over, in place, so that order holds."""
        for item in found:
            match item:
                case Announce() | Tell():
                    yield from self._route(self.mesh.receive(item, now), now)
                case Learned(entries):
                    yield from self._route(self.allocator.learn(entries, now), now)
                    yield from self._route(self.multicast.learn(entries, now), now)
                    yield from self._route(self.dns.learn(entries, now), now)
                case Heard(peer, body):
                    yield from self._route(self.allocator.hear(peer, body, now), now)
                case ReachabilityChanged(peers):
                    yield from self._route(self.allocator.set_reachable(peers, now), now)
                case WaysChanged(peers):
                    yield from self._route(self.dns.use_ways(peers, now), now)
                case TreesChanged(ids, places):
                    yield from self._route(self.multicast.use_mesh(ids, places, now), now)
                case _:
                    yield item
