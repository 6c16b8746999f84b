"""Control connections over TCP: bytes in, whole messages out; decides nothing.

Every connection has a bounded queue of what is to be sent.  A peer that does not read fast enough is dropped rather
than let the queue grow: it will connect again and fetch the difference.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from ripstop.core.effects import Close, Dial, Send
from ripstop.core.errors import ProtocolError
from ripstop.core.events import Accepted, Closed, Dialed, DialFailed, Endpoint, Event, Received
from ripstop.core.names import ConnectionId, UnderlayIp
from ripstop.wire.control import Decoder, encode, preamble

log = logging.getLogger("ripstop.transport")
DIAL_TIMEOUT = 5.0  # seconds
QUEUE_LIMIT = 8 * 1024 * 1024  # bytes to one peer
READ_SIZE = 64 * 1024  # bytes
SESSION_LIMIT = 2048  # connections at once; a mesh of thousands keeps far fewer, a scanner must not take all memory
_LOGGED_LIMIT = 256  # addresses remembered as having been complained of


@dataclass(slots=True)
class _Session:
    id: ConnectionId
    remote: UnderlayIp
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    task: asyncio.Task[None] | None = None
    closing: bool = False  # the core closed it and wants to hear no more


@dataclass(slots=True)
class Counters:
    """What went wrong on control connections since the start."""

    bad_messages: int = 0  # connections dropped because of what came in
    refused: int = 0  # connections beyond the limit
    overruns: int = 0  # connections dropped because the peer did not read
    accepted: int = 0
    dialed: int = 0


@dataclass(slots=True)
class ControlTransport:
    """Listens, dials, reads and writes; `deliver` takes each event."""

    port: int
    deliver: Callable[[Event], None]
    tasks: asyncio.TaskGroup
    counters: Counters = field(default_factory=Counters)
    _sessions: dict[ConnectionId, _Session] = field(default_factory=dict)
    _server: asyncio.Server | None = None
    _last: int = 0
    _logged: set[UnderlayIp] = field(default_factory=set)

    async def listen(self) -> None:
        """Open the port; who connects waits until `serve`.

        Raises:
            OSError: it is in use.
        """
        self._server = await asyncio.start_server(
            self._accept, host="0.0.0.0", port=self.port, reuse_address=True, start_serving=False
        )

    async def serve(self) -> None:
        """Begin to take connections."""
        assert self._server is not None, "listen first"
        await self._server.start_serving()

    def perform(self, effect: Dial | Send | Close) -> None:
        """Do what the core asked; failures come back as events."""
        match effect:
            case Dial():
                self.tasks.create_task(self._dial(effect.endpoint))
            case Send():
                self._send(effect)
            case Close():
                self._close(effect.connection)
            case _:
                assert_never(effect)

    async def _dial(self, endpoint: Endpoint) -> None:
        try:
            async with asyncio.timeout(DIAL_TIMEOUT):
                reader, writer = await asyncio.open_connection(endpoint.address, endpoint.port, family=socket.AF_INET)
        except TimeoutError:
            self.deliver(DialFailed(endpoint, f"no answer for {DIAL_TIMEOUT:.0f} s"))
            return
        except OSError as error:
            self.deliver(DialFailed(endpoint, _reason(error)))
            return
        ends = _ends(writer)
        if ends is None:
            writer.close()
            self.deliver(DialFailed(endpoint, "closed at once"))
            return
        self.counters.dialed += 1
        session = self._open(reader, writer, ends[1])
        self.deliver(Dialed(endpoint, session.id, *ends))
        session.task = self.tasks.create_task(self._read(session))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = _ends(writer)
        if ends is None:
            writer.close()
            return
        if len(self._sessions) >= SESSION_LIMIT:
            self.counters.refused += 1
            writer.close()
            return
        self.counters.accepted += 1
        session = self._open(reader, writer, ends[1])
        self.deliver(Accepted(session.id, *ends))
        session.task = self.tasks.create_task(self._read(session))

    def _open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, remote: UnderlayIp) -> _Session:
        self._last += 1
        session = _Session(ConnectionId(self._last), remote, reader, writer)
        self._sessions[session.id] = session
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        writer.write(preamble())
        return session

    async def _read(self, session: _Session) -> None:
        decoder, reason = Decoder(), "closed by the peer"
        try:
            while data := await session.reader.read(READ_SIZE):
                for message in decoder.feed(data):
                    self.deliver(Received(session.id, message))
        except ProtocolError as error:
            reason = f"bad message: {error}"
            self._count_bad(session, reason)
        except OSError as error:
            reason = error.strerror or str(error)
        if self._sessions.pop(session.id, None) is not None and not session.closing:
            self.deliver(Closed(session.id, reason))
        await _finish(session.writer)

    def _count_bad(self, session: _Session, reason: str) -> None:
        """Count every bad message; log the first from each address, for a scanner must not fill the disk."""
        self.counters.bad_messages += 1
        remote = session.remote
        if remote not in self._logged and len(self._logged) < _LOGGED_LIMIT:
            self._logged.add(remote)
            log.warning("dropped a connection with %s: %s; further ones are only counted", remote, reason)

    def _send(self, effect: Send) -> None:
        session = self._sessions.get(effect.connection)
        if session is None or session.closing:
            return
        if session.writer.transport.get_write_buffer_size() > QUEUE_LIMIT:
            self.counters.overruns += 1
            self._drop(session, "does not read what is sent")
            return
        session.writer.write(encode(effect.message))

    def _drop(self, session: _Session, reason: str) -> None:
        session.closing = True
        session.writer.transport.abort()
        self.deliver(Closed(session.id, reason))

    def _close(self, connection: ConnectionId) -> None:
        session = self._sessions.get(connection)
        if session is not None:
            session.closing = True
            session.writer.close()  # what is queued still goes out

    async def close(self) -> None:
        """Stop listening and close everything, at most a second for what is queued."""
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions.values()):
            self._close(session.id)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await _finish(session.writer)
            if session.task is not None:
                session.task.cancel()


async def _finish(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _reason(error: OSError) -> str:
    """Return the system's own words; asyncio's text says only that the call failed."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _ends(writer: asyncio.StreamWriter) -> tuple[UnderlayIp, UnderlayIp] | None:
    """Return our address and the other one, or None if the connection was reset before we could look."""
    local, remote = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
    return (UnderlayIp(local[0]), UnderlayIp(remote[0])) if local and remote else None
