"""Groups in whole meshes: hosts join and leave while everything goes wrong; after that, trees lead to members alone."""

from collections.abc import Mapping, Sequence
from functools import partial
from random import Random

import pytest

from ripstop.core.address import Range
from ripstop.core.effects import Effect, Internal
from ripstop.core.events import Endpoint, Event, FormerRows, PortsChanged, Snooped
from ripstop.core.ipam.paxos import Consensus
from ripstop.core.mesh.membership import Identity
from ripstop.core.mesh.mesh import Settings
from ripstop.core.mesh.startup import SETTLE
from ripstop.core.multicast.filters import EVERYTHING, NOTHING, Filter, Mode
from ripstop.core.multicast.messages import Family, Kind, Query, Record, Report, Version
from ripstop.core.multicast.port import SendQuery
from ripstop.core.multicast.tables import Delivery
from ripstop.core.names import MulticastIp, PeerName, PortId, SourceIp
from ripstop.core.node import Node, NodeConfig
from ripstop.sim.kernel import follow_group
from ripstop.sim.world import PORT, Core, World
from tests.sim.meshes import address, peer_name

HOSTS = 6
PORTS = (PortId(11), PortId(12))
GROUPS = tuple(MulticastIp(bytes([239, 1, 1, last])) for last in range(4))
SOURCES = tuple(SourceIp(bytes([10, 32, 0, last])) for last in (1, 2))
WISHES = (NOTHING, EVERYTHING, Filter(Mode.INCLUDE, SOURCES[:1]), Filter(Mode.EXCLUDE, SOURCES[:1]))


class Fabric:
    """Nodes with two ports each, and behind each port a container that says what it wants, and repeats it if asked."""

    def __init__(self, seed: int) -> None:
        self.names = tuple(peer_name(number) for number in range(HOSTS))
        self.wanted: dict[tuple[PeerName, PortId], dict[MulticastIp, Filter]] = {
            (name, port): {} for name in self.names for port in PORTS
        }
        self.world = World(self._make, seed, watch=self._watch, through_wire=True)
        for number, name in enumerate(self.names):
            self.world.add(name, address(number))
            self.start(name)

    def _make(self, name: PeerName, disk: Mapping[str, bytes], now: float, rng: Random) -> Node:
        first = () if name == self.names[0] else (Endpoint(address(0), PORT),)
        config = NodeConfig(Identity(name, 1), Settings(port=PORT, targets=first), Range.parse("10.32.0.0/24"),
                            Consensus(HOSTS))  # fmt: skip
        return Node(config, disk, now, rng)

    def start(self, name: PeerName) -> None:
        """Start a daemon, which finds in the kernel what it left there."""
        host = self.world.hosts[name]
        self.world.start(name)
        self._tell(name, PortsChanged(PORTS))
        self._tell(name, FormerRows(tuple(r for r in host.kernel.rows.values() if isinstance(r, Delivery))))

    def _tell(self, name: PeerName, event: Event) -> None:
        def take(core: Core, now: float) -> Sequence[Effect | Internal]:
            assert isinstance(core, Node)
            return core.receive(event, now)

        self.world.let(name, take)

    def _watch(self, name: PeerName, effect: Effect | Internal, now: float) -> None:
        if isinstance(effect, SendQuery) and effect.family is Family.IPV4:
            port, query = effect.port, effect.query
            self.world.at(now + 0.01, lambda: self._answer(name, port, query))

    def _answer(self, name: PeerName, port: PortId, query: Query) -> None:
        """Say what is wanted.  Source: RFC 3376, section 5.2."""
        asked = GROUPS if query.group is None else (query.group,)
        records = tuple(_state(group, self.wanted[name, port][group]) for group in asked
                        if self.wanted[name, port].get(group, NOTHING) != NOTHING)  # fmt: skip
        if records:
            self._say(name, port, records)

    def want(self, name: PeerName, port: PortId, group: MulticastIp, wanted: Filter) -> None:
        """Have a container want something else, and say so once."""
        self.wanted[name, port][group] = wanted
        kind = Kind.TO_IN if wanted.mode is Mode.INCLUDE else Kind.TO_EX
        self._say(name, port, (Record(kind, group, wanted.sources),))

    def _say(self, name: PeerName, port: PortId, records: tuple[Record, ...]) -> None:
        sender = SourceIp(bytes([10, 32, self.names.index(name), port]))
        self._tell(name, Snooped(port, sender, Report(Version.V3, records)))

    def is_whole(self) -> bool:
        """Return whether every host reaches every other."""
        nodes = [self.world.hosts[name].core for name in self.names]
        return all(isinstance(node, Node) and len(node.mesh.routes()) == HOSTS - 1 for node in nodes)

    def check(self) -> None:
        """Send a packet of every source to every group from every host: who wants it gets it once, others never."""
        for origin in self.names:
            for group in GROUPS:
                for source in SOURCES:
                    self._check(origin, group, source)

    def _check(self, origin: PeerName, group: MulticastIp, source: SourceIp) -> None:
        trail = follow_group(self.world.hosts[origin].kernel, group, source, self.world.carry)
        assert trail.dropped == ()
        wanting = {
            name: tuple(port for port in PORTS if self.wanted[name, port].get(group, NOTHING).passes(source))
            for name in self.names
        }
        members = {name for name in self.names if wanting[name]} - {origin}
        assert set(trail.arrived) >= members
        assert all(times == 1 for times in trail.arrived.values())
        assert set(trail.arrived) - members <= self._relays(origin)
        for name in {*members, origin}:
            assert self.world.hosts[name].kernel.ports(group, source) == wanting[name]

    def _relays(self, origin: PeerName) -> set[PeerName]:
        own = self.world.hosts[origin].kernel.tables.own
        kernels = {name: self.world.hosts[name].kernel for name in self.names}
        return {name for name, kernel in kernels.items() if kernel.tables.trees[own].children}


