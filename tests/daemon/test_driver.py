"""The driver: what a disk that refuses holds back, and that what came in is heard before a timer judges."""

import asyncio
import math
import socket
from random import Random

import pytest

from ripstop.core.address import Range
from ripstop.core.effects import Answer, Effect, Notice, Save, Send
from ripstop.core.events import Event, LeaveRequested, PrimeRequested
from ripstop.core.ipam.paxos import Consensus
from ripstop.core.mesh.membership import Identity
from ripstop.core.mesh.mesh import Settings
from ripstop.core.mesh.messages import Heartbeat
from ripstop.core.names import ConnectionId, PeerName, RequestId
from ripstop.core.node import Node, NodeConfig
from ripstop.daemon.driver import Driver, StorageError
from ripstop.daemon.shell import Performed
from ripstop.store.sqlite import StoreError

WORD = Send(ConnectionId(1), Heartbeat())
NEWS = Notice("info", "something")
HINT = Save((("mesh/entry/x", b"1"),), promised=False)
PROMISE = Save((("ipam/x", b"1"),))


class Scripted(Node):
    """A node that answers each event with the same effects, and notes what happens to it."""

    def __init__(self, *effects: Effect, deadline: float = math.inf) -> None:
        who = Identity(PeerName("0123456789abcdef"), 1, "")
        config = NodeConfig(who, Settings(port=1), Range.parse("10.32.0.0/24"), Consensus(1))
        super().__init__(config, {}, 0.0, Random(1))
        self.due, self.effects = deadline, list(effects)
        self.happened: list[str] = []
        self.ticked = asyncio.Event()

    @property
    def deadline(self) -> float:
        return self.due

    def receive(self, event: Event, now: float) -> list[Effect]:
        self.happened.append(type(event).__name__)
        return list(self.effects)

    def tick(self, now: float) -> list[Effect]:
        self.happened.append("tick")
        self.ticked.set()
        self.due = math.inf
        return []


class FullDisk:
    """A shell whose disk refuses everything."""

    def __init__(self) -> None:
        self.performed: list[Performed] = []

    def save(self, items: tuple[tuple[str, bytes | None], ...]) -> None:
        raise StoreError("no room")

    def perform(self, effect: Performed) -> None:
        self.performed.append(effect)


async def asked(driver: Driver) -> int:
    """Run a driver until it has answered one question."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(driver.run())
        try:
            return await driver.ask(lambda number: PrimeRequested(number, 1.0))
        except StorageError as error:
            refusal = error  # not through the group, which would wrap it
        finally:
            running.cancel()
    raise refusal


def test_a_disk_that_refuses_holds_back_what_was_promised() -> None:
    shell = FullDisk()
    with pytest.raises(StorageError, match="no room; nothing was done"):
        asyncio.run(asked(Driver(Scripted(HINT, PROMISE, WORD, NEWS, Answer(RequestId(1), 7)), shell)))
    assert shell.performed == [NEWS]


def test_a_disk_that_refuses_what_is_only_remembered_holds_back_nothing() -> None:
    shell = FullDisk()
    assert asyncio.run(asked(Driver(Scripted(HINT, WORD, NEWS, Answer(RequestId(1), 7)), shell))) == 7
    assert shell.performed == [WORD, NEWS]


def test_what_can_be_read_is_heard_before_a_timer_that_is_due() -> None:
    """Also what takes the event loop some turns from the socket to the inbox."""

    async def play() -> list[str]:
        node = Scripted(deadline=asyncio.get_running_loop().time())
        driver = Driver(node, FullDisk())
        ours, its = socket.socketpair()
        with its:
            reader, writer = await asyncio.open_connection(sock=ours)

            async def listen() -> None:
                await reader.read(1)
                await asyncio.sleep(0)  # as if it were passed on to a task that takes it apart
                driver.post(LeaveRequested())

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(listen())
                await asyncio.sleep(0)
                its.send(b"x")
                running = tasks.create_task(driver.run())
                await node.ticked.wait()
                running.cancel()
            writer.close()
        return node.happened

    assert asyncio.run(play()) == ["LeaveRequested", "tick"]
