"""Fifty peers through loss, delay, reordering, partitions, crashes and restarts; then quiet, and all must be well."""

import os
import subprocess
import sys
from random import Random

import pytest

from ripstop.core.mesh.gossip import EXCHANGE_INTERVAL
from ripstop.core.mesh.messages import PeerRecord, Reach
from ripstop.core.names import UnderlayIp
from tests.sim.meshes import Meshes


def trouble(meshes: Meshes, rng: Random, seconds: float) -> None:
    """Let one bad thing after the other happen, and leave a mess."""
    world = meshes.world
    world.underlay.loss, world.underlay.duplicate, world.underlay.delay = 0.1, 0.05, (0.0005, 0.08)
    end = world.now + seconds
    while world.now < end:
        world.run(rng.uniform(0.1, 1.5))
        strike(meshes, rng)
    for _ in range(4):
        strike(meshes, rng)


def strike(meshes: Meshes, rng: Random) -> None:
    """Let one bad thing happen, or some of the damage be mended."""
    world = meshes.world
    some = rng.sample(meshes.names, 1 + len(meshes.names) // 10)
    match rng.randrange(8):
        case 0:
            for name in some:
                if world.hosts[name].core:
                    world.kill(name)
        case 1:
            for name in some:
                world.crash(name, lose_disk=rng.random() < 0.3)
        case 2:
            half = rng.sample(meshes.names, rng.randrange(1, len(meshes.names)))
            world.underlay.divide(tuple(half), tuple(name for name in meshes.names if name not in half))
        case 3:
            world.underlay.heal_all()
        case 4:
            for name in some:
                world.underlay.cuts[name, rng.choice(meshes.names)] = None
        case 5:  # but the first host stays where everybody is told to find it
            for name in [name for name in some if name != meshes.names[0]]:
                world.move(name, *(UnderlayIp(f"10.7.{rng.randrange(256)}.{rng.randrange(256)}") for _ in range(2)))
        case _:
            meshes.start_all()


def calm(meshes: Meshes) -> None:
    """End all trouble."""
    underlay = meshes.world.underlay
    underlay.heal_all()
    underlay.loss, underlay.duplicate, underlay.delay = 0.0, 0.0, (0.0005, 0.01)
    meshes.start_all()


@pytest.mark.parametrize(("count", "seed"), [(50, 1), (12, 2), (12, 3), (6, 4), (6, 5), (6, 6), (6, 7)])
def test_after_all_trouble_everything_is_everywhere(count: int, seed: int) -> None:
    meshes = Meshes(count, seed, targets=lambda number: (number - 1, 0) if number else (1,))
    meshes.start_all()
    trouble(meshes, Random(seed), 4.0 if count > 20 else 25.0)
    calm(meshes)
    meshes.settle(90.0)
    meshes.world.run(EXCHANGE_INTERVAL + 1.0)
    assert meshes.is_whole(), meshes.complaints()
    first = meshes.entries(meshes.names[0])
    assert len([entry for entry in first if isinstance(entry.value, PeerRecord)]) == count
    assert len([entry for entry in first if isinstance(entry.value, Reach)]) == count
    assert all(meshes.entries(name) == first for name in meshes.names)


def story(seed: int) -> str:
    """Return the trace of a short troubled life."""
    meshes = Meshes(7, seed, traced=True, through_wire=True)
    meshes.start_all()
    trouble(meshes, Random(seed), 6.0)
    calm(meshes)
    meshes.world.run(5.0)
    return meshes.world.trace


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_a_seed_tells_the_same_story_whatever_the_hash_seed(hash_seed: str) -> None:
    code = "from tests.sim.test_chaos import story; print(story(3))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == story(3)
    assert story(4) != story(3)
