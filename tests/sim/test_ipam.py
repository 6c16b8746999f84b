"""Allocators under all that goes wrong, seed by seed; whatever happens, no address is given out twice."""

import os
from random import Random

import pytest

from ripstop.core.ipam.paxos import Consensus, Seed
from tests.core.ipam.world import UNIVERSE, World, peer_name

SEEDS = int(os.environ.get("SEEDS", "200"))
STEPS = 60


@pytest.mark.parametrize("block", range(10))
def test_no_address_is_given_out_twice(block: int) -> None:
    for seed in range(block, SEEDS, 10):
        rng = Random(seed)
        count = rng.randint(2, 5)
        seeds = tuple(peer_name(n) for n in range(1, 1 + rng.randint(1, count)))
        world = World(count, rng, init=Seed(seeds) if seed % 4 == 0 else Consensus(count))
        live(world, rng)
        assert len({world.allocator(n).status().ring for n in range(1, count + 1)}) == 1


@pytest.mark.parametrize("block", range(5))
def test_clusters_that_meet_never_mix(block: int) -> None:
    """Too low a quorum and a cut from the start make several rings."""
    for seed in range(block, SEEDS // 2, 5):
        rng = Random(seed)
        count = rng.randint(3, 5)
        world = World(count, rng, init=Consensus(rng.randint(1, 2)))
        world.split(*([n] for n in range(1, count + 1)))
        live(world, rng)


@pytest.mark.parametrize("block", range(5))
def test_a_lost_disk_costs_space_but_no_address(block: int) -> None:
    for seed in range(block, SEEDS // 2, 5):
        rng = Random(seed)
        world = World(rng.randint(2, 5), rng)
        live(world, rng, wipes=True)


def live(world: World, rng: Random, *, wipes: bool = False) -> None:
    """Let hosts live through one random story, checking all along; then heal, and check that all is well."""
    world.loss, world.doubling, world.crashes = rng.choice([0.0, 0.2, 0.5]), 0.2, rng.choice([0.0, 0.01, 0.05])
    for _ in range(STEPS):
        if wipes and rng.random() < 0.05:
            world.wipe(rng.randint(1, len(world.hosts)))
        else:
            happen(world, rng, len(world.hosts))
        world.check()
    world.settle()
    world.check_peace()
    world.check()


def happen(world: World, rng: Random, count: int) -> None:
    """Let one random thing happen."""
    number = rng.randint(1, count)
    container = f"h{number}c{rng.randint(0, 9)}"
    running = world.host(number).allocator is not None
    match rng.choices(("allocate", "claim", "release", "crash", "split", "heal", "pass"), (8, 2, 4, 1, 1, 1, 4))[0]:
        case "allocate" if running:
            world.allocate(number, container, wait=rng.choice([0.0, 1.0, 10.0]))
        case "claim" if running:
            world.claim(
                number, container, rng.randrange(UNIVERSE.start + 1, UNIVERSE.end - 1), wait=rng.choice([1.0, 5.0])
            )
        case "release" if running:
            world.release(number, container)
        case "crash" if running:
            world.stop(peer_name(number))
        case "split":
            world.split(rng.sample(range(1, count + 1), rng.randint(1, count)))
        case "heal":
            world.split()
            for name, host in world.hosts.items():
                if host.allocator is None:
                    world.start(name)
        case _:
            world.run(rng.choice([0.05, 0.2, 1.5]), step=0.1)
