"""What happens after the answer: ports are deleted together and promoted one by one, and nobody is forgotten."""

import asyncio
import threading
import time
from collections.abc import Sequence

from ripstop.core.errors import KernelError
from ripstop.daemon.aftermath import LONGEST_REST, RETRY, Aftermath


class Ports:
    """Notes what is done, and by which lots."""

    def __init__(self, failures: int = 0) -> None:
        self.deleted: list[tuple[str, ...]] = []
        self.promoted: list[str] = []
        self.all = threading.Event()  # set once rs2 is promoted
        self.tried: list[float] = []
        self._failures = failures
        self.order: list[str] = []

    def delete(self, names: Sequence[str]) -> None:
        self.tried.append(time.monotonic())
        if self._failures:
            self._failures -= 1
            raise KernelError("delete", names[0], 16)
        self.deleted.append(tuple(names))
        self.order.append(f"delete {' '.join(names)}")

    def promote(self, name: str) -> None:
        self.promoted.append(name)
        self.order.append(f"promote {name}")
        if name == "rs2":
            self.all.set()


async def within(aftermath: Aftermath, work: "asyncio.Future[None] | None" = None, *gone: str) -> None:
    """Run it until some names are gone."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(aftermath.run())
        for name in gone:
            await aftermath.is_gone(name)
        if work is not None:
            await work
        running.cancel()
    aftermath.close()


def test_those_that_go_together_are_deleted_together() -> None:
    async def scenario() -> None:
        aftermath = Aftermath(ports.delete, ports.promote)
        for name in ("rs1", "rs2", "rs3"):
            aftermath.goes(name)
        await within(aftermath, None, "rs2", "rs1", "rs9")

    ports = Ports()
    asyncio.run(scenario())
    assert ports.deleted == [("rs1", "rs2", "rs3")]


def test_a_deletion_that_fails_is_tried_again_after_a_rest() -> None:
    async def scenario() -> None:
        aftermath = Aftermath(ports.delete, ports.promote)
        aftermath.goes("rs1")
        await within(aftermath, None, "rs1")

    ports = Ports(failures=1)
    asyncio.run(scenario())
    assert ports.deleted == [("rs1",)]
    first, second = ports.tried
    assert second - first >= RETRY / 2


def test_one_that_goes_is_not_promoted_any_more() -> None:
    async def scenario() -> None:
        aftermath = Aftermath(ports.delete, ports.promote)
        for name in ("rs1", "rs2"):
            aftermath.came(name)
        aftermath.goes("rs1")
        promoted = asyncio.get_running_loop().run_in_executor(None, ports.all.wait, 10.0)
        await within(aftermath, asyncio.ensure_future(_nothing(promoted)), "rs1")

    ports = Ports()
    asyncio.run(scenario())
    assert ports.promoted == ["rs2"]


def test_whoever_goes_while_others_are_promoted_goes_first() -> None:
    async def scenario() -> None:
        def promote(name: str) -> None:
            ports.promote(name)
            if name == "rs1":
                loop.call_soon_threadsafe(aftermath.goes, "rs9")

        loop = asyncio.get_running_loop()
        aftermath = Aftermath(ports.delete, promote)
        for name in ("rs1", "rs2"):
            aftermath.came(name)
        promoted = loop.run_in_executor(None, ports.all.wait, 10.0)
        await within(aftermath, asyncio.ensure_future(_nothing(promoted)))

    ports = Ports()
    asyncio.run(scenario())
    assert ports.order == ["promote rs1", "delete rs9", "promote rs2"]


def test_one_that_comes_back_while_it_is_promoted_is_promoted_again() -> None:
    async def scenario() -> None:
        def promote(name: str) -> None:
            ports.promote(name)
            if ports.promoted == ["rs1"]:
                loop.call_soon_threadsafe(come_back)
                assert back.wait(10.0)

        def come_back() -> None:
            for name in ("rs1", "rs2"):
                aftermath.came(name)
            back.set()

        loop, back = asyncio.get_running_loop(), threading.Event()
        aftermath = Aftermath(ports.delete, promote)
        aftermath.came("rs1")
        promoted = loop.run_in_executor(None, ports.all.wait, 10.0)
        await within(aftermath, asyncio.ensure_future(_nothing(promoted)))

    ports = Ports()
    asyncio.run(scenario())
    assert ports.promoted == ["rs1", "rs1", "rs2"]


def test_after_a_promotion_others_have_as_long_at_least_for_themselves() -> None:
    async def scenario() -> None:
        def promote(name: str) -> None:
            begun.append(time.monotonic())
            time.sleep(0.01)  # the kernel's grace period
            ended.append(time.monotonic())
            ports.promote(name)

        aftermath = Aftermath(ports.delete, promote)
        for name in ("rs1", "rs2"):
            aftermath.came(name)
        promoted = asyncio.get_running_loop().run_in_executor(None, ports.all.wait, 10.0)
        await within(aftermath, asyncio.ensure_future(_nothing(promoted)))

    ports, begun, ended = Ports(), list[float](), list[float]()
    asyncio.run(scenario())
    assert begun[1] - ended[0] >= min(ended[0] - begun[0], LONGEST_REST / 2)


async def _nothing(of: "asyncio.Future[bool]") -> None:
    await of
