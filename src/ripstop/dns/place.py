"""One address and port at which we answer, over UDP and TCP."""

import socket
from typing import Final

from ripstop.dns.loop import Loop
from ripstop.dns.tcp import Streams
from ripstop.dns.udp import Datagrams, listen
from ripstop.wire.dns_handover import Place

Sockets = tuple[socket.socket, socket.socket]  # datagrams, connections


class Service:
    """Answers at one place until it is closed."""

    def __init__(self, loop: Loop, datagrams: Datagrams, streams: Streams) -> None:
        self.sockets: Final = datagrams.socket, streams.socket
        self._loop, self._datagrams, self._streams = loop, datagrams, streams
        loop.watch(datagrams.socket.fileno(), datagrams.ready)

    def retire(self) -> None:
        """Take no more questions, but answer those that were asked."""
        self._loop.forget(self._datagrams.socket.fileno())
        self._streams.retire()

    def close(self) -> None:
        """Answer nobody any more."""
        self._loop.forget(self._datagrams.socket.fileno())
        self._datagrams.socket.close()
        self._streams.close()


def open_sockets(place: Place) -> Sockets:
    """Return sockets of both kinds at a place, or none.

    Raises:
        OSError: somebody else has it.
    """
    datagrams = listen(*place, socket.SOCK_DGRAM)
    try:
        stream = listen(*place, socket.SOCK_STREAM)
        stream.listen()
    except OSError:
        datagrams.close()
        raise
    return datagrams, stream