def _state(group: MulticastIp, wanted: Filter) -> Record:
    return Record(Kind.IS_IN if wanted.mode is Mode.INCLUDE else Kind.IS_EX, group, wanted.sources)


@pytest.mark.parametrize("seed", range(8))
def test_after_all_trouble_packets_reach_members_and_nobody_else(seed: int) -> None:
    chance, fabric = Random(seed), Fabric(seed)
    world = fabric.world
    assert world.run(30.0, fabric.is_whole)
    world.underlay.loss = 0.02
    for _ in range(60):
        name = chance.choice(fabric.names)
        match chance.randrange(10):
            case 0:
                world.underlay.cut(*chance.sample(fabric.names, 2))
            case 1:
                world.underlay.heal_all()
            case 2 if world.hosts[name].core:
                world.kill(name)
            case 3 if not world.hosts[name].core:
                fabric.start(name)
            case _:
                fabric.want(name, chance.choice(PORTS), chance.choice(GROUPS), chance.choice(WISHES))
        world.run(chance.random())
    world.underlay.heal_all()
    for one, other in ((0, 5), (1, 4)):  # and some have to relay
        world.underlay.cut(fabric.names[one], fabric.names[other])
    world.underlay.loss = 0.0
    for name in fabric.names:
        if not world.hosts[name].core:
            fabric.start(name)
    assert world.run(120.0, fabric.is_whole)
    world.run(30.0)
    fabric.check()


@pytest.mark.parametrize("restarted", [1, HOSTS])
def test_daemons_that_restart_change_nothing_in_any_kernel(restarted: int) -> None:
    """Neither one of them nor all, each of which comes when the one before has stopped waiting for news."""
    fabric = Fabric(1)
    world = fabric.world
    for name in fabric.names[::2]:
        for port, wanted in zip(PORTS, WISHES[1:], strict=False):
            fabric.want(name, port, GROUPS[fabric.names.index(name) % 3], wanted)
    assert world.run(30.0, fabric.is_whole)
    world.run(10.0)
    fabric.check()
    kernels = [world.hosts[name].kernel for name in fabric.names]
    before = [(kernel.tables, dict(kernel.rows)) for kernel in kernels]
    assert all(rows for _, rows in before)
    for name in fabric.names[:restarted]:
        world.kill(name)
    for number, name in enumerate(fabric.names[:restarted]):
        world.at(world.now + 2 * SETTLE * number, partial(fabric.start, name))
    end = world.now + 40.0
    while world.now < end:
        world.run(0.05)
        assert [(kernel.tables, kernel.rows) for kernel in kernels] == before
    fabric.check()


def test_joins_are_known_within_a_moment() -> None:
    fabric = Fabric(2)
    world = fabric.world
    assert world.run(30.0, fabric.is_whole)
    world.run(10.0)
    fabric.want(fabric.names[3], PORTS[0], GROUPS[0], EVERYTHING)
    world.run(0.1)
    fabric.check()
    fabric.want(fabric.names[3], PORTS[0], GROUPS[0], NOTHING)
    world.run(0.1)
    fabric.check()


@pytest.mark.parametrize("seconds", [0.3, 3.0, 12.0, 60.0])
@pytest.mark.parametrize("paused", [1, HOSTS])
def test_daemons_that_do_not_run_for_a_while_take_nothing_back(paused: int, seconds: float) -> None:
    """Neither what hosts would have confirmed, had they been asked, nor the paths that were not probed meanwhile."""
    fabric = Fabric(3)
    world, names = fabric.world, fabric.names
    for name in names:
        for port, wanted in zip(PORTS, WISHES[1:], strict=False):
            fabric.want(name, port, GROUPS[names.index(name) % 3], wanted)
    assert world.run(30.0, fabric.is_whole)
    world.run(10.0)
    fabric.check()
    kernels = [world.hosts[name].kernel for name in names]
    before = [(kernel.tables, dict(kernel.rows)) for kernel in kernels]
    for name in names[:paused]:
        world.pause(name)
    for number, name in enumerate(names[:paused]):
        world.at(world.now + seconds + 0.1 * number, partial(world.resume, name))
    end = world.now + seconds
    while world.now < end + 40.0:
        is_over = end - 0.1 < world.now < end + 2.0  # then hosts answer within 10 ms, which might put it right again
        world.run(0.004 if is_over else 0.05)
        assert [(kernel.tables, kernel.rows) for kernel in kernels] == before
    fabric.check()
