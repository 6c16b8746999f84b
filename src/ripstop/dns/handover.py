"""From one name server to the next: its sockets, with all that waits in them.

A daemon that dies leaves its name server behind, which answers on by what it was told; that of the next daemon takes
its place when it knows all names.  Both answer at the same sockets for a moment, so no question is lost; and if the
new one dies half-way, the old one never stopped.
"""

import contextlib
import os
import signal
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from ripstop.dns.loop import Loop
from ripstop.dns.place import Sockets
from ripstop.wire import dns_handover
from ripstop.wire.dns_handover import END, MAX_PLACES, TAKEN, Place

PATIENCE = 2.0  # seconds for the old one to say something; it is killed after that
_MESSAGE = 64 * 1024  # bytes
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


class Offer:
    """Gives our sockets to who comes after us."""

    def __init__(
        self, path: Path, loop: Loop, sockets: Callable[[], Mapping[Place, Sockets]], ended: Callable[[bytes], None]
    ) -> None:
        """Wait for others at a path; call back with what they say when we are to answer no more."""
        self._path, self._loop, self._sockets, self._ended = path, loop, sockets, ended
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path.unlink(missing_ok=True)
        before = os.umask(0o177)  # root alone
        try:
            self._listener.bind(str(path))
        finally:
            os.umask(before)
        self._listener.listen()
        self._listener.setblocking(False)
        loop.watch(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Let nobody come any more."""
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self, _events: int) -> None:
        with contextlib.suppress(OSError):  # who has gone again, or asks when we have no descriptors, may try again
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            given = dict(list(self._sockets().items())[:MAX_PLACES])
            descriptors = [one.fileno() for pair in given.values() for one in pair]
            try:
                socket.send_fds(connection, [dns_handover.encode(tuple(given))], descriptors)
            except OSError:
                connection.close()
                raise
            self._loop.watch(connection.fileno(), lambda _: self._hear(connection))

    def _hear(self, connection: socket.socket) -> None:
        try:
            word = connection.recv(_MESSAGE)
        except OSError:
            word = b""
        self._loop.forget(connection.fileno())
        if word == TAKEN:  # the path is the other's now
            self._loop.forget(self._listener.fileno())
            self._listener.close()
        if word in (TAKEN, END):
            self._ended(word)
        connection.close()


class Estate:
    """What the one before us had, if there is one."""

    def __init__(self, path: Path) -> None:
        """Ask for it; nobody there, or somebody who has no answer, has nothing."""
        self._sockets: dict[Place, Sockets] = {}
        self._former = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._former.settimeout(PATIENCE)
        try:
            self._former.connect(str(path))
        except OSError:
            return
        try:
            message, descriptors, _, _ = socket.recv_fds(self._former, _MESSAGE, 2 * MAX_PLACES)
            opened = [socket.socket(fileno=descriptor) for descriptor in descriptors]
            for one in opened:
                one.setblocking(False)
            places = dns_handover.decode(message)
            self._sockets = dict(zip(places, zip(opened[::2], opened[1::2], strict=True), strict=True))
        except (OSError, ValueError):  # it hangs, or is of another version: it would only be in the way
            pid, _, _ = _CREDENTIALS.unpack(
                self._former.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def take(self, place: Place) -> Sockets | None:
        """Return its sockets at a place."""
        return self._sockets.pop(place, None)

    def close(self) -> None:
        """Close what nobody took, and let it end."""
        for pair in self._sockets.values():
            for one in pair:
                one.close()
        self._sockets.clear()
        with contextlib.suppress(OSError):
            self._former.send(TAKEN)
        self._former.close()
