"""Control connections over real sockets on loopback."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from ripstop.core.effects import Close, Dial, Send
from ripstop.core.events import Accepted, Closed, Dialed, DialFailed, Endpoint, Event, Received
from ripstop.core.mesh.messages import Goodbye, Heartbeat
from ripstop.transport.control import ControlTransport
from ripstop.wire.control import preamble

PORT = 26783


class End:
    """One transport and the events it delivered."""

    def __init__(self, port: int, tasks: asyncio.TaskGroup) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.transport = ControlTransport(port, self.events.put_nowait, tasks)

    async def next(self) -> Event:
        async with asyncio.timeout(5):
            return await self.events.get()


@contextlib.asynccontextmanager
async def two_ends() -> AsyncIterator[tuple[End, End]]:
    async with asyncio.TaskGroup() as tasks:
        first, second = End(PORT, tasks), End(PORT + 1, tasks)
        await first.transport.listen()
        await second.transport.listen()
        await first.transport.serve()
        await second.transport.serve()
        yield first, second
        await first.transport.close()
        await second.transport.close()


def test_messages_pass_both_ways_and_closing_is_heard() -> None:
    async def scenario() -> None:
        async with two_ends() as (first, second):
            first.transport.perform(Dial(Endpoint("127.0.0.1", PORT + 1)))
            dialed, accepted = await first.next(), await second.next()
            assert isinstance(dialed, Dialed) and isinstance(accepted, Accepted)
            first.transport.perform(Send(dialed.connection, Heartbeat()))
            assert await second.next() == Received(accepted.connection, Heartbeat())
            second.transport.perform(Send(accepted.connection, Goodbye("enough")))
            second.transport.perform(Close(accepted.connection, "enough"))
            assert await first.next() == Received(dialed.connection, Goodbye("enough"))
            assert await first.next() == Closed(dialed.connection, "closed by the peer")
            first.transport.perform(Send(dialed.connection, Heartbeat()))  # swallowed

    asyncio.run(scenario())


def test_a_dial_that_fails_says_why() -> None:
    async def scenario() -> None:
        async with two_ends() as (first, _):
            target = Endpoint("127.0.0.1", PORT + 7)
            first.transport.perform(Dial(target))
            event = await first.next()
            assert isinstance(event, DialFailed)
            assert event.endpoint == target and "refused" in event.reason.lower()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, preamble() + b"\xff\xff\xff\xff", preamble() + b"\0\0\0\1\xc1"]
)
def test_strangers_are_dropped_counted_and_logged_once(junk: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with two_ends() as (first, _):
            for _round in range(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
                writer.write(junk)
                with contextlib.suppress(ConnectionResetError):  # closed with our junk unread
                    while await reader.read(100):
                        pass
                writer.close()
                assert isinstance(await first.next(), Accepted)
                closed = await first.next()
                assert isinstance(closed, Closed) and "bad message" in closed.reason
            assert first.transport.counters.bad_messages == 3

    asyncio.run(scenario())
    assert len([record for record in caplog.records if "dropped a connection" in record.message]) == 1


def test_a_message_cut_short_is_a_closed_connection() -> None:
    async def scenario() -> None:
        async with two_ends() as (first, _):
            _, writer = await asyncio.open_connection("127.0.0.1", PORT)
            writer.write(preamble() + b"\0\0\0\x10abc")
            writer.close()
            await writer.wait_closed()
            assert isinstance(await first.next(), Accepted)
            assert isinstance(await first.next(), Closed)

    asyncio.run(scenario())


def test_connections_that_are_reset_at_once_harm_nobody() -> None:
    async def scenario() -> None:
        async with two_ends() as (first, _):
            with socket.create_server(("127.0.0.1", PORT + 2)) as rude:
                for _round in range(50):
                    first.transport.perform(Dial(Endpoint("127.0.0.1", PORT + 2)))
                    taken, _ = await asyncio.to_thread(rude.accept)
                    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    taken.close()
                    event = await first.next()
                    if isinstance(event, Dialed):
                        assert isinstance(await first.next(), Closed)
                    else:
                        assert isinstance(event, DialFailed)

    asyncio.run(scenario())
