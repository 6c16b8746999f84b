"""The network plugin's way in: what it was given comes as it is, what it is to print goes back as it is.

It has a socket of its own, as HTTP takes longer than all that the daemon decides here.  A request is four bytes with
its length and then itself; the answer is a byte, the exit code, and then what to print, to the end of the connection.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

log = logging.getLogger("ripstop.api")
DONE, REFUSED = b"\0", b"\1"
PATIENCE = 10.0  # seconds for a request to come in, once somebody has called
MAX_REQUEST = 2 << 20  # bytes
_BACKLOG = 1024  # connections that wait to be taken: as many containers may start at once
_PAUSE = 1.0  # seconds until we try again when the system has no descriptor or memory for a connection
_CHUNK = 65536  # bytes
_HEAD = 4  # bytes

Plugin = Callable[[bytes, Callable[[], bool]], Awaitable[tuple[bool, bytes]]]


def listen(path: Path) -> socket.socket:
    """Take a unix socket that only root can open; nobody is answered before `PluginServer.run`."""
    path.unlink(missing_ok=True)  # the lock on the run directory says that nobody listens there
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


class PluginServer:
    """Answers the plugin, any number of calls at once."""

    def __init__(
        self, listener: socket.socket, plugin: Plugin, broken: Callable[[bytes], bytes], patience: float = PATIENCE
    ) -> None:
        """Begin to answer with `run`.

        Args:
            listener: from `listen`.
            plugin: takes what the plugin was given and whether it still waits; returns whether it was done, and what
                is to be printed.
            broken: takes what the plugin was given; returns what is to be printed when `plugin` breaks: without an
                answer the plugin would take us for dead.
            patience: seconds for a request to come in.
        """
        self._listener, self._plugin, self._broken, self._patience = listener, plugin, broken, patience

    async def run(self) -> None:
        """Run until cancelled; what is served then is given up, and undone as if its caller had gone."""
        with self._listener:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    error = await self._take(tasks)
                    log.warning("cannot take a connection of a plugin: %s", error.strerror)
                    await asyncio.sleep(_PAUSE)

    async def _take(self, tasks: asyncio.TaskGroup) -> OSError:
        """Serve whoever calls; return what keeps us from it."""
        loop = asyncio.get_running_loop()
        trouble: asyncio.Future[OSError] = loop.create_future()

        def take() -> None:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return  # who called has gone
            except OSError as error:
                if not trouble.done():
                    trouble.set_result(error)
            else:
                tasks.create_task(self._serve(connection))

        loop.add_reader(self._listener, take)  # it stays; with `sock_accept` each connection costs a tenth of a ms more
        try:
            return await trouble
        finally:
            loop.remove_reader(self._listener)

    async def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.setblocking(False)
            try:
                async with asyncio.timeout(self._patience):
                    body = await _receive(connection)
                answer = await self._answer(body, lambda: _is_there(connection))
                await asyncio.get_running_loop().sock_sendall(connection, answer)
            except (OSError, ValueError) as error:
                log.debug("a plugin was not answered: %s", error)  # it has gone, or is none of ours

    async def _answer(self, body: bytes, is_heard: Callable[[], bool]) -> bytes:
        try:
            done, answer = await self._plugin(body, is_heard)
        except Exception:
            log.exception("a plugin's call broke")  # this one fails, the others go on
            return REFUSED + self._broken(body)
        return (DONE if done else REFUSED) + answer


async def _receive(connection: socket.socket) -> bytes:
    """Return a request.

    Raises:
        ValueError: it is too long, or ends too early.
    """
    loop, got, size = asyncio.get_running_loop(), b"", _HEAD
    while len(got) < size:
        part = await loop.sock_recv(connection, _CHUNK)
        if not part:
            raise ValueError(f"its request ended after {len(got)} bytes")
        got += part
        if size == _HEAD and len(got) >= _HEAD:
            size += int.from_bytes(got[:_HEAD], "big")
            if size > MAX_REQUEST:
                raise ValueError(f"its request has {size} bytes, and {MAX_REQUEST} at most are read")
    return got[_HEAD:]


def _is_there(connection: socket.socket) -> bool:
    """Whether the other end is open."""
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
