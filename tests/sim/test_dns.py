"""Names in whole meshes: they come and go while everything goes wrong; after that, all hosts answer the same."""

from collections.abc import Mapping
from functools import partial
from random import Random

import pytest

from ripstop.core.address import Range
from ripstop.core.dns.dns import PATIENCE
from ripstop.core.dns.messages import Binding, NameRow
from ripstop.core.effects import Effect, Internal, Serve
from ripstop.core.events import Endpoint, Event, NamesDropped, NamesRequested, NamesRestored
from ripstop.core.ipam.paxos import Consensus
from ripstop.core.mesh.membership import Identity
from ripstop.core.mesh.mesh import Settings
from ripstop.core.names import Holder, PeerName, RequestId
from ripstop.core.node import Node, NodeConfig
from ripstop.sim.world import PORT, World
from tests.sim.meshes import address, peer_name

NAMES = ("web", "Web", "db", "db.prod")
HOLDERS = (Holder("c1"), Holder("c2"))
KNOWN_WITHIN = 0.2  # seconds until a name is answered everywhere


class Fabric:
    """Nodes with containers that have names, and what the name server of each was told."""

    def __init__(self, count: int, seed: int) -> None:
        self.names = tuple(peer_name(number) for number in range(count))
        self.held: dict[PeerName, dict[Holder, tuple[Binding, ...]]] = {name: {} for name in self.names}  # on disk
        self.answers: dict[PeerName, dict[str, NameRow]] = {name: {} for name in self.names}
        self.world = World(self._make, seed, watch=self._watch, through_wire=count < 10)
        for number, name in enumerate(self.names):
            self.world.add(name, address(number))
            self.start(name)

    def _make(self, name: PeerName, disk: Mapping[str, bytes], now: float, rng: Random) -> Node:
        first = () if name == self.names[0] else (Endpoint(address(0), PORT),)
        config = NodeConfig(Identity(name, 1), Settings(port=PORT, targets=first), Range.parse("10.32.0.0/24"),
                            Consensus(len(self.names)))  # fmt: skip
        return Node(config, disk, now, rng)

    def _watch(self, name: PeerName, effect: Effect | Internal, now: float) -> None:
        if isinstance(effect, Serve):
            if effect.complete:
                self.answers[name] = {}
            for row in effect.rows:
                self.answers[name][row.name.lower()] = row
                if not row.records:
                    del self.answers[name][row.name.lower()]

    def start(self, name: PeerName) -> None:
        """Start a daemon, which finds on its disk the names that its containers have."""
        self.world.start(name)
        self._tell(name, NamesRestored(dict(self.held[name])))

    def give(self, name: PeerName, holder: Holder, bindings: tuple[Binding, ...]) -> None:
        """Have a container have these names and no others; one that goes while no daemon runs goes all the same."""
        self.held[name][holder] = bindings
        if not bindings:
            del self.held[name][holder]
        if self.world.hosts[name].core:
            self._tell(name, NamesRequested(RequestId(1), {holder: bindings}) if bindings else NamesDropped(holder))

    def _tell(self, name: PeerName, event: Event) -> None:
        core = self.world.hosts[name].core
        if isinstance(core, Node):
            self.world.perform(name, core.receive(event, self.world.now))

    def is_whole(self) -> bool:
        """Return whether every host reaches every other."""
        nodes = [self.world.hosts[name].core for name in self.names]
        return all(isinstance(node, Node) and len(node.mesh.routes()) == len(nodes) - 1 for node in nodes)

    def expected(self, *peers: PeerName) -> dict[str, set[bytes]]:
        """Return the addresses of each name, as far as these hosts have them."""
        found: dict[str, set[bytes]] = {}
        for peer in peers:
            for bindings in self.held[peer].values():
                for binding in bindings:
                    found.setdefault(binding.key, set()).add(binding.address)
        return found

    def answered(self, name: PeerName) -> dict[str, set[bytes]]:
        """Return what one host answers."""
        return {key: {record.address for record in row.records} for key, row in self.answers[name].items()}


