"""Questions and answers over TCP: several on each connection, answered as the answers are there.

A client that is slow, silent, or does not read what it asked for holds a connection and little else, for a bounded
time; of too many connections the one that was silent for longest goes.

Source: RFC 7766 (connections that are used again, answers out of order, limits of the server's own choice).
"""

import socket
from collections import Counter
from typing import Final

from ripstop.dns.loop import READ, WRITE, Loop
from ripstop.dns.responder import Responder
from ripstop.wire.dns import is_question

MAX_CONNECTIONS = 256
MAX_OF_CLIENT = 32  # connections of one address
IDLE = 10.0  # seconds without a whole question, or without reading of an answer
MAX_PENDING = 64  # questions of one connection without an answer; more are not read until then
MAX_UNSENT = 256 * 1024  # bytes of answers that the client does not read; more questions are not read until then
_CHUNK = 16 * 1024  # bytes
_PREFIX = 2  # bytes of a message's length
_PAUSE = 0.1  # seconds until we try again when the system has no descriptor for a connection


class Streams:
    """Answers what comes to a TCP socket."""

    def __init__(
        self, listener: socket.socket, loop: Loop, responder: Responder, counters: Counter[str], idle: float = IDLE
    ) -> None:
        self.idle: Final = idle
        self.socket: Final = listener
        self._loop, self._responder, self._counters = loop, responder, counters
        self._open: dict[_Connection, None] = {}  # who asked last is last
        loop.watch(listener.fileno(), self._accept)

    def retire(self) -> None:
        """Close the socket; connections go on."""
        self._loop.forget(self.socket.fileno())
        self.socket.close()

    def close(self) -> None:
        """Close the socket and all connections."""
        self.retire()
        for connection in list(self._open):
            connection.close()

    def ask(self, connection: "_Connection", message: bytes) -> None:
        """Answer a question of a connection, now or later; what nobody answers ends the connection."""
        self._counters["tcp"] += 1
        self._open[connection] = self._open.pop(connection)
        if not is_question(message):
            self._counters["ignored"] += 1
            connection.close()
            return
        answer = self._responder.respond(message, connection.address, connection.answer, stream=True)
        if answer is not None:
            connection.answer(answer)

    def gone(self, connection: "_Connection") -> None:
        """Forget a connection that has closed."""
        self._open.pop(connection, None)

    def _accept(self, _events: int) -> None:
        try:
            opened, address = self.socket.accept()
        except BlockingIOError:
            return
        except OSError:  # out of descriptors, most likely: looking again at once would be all that we do
            self._loop.forget(self.socket.fileno())
            self._loop.call_at(self._loop.now() + _PAUSE, self._resume)
            return
        theirs = [connection for connection in self._open if connection.address == address[0]]
        if len(theirs) >= MAX_OF_CLIENT or len(self._open) >= MAX_CONNECTIONS:
            self._counters["crowded"] += 1
            (theirs if len(theirs) >= MAX_OF_CLIENT else list(self._open))[0].close()
        opened.setblocking(False)
        self._open[_Connection(opened, address[0], self._loop, self)] = None

    def _resume(self) -> None:
        if self.socket.fileno() >= 0:
            self._loop.watch(self.socket.fileno(), self._accept)


class _Connection:
    """One client's; closes itself when there is nothing more to be done."""

    def __init__(self, opened: socket.socket, address: str, loop: Loop, streams: Streams) -> None:
        self.address: Final = address
        self._socket, self._loop, self._streams = opened, loop, streams
        self._got, self._unsent = bytearray(), bytearray()
        self._pending = 0  # questions without an answer
        self._asking = False  # answers that are there at once are sent together
        self._ended = False  # the client asks no more, but may still read
        self._until = loop.now() + streams.idle
        loop.watch(opened.fileno(), self._ready)
        loop.call_at(self._until, self._look)

    def answer(self, message: bytes) -> None:
        """Send an answer, if the client is still there."""
        if self._socket.fileno() < 0:
            return
        self._pending -= 1
        self._unsent += len(message).to_bytes(_PREFIX, "big") + message
        if not self._asking:
            self._go_on()

    def close(self) -> None:
        """Close; answers that come later go nowhere."""
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._streams.gone(self)

    def _look(self) -> None:
        """Close if nothing has happened for too long."""
        if self._socket.fileno() < 0:
            return
        if self._loop.now() >= self._until:
            self.close()
        else:
            self._loop.call_at(self._until, self._look)

    def _ready(self, events: int) -> None:
        if events & ~(READ | WRITE):  # an error, or both directions are closed
            self.close()
            return
        if events & READ:
            try:
                received = self._socket.recv(_CHUNK)
            except BlockingIOError:
                received = None
            except OSError:
                self.close()
                return
            if received is not None:
                self._ended = not received
                self._got += received
        self._go_on()

    def _go_on(self) -> None:
        """Ask what was read, send what can be sent, and wait for whatever comes next."""
        self._asking = True
        while self._takes_more and (message := self._take()) is not None:
            self._pending += 1
            self._until = self._loop.now() + self._streams.idle
            self._streams.ask(self, message)
            if self._socket.fileno() < 0:
                return
        self._asking = False
        if not self._send():
            self.close()
            return
        if self._ended and not self._pending and not self._unsent:
            self.close()
            return
        wanted = (READ if self._takes_more and not self._ended else 0) | (WRITE if self._unsent else 0)
        self._loop.watch(self._socket.fileno(), self._ready, wanted)

    @property
    def _takes_more(self) -> bool:
        return self._pending < MAX_PENDING and len(self._unsent) < MAX_UNSENT

    def _take(self) -> bytes | None:
        """Return the next message, if it is whole."""
        end = _PREFIX + int.from_bytes(self._got[:_PREFIX], "big")
        if len(self._got) < max(end, _PREFIX):
            return None
        message = bytes(self._got[_PREFIX:end])
        del self._got[:end]
        return message

    def _send(self) -> bool:
        """Send what the client takes; return whether it is still there."""
        if self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if sent:
                self._until = self._loop.now() + self._streams.idle
            del self._unsent[:sent]
        return True
