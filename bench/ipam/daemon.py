"""Allocation as the daemon does it: its driver, its node and its database; no kernel, for that is another matter."""

import asyncio
import tempfile
import time
from pathlib import Path
from random import SystemRandom
from statistics import quantiles
from typing import cast

from ripstop.core.address import Range
from ripstop.core.events import AllocateRequested, PrimeRequested, ReleaseRequested, UnderlayChanged
from ripstop.core.ipam.paxos import Consensus
from ripstop.core.mesh.membership import Identity
from ripstop.core.mesh.mesh import Settings
from ripstop.core.names import ContainerId, PeerName, UnderlayIp
from ripstop.core.node import Node, NodeConfig
from ripstop.daemon.driver import Driver
from ripstop.daemon.shell import Shell
from ripstop.store.sqlite import Store
from ripstop.store.witness import Witness

UNIVERSE = Range.parse("10.32.0.0/12")


class _Disk:
    """What a driver needs of a shell when there is no network and no kernel."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def save(self, items: tuple[tuple[str, bytes | None], ...]) -> None:
        """Write."""
        self._store.put(items)

    def perform(self, _effect: object) -> None:
        """Do nothing."""


def measure(rounds: int, at_once: int) -> dict[str, float]:
    """Return times of one allocation after the other, and of many at once, in ms."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:  # a disk, not memory
        return asyncio.run(_measure(Path(directory), rounds, at_once))


async def _measure(directory: Path, rounds: int, at_once: int) -> dict[str, float]:
    identity = Identity(PeerName("00000000000000a1"), 1, "bench")
    config = NodeConfig(identity, Settings(port=6783), UNIVERSE, Consensus(1))
    clock = asyncio.get_running_loop().time
    witness = Witness(directory / "witness", directory)
    store = Store(directory / "ripstop.sqlite", witness)
    driver = Driver(Node(config, {}, clock(), SystemRandom()), cast("Shell", _Disk(store)))

    async def allocate(name: str) -> float:
        begin = time.perf_counter()
        await driver.ask(lambda request: AllocateRequested(request, ContainerId(name), UNIVERSE, 10.0))
        return (time.perf_counter() - begin) * 1000

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(driver.run())
        driver.post(UnderlayChanged((UnderlayIp("192.0.2.1"),), 1500))
        await driver.ask(lambda request: PrimeRequested(request, 10.0))
        single = [await allocate(f"one{number}") for number in range(rounds)]
        many: list[float] = []
        for turn in range(max(1, rounds // 50)):
            names = [f"t{turn}n{number}" for number in range(at_once)]
            many += await asyncio.gather(*map(allocate, names))
            for name in names:
                driver.post(ReleaseRequested(ContainerId(name)))
            await driver.done(ReleaseRequested(ContainerId("nobody")))
        running.cancel()
    store.close()
    witness.close()
    return {
        "own_p50_ms": quantiles(single, n=100)[49],
        "own_p99_ms": quantiles(single, n=100)[98],
        "burst_p50_ms": quantiles(many, n=100)[49],
        "burst_p99_ms": quantiles(many, n=100)[98],
    }
