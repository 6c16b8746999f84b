"""Clients that are slow, or silent, or do not read, hold nothing for long."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from random import Random
from threading import Thread

import dns.message

from ripstop.dns.loop import Loop
from ripstop.dns.responder import Responder, Send
from ripstop.dns.tcp import MAX_UNSENT, Streams
from ripstop.dns.zone import Zone
from ripstop.wire.dns import Query
from ripstop.wire.dns_feed import NameRow, Record, Rows

PATIENCE = 20.0  # seconds
IDLE = 0.3  # seconds
MANY = NameRow("many", tuple(Record(bytes([10, 32, i >> 8, i & 255])) for i in range(1000)))


def nobody(query: Query, client: str, limit: int, send: Send) -> None:
    """Never answer what is not ours."""


@contextmanager
def serving(idle: float) -> Iterator[tuple[int, Counter[str]]]:
    """Yield the port of a server in a thread, and what it counts."""
    loop, counters = Loop(), Counter[str]()
    zone = Zone("ripstop.local", 1, IPv4Network("10.32.0.0/12"))
    zone.apply(Rows((MANY,)))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    port = listener.getsockname()[1]
    streams = Streams(listener, loop, Responder(zone, nobody, Random(1), counters), counters, idle)
    stop, stopped = socket.socketpair()
    loop.watch(stopped.fileno(), lambda _: loop.stop())
    thread = Thread(target=loop.run)
    thread.start()
    try:
        yield port, counters
    finally:
        stop.close()
        thread.join(PATIENCE)
        streams.close()
        stopped.close()


def framed(name: str) -> bytes:
    """Return a question as it is sent."""
    message = dns.message.make_query(name, "A").to_wire()
    return len(message).to_bytes(2, "big") + message


def test_who_says_nothing_or_half_of_something_is_hung_up_on() -> None:
    with serving(IDLE) as (port, _):
        for words in (b"", b"\0", framed("many.ripstop.local")[:-1], framed("www.example.com")):
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as opened:
                opened.sendall(words)
                assert opened.recv(1) == b""


def test_who_does_not_read_is_not_listened_to() -> None:
    """Answers that nobody reads stop at a limit, and so do the questions that were read."""
    with serving(IDLE) as (port, counters):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            asked, frame = 0, framed("many.ripstop.local")
            try:
                while asked < 100_000:
                    opened.sendall(frame)
                    asked += 1
            except OSError:  # hung up on
                pass
        assert asked < 100_000
        most = (MAX_UNSENT + 8 * 1024 * 1024) // 16_000  # answers of 16 KB: ours, and what the kernel takes
        assert counters["tcp"] < most
