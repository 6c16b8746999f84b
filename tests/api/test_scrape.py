"""The read-only address for scrapers, with clients as bad as they come."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from ripstop.api import scrape
from ripstop.api.scrape import MAX_SCRAPERS, Scrape, ScrapeServer
from ripstop.core.errors import KernelError

TEXT = b"ripstop_settled 1\n"
SOON = 0.3  # seconds of patience where a test waits for its end
Address = tuple[str, int]


async def text(openmetrics: bool) -> bytes:
    return TEXT + b"# EOF\n" if openmetrics else TEXT


@asynccontextmanager
async def serving(answer: Scrape = text, patience: float = 30.0, address: str = "127.0.0.1") -> AsyncIterator[Address]:
    listener = scrape.listen(address, 0)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(ScrapeServer(listener, answer, patience).run())
            yield listener.getsockname()[:2]
            running.cancel()
    finally:
        assert listener.fileno() == -1  # closed with the server


async def exchange(address: Address, request: bytes) -> bytes:
    """Send a request and return all that comes until the end; b"" if the connection is reset."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(request)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def request(method: str = "GET", path: str = "/metrics", *headers: str) -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: h", *headers, "", "")).encode()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60.0):
            await test()

    asyncio.run(limited())


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_metrics_are_served(address: str) -> None:
    async def test() -> None:
        async with serving(address=address) as where:
            head, _, body = (await exchange(where, request())).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ") and body == TEXT
            assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8" in head and b"Connection: close" in head

    run(test)


def test_who_asks_for_openmetrics_gets_it() -> None:
    async def test() -> None:
        accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"
        async with serving() as where:
            head, _, body = (await exchange(where, request("GET", "/metrics", accept))).partition(b"\r\n\r\n")
            assert b"application/openmetrics-text; version=1.0.0; charset=utf-8" in head
            assert body == TEXT + b"# EOF\n"

    run(test)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/v1/status", 404),
        ("POST", "/v1/down", 404),
        ("POST", "/metrics", 405),
        ("HEAD", "/metrics", 405),
        ("DELETE", "/metrics", 405),
    ],
)
def test_nothing_else_is_served(method: str, path: str, status: int) -> None:
    async def test() -> None:
        async with serving() as where:
            answer = await exchange(where, request(method, path, "Content-Length: 0"))
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())
            assert TEXT not in answer
            assert (b"Allow: GET" in answer) == (status == 405)

    run(test)


def test_what_is_no_http_is_answered_and_ended() -> None:
    async def test() -> None:
        async with serving() as where:
            assert (await exchange(where, b"\x16\x03\x01 tls?\r\n\r\n")).startswith(b"HTTP/1.0 400 ")
            long = await exchange(where, request("GET", "/metrics", "X: " + "x" * 100_000))
            assert long.startswith(b"HTTP/1.0 400 ") or not long  # reset: it was not read to its end
            assert TEXT in await exchange(where, request())

    run(test)


def test_a_kernel_that_refuses_is_said_and_the_next_scrape_may_work() -> None:
    async def test() -> None:
        refusals = [KernelError("read map", "streams", 12)]

        async def answer(_openmetrics: bool) -> bytes:
            if refusals:
                raise refusals.pop()
            return TEXT

        async with serving(answer) as where:
            refused = await exchange(where, request())
            assert refused.startswith(b"HTTP/1.1 500 ") and b"read map streams" in refused
            assert TEXT in await exchange(where, request())

    run(test)


@pytest.mark.parametrize("sent", [b"", b"GET /metr", request()[:-2], request() * 2 + b"GET"])
def test_who_is_silent_is_ended(sent: bytes) -> None:
    async def test() -> None:
        async with serving(patience=SOON) as where:
            answer = await exchange(where, sent)  # returns: the server has hung up
            assert answer.count(TEXT) == (1 if sent.startswith(request()) else 0)

    run(test)


def test_who_does_not_read_is_ended() -> None:
    async def test() -> None:
        huge = b"x" * (64 << 20)  # more than socket buffers hold

        async def answer(_openmetrics: bool) -> bytes:
            return huge

        async with serving(answer, patience=SOON) as where:
            with socket.create_connection(where) as connection:
                connection.sendall(request())
                assert await exchange(where, b"") == b""  # it came later, and has been ended by now
                connection.setblocking(False)
                received = 0
                with contextlib.suppress(ConnectionResetError):
                    while data := await asyncio.get_running_loop().sock_recv(connection, 1 << 20):
                        received += len(data)
                assert 0 < received < len(huge)

    run(test)


def test_too_many_are_turned_away_and_there_is_room_again_when_one_goes() -> None:
    async def test() -> None:
        async with serving() as where:
            silent = [await asyncio.open_connection(*where) for _ in range(MAX_SCRAPERS)]
            assert await exchange(where, request()) == b""
            silent.pop()[1].close()
            while TEXT not in await exchange(where, request()):
                pass  # until the server has seen it go; bounded by the time limit
            for _, writer in silent:
                writer.write(request())
            assert all([TEXT in await reader.read() for reader, _ in silent])
            for _, writer in silent:
                writer.close()

    run(test)


def test_who_hangs_up_at_once_does_no_harm() -> None:
    async def test() -> None:
        async with serving() as where:
            for _ in range(4):  # fewer than wait to be accepted, as nothing is while we connect
                connection = socket.create_connection(where)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # by a reset
                connection.close()
            while TEXT not in await exchange(where, request()):
                pass  # until the server has seen them go; bounded by the time limit

    run(test)


def test_an_address_in_use_is_refused() -> None:
    async def test() -> None:
        async with serving() as (address, port):
            assert TEXT in await exchange((address, port), request())
            with pytest.raises(OSError, match="in use"):
                scrape.listen(address, port)

    run(test)
