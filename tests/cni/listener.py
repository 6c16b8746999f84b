"""Whoever listens where the daemon should: says what a test wants, however badly, and keeps what it was asked."""

import contextlib
import enum
import socket
import threading
from collections.abc import Iterator
from pathlib import Path


class Manner(enum.Enum):
    """How a call is answered."""

    DONE = enum.auto()
    REFUSED = enum.auto()
    LONG = enum.auto()  # more than any pipe or socket holds
    IN_PIECES = enum.auto()
    EMPTY = enum.auto()  # an exit code, and nothing to print
    DEAF = enum.auto()  # ends before it has read
    DYING = enum.auto()  # ends before it answers
    BROKEN = enum.auto()  # ends within the answer
    SILENT = enum.auto()  # says nothing, for as long as the other end is there


SAID = {
    Manner.DONE: b'\0{"said": "done"}',
    Manner.REFUSED: b'\1{"code": 100}',
    Manner.LONG: b"\0" + b"x" * 3_000_000,
    Manner.IN_PIECES: b'\7{"said": "piecemeal"}',
    Manner.EMPTY: b"\0",
    Manner.BROKEN: b'\0{"sa',
}


class Listener:
    """Answers one call after the other on a socket."""

    def __init__(self, path: Path) -> None:
        self.manner = Manner.DONE
        self.asked: list[bytes] = []
        self.heard = threading.Event()  # it was asked something
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(16)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """End, and wait until it has."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(ConnectionError):
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        if self.manner is Manner.DEAF:
            connection.recv(1)
            return
        head = connection.recv(4, socket.MSG_WAITALL)
        left = 1 if self.manner is Manner.BROKEN else 0  # what was not read becomes an error at the other end
        self.asked.append(connection.recv(int.from_bytes(head, "big") - left, socket.MSG_WAITALL))
        self.heard.set()
        said = SAID.get(self.manner, b"")
        if self.manner is Manner.IN_PIECES:
            for place in range(len(said)):
                connection.sendall(said[place : place + 1])
        elif self.manner is Manner.SILENT:
            connection.recv(1)
        else:
            connection.sendall(said)


@contextlib.contextmanager
def listening(run_dir: Path) -> Iterator[Listener]:
    """Listen in a run directory."""
    run_dir.mkdir(exist_ok=True)
    listener = Listener(run_dir / "cni.sock")
    try:
        yield listener
    finally:
        listener.close()
