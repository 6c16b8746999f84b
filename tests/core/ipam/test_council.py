"""Which ring peers end up in, whatever they meet."""

from random import Random

from ripstop.core.address import Range
from ripstop.core.ipam.paxos import Consensus, Seed
from tests.core.ipam.world import UNIVERSE, World, peer_name

A, B = peer_name(1), peer_name(2)
FIRST = UNIVERSE.start


def two_clusters(seed: int = 1) -> World:
    """Two pairs of hosts that do not know of each other, each with a ring and one container."""
    world = World(4, Random(seed), init=Consensus(2))
    world.split([1, 2], [3, 4])
    world.allocate(1, "left")
    world.allocate(3, "right")
    world.run(3.0, check=False)
    assert rings(world)[0] == rings(world)[1] != rings(world)[2] == rings(world)[3]
    return world


def rings(world: World) -> list[str]:
    return [world.allocator(number).status().ring for number in range(1, 5)]


def test_a_ring_in_which_nobody_holds_an_address_joins_the_other() -> None:
    for seed in range(10):
        world = two_clusters(seed)
        world.release(3, "right")
        stays = rings(world)[0]
        world.split()
        world.run(3.0)
        assert rings(world) == [stays] * 4
        assert world.allocator(1).status().foreign == ()  # nobody is in the other any more
        more = world.allocate(4, "more")
        world.run(3.0)
        assert world.address(more) in UNIVERSE
        world.settle()
        world.check_peace()


def test_of_two_empty_rings_the_lower_wins() -> None:
    for seed in range(10):
        world = two_clusters(seed)
        world.release(1, "left")
        world.release(3, "right")
        world.run(1.0, check=False)
        lower = min(rings(world))
        world.split()
        world.run(3.0)
        assert rings(world) == [lower] * 4
        world.settle()
        world.check_peace()


def test_two_rings_in_use_are_named_and_kept_apart() -> None:
    world = two_clusters()
    left, _, right, _ = rings(world)
    world.split()
    world.run(2.0, check=False)
    assert rings(world) == [left, left, right, right]
    said = [notice.text for notice in world.notices if notice.level == "error"]
    assert len(said) == 4  # each peer once
    assert any(left in text and peer_name(3) in text for text in said)
    (foreign,) = world.allocator(1).status().foreign
    assert foreign.startswith(f"ring {right} of {peer_name(3)}, {peer_name(4)} is not ours")
    assert all(len(world.allocator(number).status().foreign) == 1 for number in range(1, 5))
    for number in range(1, 5):  # and each goes on
        request = world.allocate(number, f"more{number}")
        world.run(1.0, check=False)
        assert world.address(request) in UNIVERSE


def test_peers_with_another_universe_are_named_and_ignored() -> None:
    world = World(2, Random(1), init=Consensus(1))
    other = Range.parse("10.64.0.0/24")
    world.stop(B)
    world.host(2).universe = other
    world.host(2).disk.clear()
    world.start(B)
    mine, theirs = world.allocate(1, "a"), world.allocate(2, "b", wait=30.0)
    world.run(2.0)
    assert world.address(mine) in UNIVERSE
    assert world.address(theirs) in other
    assert [share.peer for share in world.allocator(1).status().shares] == [A]
    (foreign,) = world.allocator(1).status().foreign
    assert foreign == f"peer {B} shares out 10.64.0.0/24, not 10.32.0.0/27: start all hosts with the same --range"
    assert [notice.text for notice in world.notices] == [
        f"peer {A} shares out 10.32.0.0/27, we 10.64.0.0/24: no addresses in common",
        f"peer {B} shares out 10.64.0.0/24, we 10.32.0.0/27: no addresses in common",
    ]


def test_a_peer_that_lost_its_disk_gets_its_space_back_from_those_who_know() -> None:
    world = World(3, Random(1), init=Consensus(3))
    requests = [world.allocate(1 + number % 3, f"c{number}") for number in range(9)]
    world.run(3.0)
    world.split([3])
    world.wipe(2)
    world.run(2.0)
    early = world.allocate(2, "early", wait=1.0)
    world.run(2.0)
    assert "is new in the ring and must first hear from 1 of" in str(world.error(early))
    lost = [share for share in world.allocator(1).status().shares if share.lost]
    assert [(share.peer, share.free) for share in lost] == [(B, 0)]
    world.split()
    fresh = [world.allocate(2, f"fresh{number}") for number in range(10)]
    world.run(5.0)
    alive = {world.address(request) for request in requests if request not in requests[1::3]}
    assert not alive & {world.address(request) for request in fresh}
    assert not any(share.lost for share in world.allocator(1).status().shares)


def test_a_seed_that_lost_its_disk_stops_as_soon_as_it_hears_of_itself() -> None:
    world = World(2, Random(1), init=Seed((A, B)))
    world.allocate(2, "old")
    world.run(0.5)
    world.split([1])
    world.wipe(2)
    assert not world.allocator(2).in_doubt  # nothing says that it has been here before
    world.split()
    world.run(0.1)
    assert world.allocator(2).owned == ()
    world.run(5.0)
    assert sum(map(len, world.allocator(2).owned)) == 16  # as the other has given its word


def test_the_first_ring_is_agreed_on_by_those_who_are_there() -> None:
    for seed in range(20):
        world = World(5, Random(seed), init=Consensus(5))
        world.loss = 0.4
        world.split([1, 2, 3], [4, 5])
        requests = [world.allocate(number, "c") for number in range(1, 6)]
        world.run(8.0)
        assert world.allocator(1).status().members == tuple(peer_name(number) for number in (1, 2, 3))
        assert not world.allocator(4).ready
        world.split()
        world.run(8.0)
        assert all(world.address(request) in UNIVERSE for request in requests[:3])
        assert len({world.allocator(number).status().ring for number in range(1, 6)}) == 1
