"""Many peers, one clock, one seed: a heap of things that will happen, and the hosts to which they happen.

The world runs anything with `receive`, `tick` and `deadline`: a `Mesh` alone or a whole `Node`.  Streams are
reliable and in order while they live; probes are datagrams.  A daemon that is killed leaves its kernel behind, which
keeps its tables and answers probes; a host that dies leaves nothing but its disk.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from typing import Protocol

from ripstop.core.effects import Close, Dial, Distribute, Effect, Internal, Publish, Save, Send, SendProbe, UseMtu
from ripstop.core.events import (
    Accepted,
    Closed,
    ConnectRequested,
    Dialed,
    DialFailed,
    Endpoint,
    ForgetRequested,
    LeaveRequested,
    Probed,
    Received,
    UnderlayChanged,
)
from ripstop.core.names import ConnectionId, PeerName, UnderlayIp
from ripstop.core.overlay.mtu import path_mtu
from ripstop.core.owntime import OwnTime
from ripstop.sim.kernel import FakeKernel
from ripstop.sim.network import Underlay
from ripstop.wire.control import decode_body, encode

PORT = 6783
DIAL_TIMEOUT = 5.0  # seconds
STREAM_PATIENCE = 15.0  # seconds a cut may last before a stream breaks
RETRY = 0.3  # seconds between attempts of a stream to get through a cut
STUCK = 1000  # ticks of one host without any time passing
ASK_INTERVAL = 0.1  # seconds
_LENGTH = 4  # bytes before a frame's body


WorldEvent = (
    Dialed | DialFailed | Accepted | Closed | Received | Probed | UnderlayChanged
    | ConnectRequested | ForgetRequested | LeaveRequested
)  # fmt: skip


class Core(Protocol):
    """What the world runs on a host."""

    @property
    def deadline(self) -> float:
        """When `tick` next has something to do, seconds."""

    def receive(self, event: WorldEvent, now: float) -> Sequence[Effect | Internal]:
        """Take one event."""

    def tick(self, now: float) -> Sequence[Effect | Internal]:
        """Do what is due."""


Make = Callable[[PeerName, Mapping[str, bytes], float, Random], Core]  # host, its disk, now, chance
Watch = Callable[[PeerName, Effect | Internal, float], None]
Act = Callable[[Core, float], Sequence[Effect | Internal]]  # by a core, at its own time


@dataclass(slots=True)
class Host:
    """One machine."""

    name: PeerName
    addresses: tuple[UnderlayIp, ...]
    kernel: FakeKernel
    mtu: int = 1500  # bytes, of its NICs
    core: Core | None = None  # the daemon, while it runs
    is_on: bool = True  # whether the machine runs
    disk: dict[str, bytes] = field(default_factory=dict)
    container_mtu: int = 0  # bytes
    published: int = 0  # how often tables were
    life: int = 0  # counts starts of the daemon; what was meant for an earlier one is void
    time: OwnTime = field(default_factory=OwnTime)  # of the daemon
    missed: list[Act] | None = None  # what happened to the daemon since it was paused; None: it runs
    last_connection: int = 0
    wake_at: float = math.inf
    ticked_at: float = -math.inf
    ticks: int = 0  # at that very time


@dataclass(slots=True)
class _Stream:
    """A TCP session; each end is a host, the life of its daemon, and an id."""

    ends: tuple[tuple[Host, int, ConnectionId], tuple[Host, int, ConnectionId]]
    arrives: list[float]  # when the last segment sent by each end arrives
    queues: tuple[deque[Received | Closed], deque[Received | Closed]]  # sent by each end, not there yet


class World:
    """Hosts on one underlay."""

    def __init__(
        self,
        make: Make,
        seed: int,
        *,
        watch: Watch | None = None,
        through_wire: bool = False,
        traced: bool = False,
    ) -> None:
        """Begin empty.

        Args:
            make: builds the core of a host that starts.
            seed: from which all chance is drawn.
            watch: sees every effect.
            through_wire: whether messages are encoded and decoded on their way, as on a real one.
            traced: whether `trace` is kept up.
        """
        self.now = 0.0
        self.underlay = Underlay()
        self.hosts: dict[PeerName, Host] = {}
        self.happened = 0  # events that cores took
        self._make = make
        self._watch = watch
        self._through_wire = through_wire
        self._rng = Random(seed)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._at: dict[UnderlayIp, Host] = {}
        self._streams: dict[tuple[PeerName, int, ConnectionId], _Stream] = {}
        self._trace = blake2b() if traced else None

    @property
    def trace(self) -> str:
        """A hash of all that has happened so far."""
        return self._trace.hexdigest() if self._trace else ""

    # Hosts.

    def add(self, name: PeerName, *addresses: UnderlayIp, mtu: int = 1500) -> Host:
        """Add a machine whose daemon does not run yet."""
        host: Host = Host(name, addresses, FakeKernel(name), mtu)
        self.hosts[name] = host
        self._at |= dict.fromkeys(addresses, host)
        return host

    def start(self, name: PeerName) -> None:
        """Start the daemon of a host."""
        host = self.hosts[name]
        assert host.core is None
        host.is_on = True
        host.life += 1
        host.time, host.missed = OwnTime(), None
        host.wake_at = math.inf
        host.core = self._make(name, dict(host.disk), self.now, Random(self._rng.getrandbits(64)))
        self._deliver(host, UnderlayChanged(host.addresses, host.mtu))

    def kill(self, name: PeerName) -> None:
        """Kill the daemon; the kernel closes its streams and goes on forwarding."""
        host = self.hosts[name]
        host.core = None
        for key, stream in list(self._streams.items()):
            if key[:2] == (name, host.life):
                self._break(stream, self._end_of(stream, key[2], host), "closed by the peer")

    def pause(self, name: PeerName) -> None:
        """Keep the daemon from running; what comes for it waits, and its kernel goes on."""
        self.hosts[name].missed = []

    def resume(self, name: PeerName) -> None:
        """Let the daemon run on: it hears all that waited, then does what is due."""
        host = self.hosts[name]
        missed, host.missed = host.missed or [], None
        if host.core is not None:
            self._look(host, host.core)
            for act in missed:
                self.let(name, act)
            self._arm(host)

    def crash(self, name: PeerName, *, lose_disk: bool = False) -> None:
        """Switch the machine off: nobody is told."""
        host = self.hosts[name]
        host.core, host.is_on = None, False
        host.kernel = FakeKernel(name)
        if lose_disk:
            host.disk = {}

    def move(self, name: PeerName, *addresses: UnderlayIp) -> None:
        """Give a host other addresses; its streams hang from then on."""
        host = self.hosts[name]
        for address in host.addresses:
            del self._at[address]
        host.addresses = addresses
        self._at |= dict.fromkeys(addresses, host)
        for key in [key for key, stream in self._streams.items() if any(end[0] is host for end in stream.ends)]:
            self._streams.pop(key)
        if host.core:
            self._deliver(host, UnderlayChanged(host.addresses, host.mtu))

    def tell(self, name: PeerName, event: WorldEvent) -> None:
        """Let something happen to the daemon of a host, now."""
        self._deliver(self.hosts[name], event)

    def perform(self, name: PeerName, effects: Sequence[Effect | Internal]) -> None:
        """Perform what the core of a host returned when it was asked past the world."""
        self._perform(self.hosts[name], effects)

    def let(self, name: PeerName, act: Act) -> None:
        """Let the core of a host, if there is one, do something now, or when it runs again; its effects happen."""
        host = self.hosts[name]
        if host.core is None:
            return
        if host.missed is not None:
            host.missed.append(act)
        else:
            self._perform(host, act(host.core, self._look(host, host.core)))

    def carry(self, local: UnderlayIp, remote: UnderlayIp) -> FakeKernel | None:
        """Return whose kernel gets a frame, as things are now; None if nobody."""
        source, target = self._at.get(local), self._at.get(remote)
        if source is None or target is None or not target.is_on or self.underlay.is_cut(source.name, target.name):
            return None
        return target.kernel

    # Time.

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Let something happen at a time."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, what))

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; return whether `until`, asked ten times a second, came true before it was over."""
        end = self.now + seconds
        while self.now < end:
            if until and until():
                return True
            pause = min(end, self.now + ASK_INTERVAL) if until else end
            while self._heap and self._heap[0][0] <= pause:
                self.now, _, what = heapq.heappop(self._heap)
                what()
            self.now = pause
        return bool(until and until())

    def _deliver(self, host: Host, event: WorldEvent) -> None:
        if host.core is not None:
            self.happened += 1
            self._note(host, event)
            self.let(host.name, lambda core, now: core.receive(event, now))

    def _wake(self, host: Host, life: int, when: float) -> None:
        if host.core is None or host.life != life or host.wake_at != when or host.missed is not None:
            return
        host.wake_at = math.inf
        if (now := self._look(host, host.core)) >= host.core.deadline:
            host.ticks = host.ticks + 1 if host.ticked_at == self.now else 0
            host.ticked_at = self.now
            if host.ticks > STUCK:
                raise RuntimeError(f"{host.name} is stuck at {self.now}: its deadline does not move on")
            self._note(host, "tick")
            self._perform(host, host.core.tick(now))
        else:
            self._arm(host)

    def _arm(self, host: Host) -> None:
        if host.core is None or host.core.deadline == math.inf:
            return
        when = max(self.now, host.time.clock(host.core.deadline))
        if when < host.wake_at or host.wake_at < self.now:
            host.wake_at = when
            life = host.life
            self.at(when, lambda: self._wake(host, life, when))

    def _look(self, host: Host, core: Core) -> float:
        return host.time.look(self.now, core.deadline)

    def _note(self, host: Host, what: object) -> None:
        if self._trace:
            self._trace.update(f"{self.now!r} {host.name} {what!r}\n".encode())

    # Effects.

    def _perform(self, host: Host, effects: Sequence[Effect | Internal]) -> None:
        for effect in effects:
            self._note(host, effect)
            if self._watch:
                self._watch(host.name, effect, self.now)
            match effect:
                case Dial(endpoint):
                    self._dial(host, endpoint)
                case Send() | Close():
                    self._stream(host, effect)
                case SendProbe():
                    self._send_probe(host, effect)
                case Publish(tables):
                    host.kernel.tables = tables
                    host.published += 1
                case Distribute(rows, complete):
                    host.kernel.distribute(rows, complete=complete)
                case UseMtu(mtu):
                    host.container_mtu = mtu
                case Save(items):
                    for key, value in items:
                        if value is None:
                            host.disk.pop(key, None)
                        else:
                            host.disk[key] = value
                case _:
                    pass
        self._arm(host)

    # Datagrams.

    def _send_probe(self, host: Host, effect: SendProbe) -> None:
        if host.addresses:
            self._datagram(host, host.addresses[0], effect)

    def _datagram(self, source: Host, local: UnderlayIp, effect: SendProbe) -> None:
        target = self._at.get(effect.remote)
        if target is None or target is source or self.underlay.is_cut(source.name, target.name):
            return
        narrow = self.underlay.mtus.get((source.name, target.name), min(source.mtu, target.mtu))
        if not effect.probe.ack and effect.probe.mtu > path_mtu(narrow):
            return
        for _ in range(self.underlay.copies(self._rng)):
            when = self.now + self.underlay.draw_delay(self._rng)
            self.at(when, lambda: self._arrive(target, local, effect))

    def _arrive(self, target: Host, source: UnderlayIp, effect: SendProbe) -> None:
        if not target.is_on or effect.remote not in target.addresses:
            return
        answer = target.kernel.echo(effect.probe, source)
        if answer:
            self._datagram(target, effect.remote, SendProbe(source, answer))
        elif effect.probe.ack:
            self._deliver(target, Probed(source, effect.remote, effect.probe))

    # Streams.

    def _dial(self, host: Host, endpoint: Endpoint) -> None:
        life = host.life
        self.at(self.now + self.underlay.draw_delay(self._rng), lambda: self._connect(host, life, endpoint))

    def _connect(self, host: Host, life: int, endpoint: Endpoint) -> None:
        if host.core is None or host.life != life:
            return
        target = self._at.get(UnderlayIp(endpoint.address))
        if target is None or not target.is_on or not host.addresses or self._is_apart(host, target):
            failed = DialFailed(endpoint, "no answer")
            self.at(self.now + DIAL_TIMEOUT, lambda: self._deliver(host, failed) if host.life == life else None)
            return
        if target.core is None:
            self._deliver(host, DialFailed(endpoint, "connection refused"))
            return
        remote = UnderlayIp(endpoint.address)
        ends = (self._end(host), self._end(target))
        stream: _Stream = _Stream(ends, [self.now, self.now], (deque(), deque()))
        for end in ends:
            self._streams[end[0].name, end[1], end[2]] = stream
        self._deliver(target, Accepted(ends[1][2], remote, host.addresses[0]))
        self._deliver(host, Dialed(endpoint, ends[0][2], host.addresses[0], remote))

    def _end(self, host: Host) -> tuple[Host, int, ConnectionId]:
        host.last_connection += 1
        return host, host.life, ConnectionId(host.last_connection)

    def _end_of(self, stream: _Stream, connection: ConnectionId, host: Host) -> int:
        return 0 if stream.ends[0][0] is host and stream.ends[0][2] == connection else 1

    def _stream(self, host: Host, effect: Send | Close) -> None:
        stream = self._streams.get((host.name, host.life, effect.connection))
        if stream is None:
            return
        end = self._end_of(stream, effect.connection, host)
        if isinstance(effect, Close):
            self._break(stream, end, "closed by the peer")
            return
        message = effect.message
        if self._through_wire:
            message = decode_body(encode(message)[_LENGTH:])
        _, _, connection = stream.ends[1 - end]
        self._pass(stream, end, Received(connection, message))

    def _pass(self, stream: _Stream, end: int, event: Received | Closed) -> None:
        """Send something down a stream, behind all that was sent before."""
        delay = self.underlay.draw_delay(self._rng) + self.underlay.stall(self._rng)
        stream.arrives[end] = max(stream.arrives[end], self.now + delay)
        stream.queues[end].append(event)
        self.at(stream.arrives[end], lambda: self._come_out(stream, end))

    def _come_out(self, stream: _Stream, end: int, waited: float = 0.0) -> None:
        """Deliver what is first in the queue, or try again later if nothing gets through now."""
        target, life, connection = stream.ends[1 - end]
        if (target.name, life, connection) not in self._streams or not target.is_on:
            return
        if self._is_apart(stream.ends[0][0], stream.ends[1][0]):
            if waited < STREAM_PATIENCE:
                self.at(self.now + RETRY, lambda: self._come_out(stream, end, waited + RETRY))
            return
        event = stream.queues[end].popleft()
        if isinstance(event, Closed):
            self._streams.pop((target.name, life, connection), None)
        if target.life == life:
            self._deliver(target, event)

    def _break(self, stream: _Stream, end: int, reason: str) -> None:
        """One end closes; the other hears of it after all that was sent before."""
        host, life, connection = stream.ends[end]
        if self._streams.pop((host.name, life, connection), None) is not None:
            self._pass(stream, end, Closed(stream.ends[1 - end][2], reason))

    def _is_apart(self, one: Host, other: Host) -> bool:
        return self.underlay.is_cut(one.name, other.name) or self.underlay.is_cut(other.name, one.name)
