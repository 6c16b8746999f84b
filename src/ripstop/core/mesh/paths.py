"""The paths to all peers: one monitor each, and the answers to what others probe."""

import math
from collections.abc import Mapping
from random import Random

import msgspec

from ripstop.core.effects import Effect, Notice, SendProbe
from ripstop.core.events import Probed
from ripstop.core.mesh.messages import PeerRecord
from ripstop.core.mesh.path import Path, PathMonitor
from ripstop.core.names import PeerName, UnderlayIp


class Paths:
    """Follows the records of the other peers, and says which of them can be reached directly."""

    def __init__(self, own: PeerName, restored: Mapping[PeerName, Path], rng: Random) -> None:
        """Begin with paths known from before a restart; they count until they prove dead."""
        self.deadline = math.inf  # when `tick` next has something to do, seconds
        self.generation = 0  # grows whenever `working` changes
        self._own = own
        self._restored = dict(restored)
        self._rng = rng
        self._monitors: dict[PeerName, PathMonitor] = {}
        self._addresses: tuple[UnderlayIp, ...] = ()  # ours
        self._underlay_mtu = 0

    def get(self, peer: PeerName) -> PathMonitor | None:
        """Return the monitor of one peer, or None."""
        return self._monitors.get(peer)

    def working(self) -> dict[PeerName, Path]:
        """Return the path to each peer that has one, by name."""
        return {peer: monitor.path for peer, monitor in self._monitors.items() if monitor.path}

    def is_confirmed(self) -> bool:
        """Return whether every path that is in use was answered in this life."""
        return all(monitor.is_confirmed for monitor in self._monitors.values() if monitor.path)

    def use_underlay(self, addresses: tuple[UnderlayIp, ...], mtu: int, now: float) -> None:
        """Our NICs have these addresses and this MTU now: everything is tried at once."""
        self._addresses, self._underlay_mtu = addresses, mtu
        for monitor in self._monitors.values():
            monitor.hurry(now)
        self._schedule()

    def know(self, records: tuple[PeerRecord, ...], now: float) -> list[Effect]:
        """Watch exactly these peers, at the addresses in their records; sorted by name."""
        before, self._monitors = self._monitors, {}
        if not self._underlay_mtu:
            self._monitors = before
            return []
        effects: list[Effect] = []
        self.generation += 1
        for record in records:
            monitor = before.get(record.name) or self._watch(record.name, now)
            monitor.short_id = record.short_id
            candidates = tuple(address for address in record.addresses if address not in self._addresses)
            path, reason = monitor.path, monitor.reason
            monitor.use(candidates, self._underlay_mtu, now)
            self._monitors[record.name] = monitor
            effects += self._changes(monitor, path, reason)
        self._schedule()
        return effects

    def hurry(self, peer: PeerName, now: float) -> None:
        """The peer was heard of: see whether it answers."""
        monitor = self._monitors.get(peer)
        if monitor and not monitor.path:
            monitor.hurry(now)
            self.deadline = min(self.deadline, monitor.deadline)

    def receive(self, event: Probed, now: float) -> list[Effect]:
        """Take an answer, or answer a probe of a peer that we know."""
        probe = event.probe
        if probe.ack:
            monitor = self._monitors.get(probe.target)
            if monitor is None or probe.sender != self._own:
                return []
            path, reason, was_next = monitor.path, monitor.reason, monitor.deadline <= self.deadline
            monitor.receive(event, now)
            if was_next:
                self._schedule()
            self.deadline = min(self.deadline, monitor.deadline)
            return self._changes(monitor, path, reason)
        if probe.target == self._own and probe.sender in self._monitors:
            return [SendProbe(event.remote, msgspec.structs.replace(probe, ack=True))]
        return []

    def tick(self, now: float) -> list[Effect]:
        """Probe what is due."""
        effects: list[Effect] = []
        is_one_lost = False
        for monitor in self._monitors.values():
            if now >= monitor.deadline:
                path, reason = monitor.path, monitor.reason
                effects += monitor.tick(now)
                effects += self._changes(monitor, path, reason)
                is_one_lost = is_one_lost or (path is not None and monitor.path is None)
        if is_one_lost:  # what was long in vain may be the detour now: links come and go together
            for monitor in self._monitors.values():
                if not monitor.path:
                    monitor.hurry(now)
        self._schedule()
        return effects

    def _watch(self, peer: PeerName, now: float) -> PathMonitor:
        return PathMonitor(self._own, peer, self._rng.getrandbits(62), now, self._restored.pop(peer, None))

    def _schedule(self) -> None:
        self.deadline = min((monitor.deadline for monitor in self._monitors.values()), default=math.inf)

    def _changes(self, monitor: PathMonitor, path: Path | None, reason: str) -> list[Effect]:
        """Say what people may want to know of a path that came, went or moved, or cannot be; before, it was this."""
        found = monitor.path
        if found != path:
            self.generation += 1
        if found is None:
            if path:
                return [Notice("warning", f"path to {monitor.peer} lost: {monitor.reason}")]
            if monitor.reason != reason and monitor.reason:
                return [Notice("warning", f"no path to {monitor.peer}: {monitor.reason}")]
            return []
        if path and (found.remote, found.mtu) == (path.remote, path.mtu):
            return []
        return [Notice("info", f"path to {monitor.peer} at {found.remote}, {found.mtu} bytes")]
