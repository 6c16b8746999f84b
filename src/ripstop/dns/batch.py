"""Many datagrams with one system call: `recvmmsg` and `sendmmsg` on memory that is made once.

Answers are written where their questions lie, and go back to the addresses that the kernel noted, without a Python
object for either.  Structures are those of 64-bit Linux (x86-64, arm64).
"""

import ctypes
import socket
import struct
import sys
from typing import Final

COUNT = 64  # datagrams at once
SLOT = 1280  # bytes of one; longer questions are cut and marked as such
HEADER = 64  # bytes of struct mmsghdr
_NAME = 32  # bytes for a sockaddr_in6 (28)
_CONTROL = 64  # bytes for an IP_PKTINFO (32) or IPV6_PKTINFO (40)
_IOVEC = 16  # bytes
_WORDS = HEADER // 8  # of a header
_CONTROL_LENGTH, _FLAGS, _LENGTH = 5, 6, 7  # words of a header
_CMSG = struct.Struct("@QiiI")  # length, level, type of a control message; then an in_pktinfo's interface

# the calls never block, so they need not let other threads run; arguments are made once, for that takes longest
_libc = ctypes.PyDLL(None)
_recvmmsg, _sendmmsg = _libc.recvmmsg, _libc.sendmmsg
_AT_ONCE = ctypes.c_int(socket.MSG_DONTWAIT)
_COUNTS = tuple(map(ctypes.c_uint, range(COUNT + 1)))

Descriptor = ctypes.c_int


class Batch:
    """Room for `COUNT` datagrams, used for all sockets in turn.

    `packets` holds them, each at a multiple of `SLOT`; `lengths` has at odd places how much of each is sent.
    """

    def __init__(self) -> None:
        self._packets = bytearray(COUNT * SLOT)
        self._names = bytearray(COUNT * _NAME)
        self._controls = bytearray(COUNT * _CONTROL)
        self._iovecs = bytearray(COUNT * _IOVEC)
        self._headers = bytearray(COUNT * HEADER)
        self.packets: Final = memoryview(self._packets)
        self.lengths: Final = memoryview(self._iovecs).cast("Q")
        self.headers: Final = memoryview(self._headers).cast("Q")
        packets, names, controls, iovecs, self._at = map(
            _address, (self._packets, self._names, self._controls, self._iovecs, self._headers)
        )
        self._used = COUNT  # of them, since they were as new
        self._first = ctypes.c_void_p(self._at)
        for i in range(COUNT):
            self.lengths[2 * i] = packets + i * SLOT
            self.lengths[2 * i + 1] = SLOT
            words = (names + i * _NAME, _NAME, iovecs + i * _IOVEC, 1, controls + i * _CONTROL, _CONTROL, 0, 0)
            for word, value in enumerate(words):
                self.headers[_WORDS * i + word] = value
        self._fresh_iovecs, self._fresh_headers = bytes(self._iovecs), bytes(self._headers)

    def receive(self, fd: Descriptor) -> int:
        """Fill with what has come; return how many, 0 if nothing has."""
        used = self._used
        self._iovecs[: used * _IOVEC] = self._fresh_iovecs[: used * _IOVEC]
        self._headers[: used * HEADER] = self._fresh_headers[: used * HEADER]
        self._used = max(0, _recvmmsg(fd, self._first, _COUNTS[COUNT], _AT_ONCE, None))
        return self._used

    def sizes(self, count: int) -> list[int]:
        """Return how long the first datagrams are."""
        return self.headers[_LENGTH : _WORDS * count : _WORDS].tolist()

    def is_cut(self, index: int) -> bool:
        """Return whether a datagram was longer than its room."""
        return bool(self.headers[_WORDS * index + _FLAGS] & socket.MSG_TRUNC)

    def sender(self, index: int) -> tuple[str, int] | tuple[str, int, int, int]:
        """Return where a datagram came from, as sockets take it."""
        name = bytes(self._names[index * _NAME : (index + 1) * _NAME])
        family, port = int.from_bytes(name[:2], sys.byteorder), int.from_bytes(name[2:4], "big")
        if family == socket.AF_INET:
            return socket.inet_ntop(family, name[4:8]), port
        scope = int.from_bytes(name[24:28], sys.byteorder)
        return socket.inet_ntop(family, name[8:24]), port, 0, scope

    def control(self, index: int) -> list[tuple[int, int, bytes]]:
        """Return which of our addresses a datagram was sent to, as `sendmsg` takes it; nothing if that is plain."""
        length = self.headers[_WORDS * index + _CONTROL_LENGTH]
        if not length:
            return []
        start = index * _CONTROL
        size, level, kind, _ = _CMSG.unpack_from(self._controls, start)
        return [(level, kind, bytes(self._controls[start + 16 : start + size]))]

    def answer(self, index: int, message: bytes) -> None:
        """Put a datagram in the place of another."""
        self.packets[index * SLOT : index * SLOT + len(message)] = message
        self.lengths[2 * index + 1] = len(message)

    def move(self, index: int, to: int) -> None:
        """Let a datagram be sent as the one with a lower index."""
        self._headers[to * HEADER : (to + 1) * HEADER] = self._headers[index * HEADER : (index + 1) * HEADER]

    def send(self, fd: Descriptor, count: int) -> int:
        """Send the first `count`; return how many the kernel refused."""
        sent: int = _sendmmsg(fd, self._first, _COUNTS[count], _AT_ONCE)
        refused = 0
        while sent < count:  # the next one cannot be sent, whatever the reason
            refused, sent = refused + 1, max(0, sent) + 1
            first = ctypes.c_void_p(self._at + sent * HEADER)
            sent += max(0, _sendmmsg(fd, first, _COUNTS[count - sent], _AT_ONCE))
        return refused


def _address(memory: bytearray) -> int:
    return ctypes.addressof((ctypes.c_char * len(memory)).from_buffer(memory))
