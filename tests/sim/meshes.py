"""Simulated meshes for the tests of this folder: hosts on one underlay, each with a `Mesh` of its own."""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from random import Random

from ripstop.core.effects import Effect, Internal, Notice
from ripstop.core.events import Endpoint
from ripstop.core.mesh.mesh import Identity, Mesh, Settings
from ripstop.core.mesh.messages import Entry
from ripstop.core.names import PeerName, UnderlayIp
from ripstop.sim.kernel import follow_flood, follow_unicast
from ripstop.sim.world import PORT, World


def peer_name(number: int) -> PeerName:
    """Return the name of a host; names are not in the order of numbers."""
    return PeerName(blake2b(str(number).encode(), digest_size=8).hexdigest())


def address(number: int) -> UnderlayIp:
    """Return the first address of a host."""
    return UnderlayIp(f"10.0.{number // 250}.{number % 250 + 1}")


class Meshes:
    """`count` hosts; unless told otherwise each but the first is given the address of the first."""

    def __init__(
        self,
        count: int,
        seed: int = 1,
        *,
        targets: Callable[[int], tuple[int, ...]] = lambda number: (0,) if number else (),
        traced: bool = False,
        through_wire: bool = False,
        no_discovery: bool = False,
    ) -> None:
        self.names: tuple[PeerName, ...] = ()
        self._numbers: dict[PeerName, int] = {}
        self.mesh: dict[PeerName, Mesh] = {}  # the newest of each host
        self.notices: list[tuple[float, PeerName, Notice]] = []
        self.effects: dict[str, int] = {}
        self._targets = targets
        self._no_discovery = no_discovery
        self.world = World(self._make, seed, watch=self._watch, traced=traced, through_wire=through_wire)
        for number in range(count):
            self.add(number)

    def add(self, number: int) -> None:
        """Add a host whose daemon does not run yet."""
        name = peer_name(number)
        self.names = (*self.names, name)
        self._numbers[name] = number
        self.world.add(name, address(number))

    def start_all(self) -> None:
        """Start every daemon that does not run."""
        for name, host in self.world.hosts.items():
            if host.core is None:
                self.world.start(name)

    def settle(self, limit: float = 60.0) -> None:
        """Run until every pair of hosts that is up can send, and fail if that takes longer than `limit` seconds."""
        assert self.world.run(limit, self.is_whole), self.complaints()

    def is_whole(self) -> bool:
        """Return whether all that is up forms one mesh without a fault."""
        return not self.complaints(at_most=1)

    def complaints(self, at_most: int = 20) -> list[str]:
        """Follow a frame between every pair and a flood from every host; return what went wrong."""
        found: list[str] = []
        up = [host for host in self.world.hosts.values() if host.is_on]
        found += [f"{host.name} has no tables" for host in up if not host.kernel.tables.own]
        if len({host.kernel.tables.own for host in up}) != len(up):
            found.append("two hosts have the same short id")
        for source in up:
            for target in up:
                if source is target or len(found) >= at_most:
                    continue
                trail = follow_unicast(source.kernel, target.kernel.tables.own, self.world.carry)
                if trail.arrived != {target.name: 1}:
                    found.append(f"{source.name} to {target.name}: {trail.dropped}")
            if len(found) < at_most:
                flood = follow_flood(source.kernel, self.world.carry)
                if dict(flood.arrived) != {host.name: 1 for host in up if host is not source} or flood.dropped:
                    found.append(f"flood of {source.name}: {len(flood.arrived)} reached, {flood.dropped}")
        return found

    def entries(self, name: PeerName) -> list[Entry]:
        """Return all that a host knows of members and their reach, by key."""
        return sorted(self.mesh[name].entries(), key=lambda entry: entry.key)

    def said(self, text: str, since: float = 0.0) -> list[str]:
        """Return the notices since a time that contain a text."""
        return [notice.text for when, _, notice in self.notices if when >= since and text in notice.text]

    def _make(self, name: PeerName, disk: Mapping[str, bytes], now: float, rng: Random) -> Mesh:
        number = self._numbers[name]
        targets = tuple(Endpoint(address(target), PORT) for target in self._targets(number))
        settings = Settings(PORT, targets, no_discovery=self._no_discovery)
        self.mesh[name] = Mesh(Identity(name, 1, f"h{number}"), settings, disk, now, rng)
        return self.mesh[name]

    def _watch(self, name: PeerName, effect: Effect | Internal, now: float) -> None:
        kind = type(effect).__name__
        self.effects[kind] = self.effects.get(kind, 0) + 1
        if isinstance(effect, Notice):
            self.notices.append((now, name, effect))
