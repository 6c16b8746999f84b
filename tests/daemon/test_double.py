"""Whoever answers with our name where we were last is the original of our state."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from ripstop.core.errors import StartError
from ripstop.core.mesh.messages import Entry, Hello, PeerRecord
from ripstop.core.names import PeerName, ShortId, UnderlayIp
from ripstop.daemon.double import refuse_double
from ripstop.wire.control import encode, preamble

NAME, OTHER = PeerName("1" * 16), PeerName("2" * 16)
HERE, THERE = UnderlayIp("127.0.0.1"), UnderlayIp("127.0.0.2")  # the kernel's own address for both is the first


@asynccontextmanager
async def answering(said: bytes) -> AsyncIterator[int]:
    """Say something to whoever connects; yields the port."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "0.0.0.0", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def saved(port: int, address: UnderlayIp = THERE, name: PeerName = NAME) -> dict[str, bytes]:
    """Return a state in which a peer had an address."""
    entry = Entry(f"peer/{name}", 1, PeerRecord(name, 1, "h1", (address,), port, ShortId(7)))
    return {f"mesh/entry/peer/{name}": msgspec.msgpack.encode(entry)}


def hello(name: PeerName) -> bytes:
    return preamble() + encode(Hello(1, name, 1, "h1", 6783))


async def look(said: bytes, address: UnderlayIp = THERE, whose: PeerName = NAME) -> None:
    async with answering(said) as port:
        await refuse_double(NAME, saved(port, address, whose))


def test_our_name_where_we_were_last_is_a_double() -> None:
    with pytest.raises(StartError, match=f"the host at 127.0.0.2 runs with the name of this one, {NAME}"):
        asyncio.run(look(hello(NAME)))


@pytest.mark.parametrize("said", [hello(OTHER), b"", b"SSH-2.0-who\r\n", preamble()])
def test_anybody_else_is_none(said: bytes) -> None:
    asyncio.run(look(said))


def test_our_own_address_and_those_of_others_are_not_looked_at() -> None:
    asyncio.run(look(hello(NAME), address=HERE))
    asyncio.run(look(hello(NAME), whose=OTHER))


def test_nobody_there_is_none() -> None:
    async def nobody() -> None:
        async with answering(b"") as port:
            pass
        await refuse_double(NAME, saved(port))

    asyncio.run(nobody())
