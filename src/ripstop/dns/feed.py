"""What the daemon says, and what it is told: one end of a socket pair."""

import socket
from collections.abc import Callable

import msgspec

from ripstop.dns.loop import Loop
from ripstop.wire.dns_feed import Listen, Rows
from ripstop.wire.dns_report import Frames, Report, encode

_CHUNK = 256 * 1024  # bytes


class Feed:
    """Takes messages of the daemon; its end is ours."""

    def __init__(
        self, opened: socket.socket, loop: Loop, take: Callable[[Rows | Listen], None], ended: Callable[[], None]
    ) -> None:
        self._socket, self._loop, self._take, self._ended = opened, loop, take, ended
        decoder: msgspec.msgpack.Decoder[Rows | Listen] = msgspec.msgpack.Decoder(Rows | Listen)
        self._frames = Frames(decoder)
        self._unsent = b""
        opened.setblocking(False)
        loop.watch(opened.fileno(), self._ready)

    def report(self, report: Report) -> None:
        """Tell the daemon, unless it still has to take the last one: the next report says all that this one did."""
        try:
            if not self._unsent:
                self._unsent = encode(report)
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except OSError:  # it has no time, or has gone: then we hear that it has
            return

    def _ready(self, _events: int) -> None:
        try:
            received = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._loop.forget(self._socket.fileno())
            self._ended()
        for message in self._frames.feed(received):
            self._take(message)
