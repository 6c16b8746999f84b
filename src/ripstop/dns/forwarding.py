"""Asking others: whom, how often, and which answers to believe; pure.

An answer is believed if it comes from where the question went, to the port from which it went, with its id, and with
its name in just the case in which it was asked.  All of port, id and case are drawn for each question, so whoever
does not see the question has to guess some 40 bits.  A server that does not keep case, and one from whose address
guesses come, is asked over TCP, which needs no guessing.

The same question of several clients is asked once.

Source: RFC 5452 (forged answers); draft-vixie-dnsext-dns0x20 (case).
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from ripstop.core.errors import ProtocolError
from ripstop.dns.cache import Cache, Key
from ripstop.wire import dns
from ripstop.wire.dns import CD, HEADER, QR, RD, TC, Query, Rcode
from ripstop.wire.dns_answer import Stored, question_of, read_answer, relay

PATIENCE = 1.0  # seconds for one answer
DEADLINE = 4.5  # seconds until the client hears that nothing came; resolvers wait 5
ROUNDS = 2  # how often each server is asked
REST = 10.0  # seconds for which a server that did not answer is asked last
MAX_SEARCHES = 512  # at once; each has a socket
MAX_OF_CLIENT = 64  # questions at once of one address
MAX_GUESSES = 8  # wrong answers to one question until TCP

Send = Callable[[bytes], None]


class Wire(Protocol):
    """Whoever has sockets."""

    def open(self, exchange: int, server: str, message: bytes, *, stream: bool) -> None:
        """Send a question from a new port; what comes back is told with `exchange`."""

    def close(self, exchange: int) -> None:
        """Care for an exchange no more."""


@dataclass(frozen=True, slots=True)
class _Client:
    query: Query
    address: str
    limit: int  # bytes
    send: Send


@dataclass(slots=True)
class _Search:
    """One question on its way; servers are tried until one has an answer."""

    key: Key
    until: float
    turns: list[str]  # servers to ask, the next one last
    clients: list[_Client] = field(default_factory=list)
    server: str = ""
    stream: bool = False
    edns: bool = True
    exchange: int = 0
    id: int = 0
    question: bytes = b""  # as sent
    guesses: int = 0
    failure: Stored | None = None  # what to say if nobody has anything better


class Forwarder:
    """Finds answers; `deadline` is when `tick` next has something to do."""

    def __init__(self, wire: Wire, rng: Random, counters: Counter[str]) -> None:
        self._wire, self._rng, self._counters = wire, rng, counters
        self._servers: tuple[str, ...] = ()
        self._resting: dict[str, float] = {}  # until when
        self._cache: Final = Cache()
        self._searches: dict[Key, _Search] = {}
        self._exchanges: dict[int, _Search] = {}
        self._deadlines: list[tuple[float, int]] = []  # of exchanges
        self._count = 0
        self._of_client: Counter[str] = Counter()

    @property
    def deadline(self) -> float:
        """When `tick` next has something to do."""
        return self._deadlines[0][0] if self._deadlines else math.inf

    @property
    def servers(self) -> tuple[str, ...]:
        """Whom we ask."""
        return self._servers

    def use(self, servers: Sequence[str]) -> None:
        """Ask these from now on; what others said is forgotten, for it may hold there alone."""
        if tuple(servers) != self._servers:
            self._servers = tuple(servers)
            self._cache.clear()

    def ask(self, query: Query, address: str, limit: int, send: Send, now: float) -> None:
        """Find the answer to a question and send it."""
        dnssec = query.edns is not None and query.edns.dnssec
        key = Key(query.lower, dnssec, bool(query.flags & CD))
        client = _Client(query, address, limit, send)
        cached = self._cache.get(key, now)
        if cached is not None:
            self._counters["cached"] += 1
            send(relay(query, *cached, limit))
            return
        search = self._searches.get(key)
        new = search is None
        if self._of_client[address] >= MAX_OF_CLIENT or (new and len(self._searches) >= MAX_SEARCHES):
            self._counters["overload"] += 1
            send(dns.reply(query, Rcode.SERVFAIL))
            return
        self._counters["forwarded"] += 1
        self._of_client[address] += 1
        if search is not None:
            search.clients.append(client)
            return
        search = _Search(key, now + DEADLINE, self._turns(now), [client])
        self._searches[key] = search
        self._next(search, now)

    def received(self, exchange: int, message: bytes, now: float) -> None:
        """Take what came back; it may be forged."""
        search = self._exchanges.get(exchange)
        if search is None:
            return
        try:
            if not self._is_answer(search, message, now):
                return
            stored = read_answer(message)
        except ProtocolError:
            self._bad(search, now)
            return
        if message[2] & TC >> 8 and not search.stream:
            self._again(search, now, stream=True)
        elif stored.rcode == Rcode.FORMERR and search.edns:  # an old server, or something between us and it
            self._again(search, now, stream=search.stream, edns=False)
        elif stored.rcode in (Rcode.NOERROR, Rcode.NXDOMAIN):
            self._resting.pop(search.server, None)
            self._cache.put(search.key, stored, now)
            self._finish(search, stored)
        else:
            search.failure = stored
            self._next(search, now)

    def failed(self, exchange: int, now: float) -> None:
        """Take that nothing will come back."""
        search = self._exchanges.get(exchange)
        if search is not None:
            self._silent(search, now)

    def tick(self, now: float) -> None:
        """Ask others where an answer is late."""
        while self._deadlines and self._deadlines[0][0] <= now:
            _, exchange = heapq.heappop(self._deadlines)
            self.failed(exchange, now)

    def _turns(self, now: float) -> list[str]:
        """Return whom to ask, the first one last: as in the file, but who was silent lately after the others."""
        order = sorted(self._servers, key=lambda server: self._resting.get(server, 0.0) > now)
        return [*order * ROUNDS][::-1]

    def _is_answer(self, search: _Search, message: bytes, now: float) -> bool:
        """Return whether this answers what was asked; if not, look at what it may be instead."""
        header = len(message) >= HEADER and message[2] & QR >> 8 and not message[2] >> 3 & 0xF
        if header and int.from_bytes(message[:2], "big") == search.id:
            question = question_of(message)
            if question == search.question:
                return True
            if dns.lowered(question) == search.key.question:
                self._counters["case"] += 1
                self._again(search, now, stream=True)
                return False
        self._bad(search, now)
        return False

    def _bad(self, search: _Search, now: float) -> None:
        """Ignore what does not answer the question, but not for ever; over TCP it is the server's own."""
        self._counters["forged"] += 1
        search.guesses += 1
        if search.stream:
            self._silent(search, now)
        elif search.guesses >= MAX_GUESSES:
            self._again(search, now, stream=True)

    def _silent(self, search: _Search, now: float) -> None:
        self._counters["unanswered"] += 1
        self._resting[search.server] = now + REST
        self._next(search, now)

    def _next(self, search: _Search, now: float) -> None:
        """Ask the next server, or give up."""
        if not search.turns or now >= search.until:
            self._finish(search, search.failure)
            return
        search.server = search.turns.pop()
        search.edns = True
        self._again(search, now, stream=False)

    def _again(self, search: _Search, now: float, *, stream: bool, edns: bool | None = None) -> None:
        """Ask the server, with all new that makes guessing hard."""
        self._end_exchange(search)
        search.stream, search.guesses = stream, 0
        search.edns = search.edns if edns is None else edns
        search.id = self._rng.getrandbits(16)
        search.question = _random_case(search.key.question, self._rng)
        self._count += 1
        search.exchange = self._count
        self._exchanges[search.exchange] = search
        heapq.heappush(self._deadlines, (min(now + PATIENCE, search.until), search.exchange))
        self._wire.open(search.exchange, search.server, _message(search), stream=stream)

    def _end_exchange(self, search: _Search) -> None:
        if self._exchanges.pop(search.exchange, None) is not None:
            self._wire.close(search.exchange)

    def _finish(self, search: _Search, stored: Stored | None) -> None:
        self._end_exchange(search)
        del self._searches[search.key]
        for client in search.clients:
            self._of_client[client.address] -= 1
            if not self._of_client[client.address]:
                del self._of_client[client.address]
            if stored is None:
                self._counters["failed"] += 1
                client.send(dns.reply(client.query, Rcode.SERVFAIL))
            else:
                client.send(relay(client.query, stored, 0, client.limit))


def _message(search: _Search) -> bytes:
    flags = RD | (CD if search.key.unchecked else 0)
    counts = b"\0\1\0\0\0\0\0" + bytes([search.edns])
    opt = dns.opt_record(0, dnssec=search.key.dnssec) if search.edns else b""
    return search.id.to_bytes(2, "big") + flags.to_bytes(2, "big") + counts + search.question + opt


def _random_case(question: bytes, rng: Random) -> bytes:
    """Return a question whose letters are upper or lower case by chance; nothing but letters has the two."""
    drawn = rng.randbytes(len(question) - 4)
    name = bytes(
        byte ^ (chance & 0x20) if 0x61 <= byte <= 0x7A else byte for byte, chance in zip(question, drawn, strict=False)
    )
    return name + question[-4:]
