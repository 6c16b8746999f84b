"""Sockets to other name servers, one for each question: the kernel draws its port, and checks who answers."""

import errno
import socket
from collections.abc import Callable
from typing import Final

from ripstop.dns.loop import READ, WRITE, Loop

PORT = 53
_MAX_DATAGRAM = 4096  # bytes; we ask for less
_CHUNK = 65537  # bytes: the longest message, and its length


class Upstream:
    """Carries questions out and answers in, for a `Forwarder`."""

    def __init__(
        self,
        loop: Loop,
        received: Callable[[int, bytes], None],
        failed: Callable[[int], None],
        port: int = PORT,
    ) -> None:
        self._loop, self._received, self._failed, self._port = loop, received, failed, port
        self._open: Final[dict[int, socket.socket]] = {}

    def open(self, exchange: int, server: str, message: bytes, *, stream: bool) -> None:
        """Send a question; a failure is told later, never from within."""
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
        try:
            opened = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        except OSError:
            self._loop.call_at(0.0, lambda: self._failed(exchange))
            return
        self._open[exchange] = opened
        unsent = len(message).to_bytes(2, "big") + message if stream else message
        try:
            code = opened.connect_ex((server, self._port))
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, "connect")
            if not code:
                unsent = unsent[opened.send(unsent) :]
        except OSError:  # no way there, or no such interface behind the % of an address
            self._loop.call_at(0.0, lambda: self._failed(exchange))
            return
        if stream:
            conversation = _Conversation(opened, unsent)
            events = WRITE if unsent else READ
            self._loop.watch(opened.fileno(), lambda had: self._talk(exchange, conversation, had), events)
        else:
            self._loop.watch(opened.fileno(), lambda _: self._read(exchange, opened))

    def close(self, exchange: int) -> None:
        """Close a question's socket."""
        opened = self._open.pop(exchange, None)
        if opened is not None:
            self._loop.forget(opened.fileno())
            opened.close()

    def _read(self, exchange: int, opened: socket.socket) -> None:
        try:
            message = opened.recv(_MAX_DATAGRAM)
        except BlockingIOError:
            return
        except OSError:  # nobody there, says ICMP
            self._failed(exchange)
            return
        self._received(exchange, message)

    def _talk(self, exchange: int, conversation: "_Conversation", events: int) -> None:
        try:
            message = conversation.go_on()
        except BlockingIOError:
            return
        except OSError:
            self._failed(exchange)
            return
        if message is not None:
            self._received(exchange, message)
        elif events & WRITE and not conversation.unsent:
            self._loop.watch(
                conversation.socket.fileno(), lambda later: self._talk(exchange, conversation, later), READ
            )


class _Conversation:
    """One question and one answer over TCP."""

    def __init__(self, opened: socket.socket, unsent: bytes) -> None:
        self.socket: Final = opened
        self.unsent = unsent
        self._got = b""

    def go_on(self) -> bytes | None:
        """Send or receive what can be; return the answer when it is whole.

        Raises:
            OSError: there will be none.
        """
        if self.unsent:
            self.unsent = self.unsent[self.socket.send(self.unsent) :]
            return None
        received = self.socket.recv(_CHUNK)
        if not received:
            raise ConnectionResetError
        self._got += received
        end = 2 + int.from_bytes(self._got[:2], "big")
        return self._got[2:end] if len(self._got) >= 2 and end <= len(self._got) else None