@pytest.mark.parametrize("seed", range(8))
def test_after_all_trouble_every_host_answers_the_same(seed: int) -> None:
    chance, fabric = Random(seed), Fabric(6, seed)
    world = fabric.world
    assert world.run(30.0, fabric.is_whole)
    world.underlay.loss = 0.02
    for step in range(80):
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
                wanted = chance.sample(NAMES, chance.randrange(3))
                bindings = tuple(Binding(one, "c", bytes([10, 32, 0, step])) for one in wanted)
                fabric.give(name, chance.choice(HOLDERS), bindings)
        world.run(chance.random())
    world.underlay.heal_all()
    world.underlay.loss = 0.0
    for name in fabric.names:
        if not world.hosts[name].core:
            fabric.start(name)
    assert world.run(120.0, fabric.is_whole)
    world.run(20.0)
    for name in fabric.names:
        assert fabric.answered(name) == fabric.expected(*fabric.names)
    assert len({tuple(sorted(rows.items(), key=lambda row: row[0])) for rows in fabric.answers.values()}) == 1


def test_each_side_of_a_partition_answers_what_it_can_reach() -> None:
    fabric = Fabric(4, 1)
    world = fabric.world
    assert world.run(30.0, fabric.is_whole)
    for number, name in enumerate(fabric.names):
        fabric.give(name, HOLDERS[0], (Binding("web", "c1", bytes([10, 32, 0, number])),))
    left, right = fabric.names[:2], fabric.names[2:]
    world.run(1.0)
    for one in left:
        for other in right:
            world.underlay.cut(one, other)
    world.run(3.0)
    for name in left:
        assert fabric.answered(name) == fabric.expected(*left)
    fabric.give(right[0], HOLDERS[1], (Binding("new", "c2", bytes([10, 32, 0, 9])),))
    world.run(1.0)
    for name in right:
        assert fabric.answered(name) == fabric.expected(*right)
    world.underlay.heal_all()
    assert world.run(60.0, fabric.is_whole)
    world.run(10.0)
    for name in fabric.names:
        assert fabric.answered(name) == fabric.expected(*fabric.names)


def test_names_of_a_host_whose_daemon_is_dead_stay_and_are_right_when_it_is_back() -> None:
    fabric = Fabric(4, 2)
    world, dead, rest = fabric.world, fabric.names[1], (fabric.names[0], *fabric.names[2:])
    assert world.run(30.0, fabric.is_whole)
    fabric.give(dead, HOLDERS[0], (Binding("web", "c1", bytes([10, 32, 0, 1])),))
    fabric.give(dead, HOLDERS[1], (Binding("db", "c2", bytes([10, 32, 0, 2])),))
    world.run(1.0)
    before = fabric.expected(dead)
    world.kill(dead)
    world.run(20.0)  # the kernel forwards: its containers are there
    assert all(fabric.answered(name) == before for name in rest)
    fabric.give(dead, HOLDERS[1], ())
    fabric.start(dead)
    assert world.run(30.0, fabric.is_whole)
    world.run(1.0)
    assert all(fabric.answered(name) == fabric.expected(dead) != before for name in fabric.names)
    world.crash(dead)
    world.run(5.0)
    assert all(fabric.answered(name) == {} for name in rest)


def test_no_name_is_denied_while_all_daemons_restart_one_after_the_other() -> None:
    fabric = Fabric(4, 4)
    world = fabric.world
    assert world.run(30.0, fabric.is_whole)
    for number, name in enumerate(fabric.names):
        fabric.give(name, HOLDERS[0], (Binding("web", "c1", bytes([10, 32, 0, number])),))
    world.run(1.0)
    for name in fabric.names:
        world.kill(name)
    for number, name in enumerate(fabric.names):  # each when the one before has stopped waiting for news
        world.at(world.now + 2 * PATIENCE * number, partial(fabric.start, name))
    end = world.now + 40.0
    while world.now < end:
        world.run(0.05)
        assert all(fabric.answered(name) == fabric.expected(*fabric.names) for name in fabric.names)


def test_fifty_hosts_know_a_new_name_within_a_moment_and_forget_it_as_soon() -> None:
    fabric = Fabric(50, 3)
    world = fabric.world
    assert world.run(60.0, fabric.is_whole)
    world.underlay.delay = (0.001, 0.010)
    world.run(5.0)
    for number in (7, 33, 49):
        name = fabric.names[number]
        fabric.give(name, HOLDERS[0], (Binding("web", "c1", bytes([10, 32, 0, number])),))
        world.run(KNOWN_WITHIN)
        assert all(fabric.answered(other) == fabric.expected(name) for other in fabric.names)
        fabric.give(name, HOLDERS[0], ())
        world.run(KNOWN_WITHIN)
        assert not any(fabric.answers.values())
