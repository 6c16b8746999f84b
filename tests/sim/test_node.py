"""Whole nodes in one process: mesh and allocator together, addresses asked for while the network misbehaves."""

from collections.abc import Mapping
from random import Random

import pytest

from ripstop.core.address import Range
from ripstop.core.effects import Answer, Effect, Internal
from ripstop.core.events import AllocateRequested, Endpoint, ReleaseRequested
from ripstop.core.ipam.paxos import Consensus
from ripstop.core.mesh.membership import Identity
from ripstop.core.mesh.mesh import Settings
from ripstop.core.names import ContainerId, PeerName, RequestId
from ripstop.core.node import Node, NodeConfig
from ripstop.sim.world import PORT, World
from tests.sim.meshes import address, peer_name

UNIVERSE = Range.parse("10.32.0.0/24")  # small, so that space must be asked for
HOSTS = 6


class Cluster:
    """Nodes on one underlay, and an eye that sees all of them: who was answered which address."""

    def __init__(self, seed: int) -> None:
        self.names = tuple(peer_name(number) for number in range(HOSTS))
        self.held: dict[int, tuple[PeerName, ContainerId]] = {}
        self.refused = 0
        self._asked: dict[tuple[PeerName, RequestId], ContainerId] = {}
        self._last = 0
        self.world = World(self._make, seed, watch=self._watch)
        for number, name in enumerate(self.names):
            self.world.add(name, address(number))
            self.world.start(name)

    def _make(self, name: PeerName, disk: Mapping[str, bytes], now: float, rng: Random) -> Node:
        first = () if name == self.names[0] else (Endpoint(address(0), PORT),)
        settings = Settings(port=PORT, targets=first)
        config = NodeConfig(Identity(name, 1, name[:4]), settings, UNIVERSE, Consensus(len(first) + 1))
        return Node(config, disk, now, rng)

    def _watch(self, name: PeerName, effect: Effect | Internal, _now: float) -> None:
        if not isinstance(effect, Answer):
            return
        container = self._asked.pop((name, effect.request))
        if isinstance(effect.result, int):
            holder = (name, container)
            assert self.held.setdefault(effect.result, holder) == holder, "an address in two hands"
        else:
            self.refused += 1

    def node(self, name: PeerName) -> Node | None:
        core = self.world.hosts[name].core
        assert core is None or isinstance(core, Node)
        return core

    def allocate(self, name: PeerName, container: str) -> None:
        if node := self.node(name):
            self._last += 1
            request, holder = RequestId(self._last), ContainerId(container)
            self._asked[name, request] = holder
            self.world.perform(name, node.receive(AllocateRequested(request, holder, UNIVERSE, 5.0), self.world.now))

    def release(self, name: PeerName, container: str) -> None:
        if node := self.node(name):
            for number in [a for a, holder in self.held.items() if holder == (name, container)]:
                del self.held[number]
            self.world.perform(name, node.receive(ReleaseRequested(ContainerId(container)), self.world.now))

    def is_whole(self) -> bool:
        nodes = [self.node(name) for name in self.names]
        return all(node is not None and len(node.mesh.routes()) == HOSTS - 1 for node in nodes)


@pytest.mark.parametrize("seed", range(10))
def test_no_address_in_two_hands_while_all_goes_wrong(seed: int) -> None:
    chance, cluster = Random(seed), Cluster(seed)
    world = cluster.world
    assert world.run(30.0, cluster.is_whole)
    world.underlay.loss = 0.02
    for _step in range(60):
        name = cluster.names[chance.randrange(HOSTS)]
        container = f"c{chance.randrange(30)}"
        match chance.randrange(10):
            case 0:
                one, other = chance.sample(cluster.names, 2)
                world.underlay.cut(one, other)
            case 1:
                world.underlay.heal_all()
            case 2 if cluster.node(name):
                world.kill(name)
            case 3 if not cluster.node(name):
                world.start(name)
            case 4 | 5:
                cluster.release(name, container)
            case _:
                cluster.allocate(name, container)
        world.run(chance.random() * 2, None)
    world.underlay.heal_all()
    world.underlay.loss = 0.0
    for name in cluster.names:
        if cluster.node(name) is None:
            world.start(name)
    assert world.run(120.0, cluster.is_whole)
    world.run(10.0, None)
    assert len(cluster.held) > 5
    for number, (name, container) in cluster.held.items():
        node = cluster.node(name)
        assert node is not None and node.allocator.holder(number) == container
    before = len(cluster.held)
    cluster.allocate(cluster.names[0], "last")
    world.run(6.0, None)
    assert len(cluster.held) == before + 1
