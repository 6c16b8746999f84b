"""Allocators under all that goes wrong, seed by seed; whatever happens, no address is given out twice."""

import os
from random import Random

import pytest

from ripstop.core.ipam.paxos import Consensus, Seed
from tests.core.ipam.world import UNIVERSE, World, peer_name

SEEDS = int(os.environ.get("SEEDS", "1000"))
STEPS = 50
BLOCKS = 10
DAILY: dict[str, float] = {"allocate": 8, "claim": 2, "release": 4, "crash": 1, "split": 1, "heal": 1, "pass": 4}
DISASTERS = {"off": 1.0, "wipe": 0.5, "lose": 0.5, "back up": 0.5, "put back": 0.5, "remove": 1.5, "reset": 0.3}
# Each broke an earlier build: an address given out twice, or one that nobody could have.
FOUND = (4047, 4134, 4350, 4739, 5048, 5237, 6146, 6359, 31303, 97416, 403577, 505435, 508788, 1000617)
FOUND_GROWING = (2252, 2792, 17692, 18015)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_address_is_given_out_twice(block: int) -> None:
    for seed in range(block, SEEDS // 5, BLOCKS):
        rng = Random(seed)
        count = rng.randint(2, 5)
        seeds = tuple(peer_name(n) for n in range(1, 1 + rng.randint(1, count)))
        world = World(count, rng, init=Seed(seeds) if seed % 4 == 0 else Consensus(count))
        live(world, rng, DAILY)
        assert len({world.allocator(n).status().ring for n in range(1, count + 1)}) == 1


@pytest.mark.parametrize("block", range(BLOCKS))
def test_clusters_that_meet_never_mix(block: int) -> None:
    """Too low a quorum and a cut from the start make several rings."""
    for seed in range(block, SEEDS // 10, BLOCKS):
        rng = Random(seed)
        count = rng.randint(3, 5)
        world = World(count, rng, init=Consensus(rng.randint(1, 2)))
        world.split(*([n] for n in range(1, count + 1)))
        live(world, rng, DAILY)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_disasters_cost_time_but_no_address(block: int) -> None:
    """Machines go off, disks are lost and put back, the dead are written off and come back."""
    for seed in range(block, SEEDS, BLOCKS):
        disaster(seed)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_newcomers_among_disasters_cost_no_address(block: int) -> None:
    for seed in range(block, SEEDS // 2, BLOCKS):
        growth(seed)


@pytest.mark.parametrize("seed", FOUND_GROWING)
def test_newcomers_that_once_cost_an_address(seed: int) -> None:
    growth(seed)


@pytest.mark.parametrize("seed", FOUND)
def test_disasters_that_once_cost_an_address(seed: int) -> None:
    disaster(seed)


def disaster(seed: int) -> None:
    """Let hosts live through a story with everything in it."""
    rng = Random(seed)
    world = World(rng.randint(2, 5), rng)
    live(world, rng, {**DAILY, **DISASTERS})


def growth(seed: int) -> None:
    """Let a few make a ring which others join, each known to some only at first."""
    rng = Random(seed)
    founders, newcomers = rng.randint(1, 3), rng.randint(1, 3)
    world = World(founders + newcomers, rng, init=Consensus(founders))
    for number in range(founders + 1, founders + newcomers + 1):
        world.observe(number)
    world.split(*([number] for number in range(founders + 1, founders + newcomers + 1)))
    live(world, rng, {**DAILY, **DISASTERS, "split": 2.0, "heal": 0.5})


def live(world: World, rng: Random, chances: dict[str, float]) -> None:
    """Let hosts live through one random story, checking all along; then heal, and check that all is well."""
    world.loss, world.doubling, world.crashes = rng.choice([0.0, 0.2, 0.5]), 0.2, rng.choice([0.0, 0.01, 0.05])
    for _ in range(STEPS):
        happen(world, rng, chances)
        world.check()
    world.settle()
    world.check_peace()
    world.check()


def happen(world: World, rng: Random, chances: dict[str, float]) -> None:
    """Let one random thing happen."""
    count = len(world.hosts)
    number = rng.randint(1, count)
    container = f"h{number}c{rng.randint(0, 9)}"
    running = world.host(number).allocator is not None
    match rng.choices(tuple(chances), tuple(chances.values()))[0]:
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
        case "off":
            world.power_off(number)
        case "wipe":
            world.wipe(number)
        case "lose":  # the disk only
            world.wipe(number, keep_containers=world.host(number).is_on)
        case "back up":
            world.back_up(number)
        case "put back":
            world.put_back(number)
        case "remove":
            dead = [n for n in range(1, count + 1) if not world.host(n).is_on]
            for taker in range(1, count + 1):  # on several at once, on all sides of a cut
                if dead and world.host(taker).allocator is not None and rng.random() < 0.7:
                    world.remove(taker, rng.sample(dead, rng.randint(1, len(dead))))
        case "reset" if running:
            world.reset(number)
        case "split":
            world.split(rng.sample(range(1, count + 1), rng.randint(1, count)))
        case "heal":
            world.split()
            for name, host in world.hosts.items():
                if host.allocator is None:
                    world.start(name)
        case _:
            world.run(rng.choice([0.05, 0.2, 1.5]), step=0.1)
