"""Many datagrams with one system call: `recvmmsg` and `sendmmsg` on memory that is made once.

Answers are written where their questions lie, and go back to the addresses that the kernel noted, without a Python
object for either.  Structures are those of 64-bit Linux (x86-64, arm64).
"""

import ctypes
import errno
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

_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


class Batch:
    """Room for `COUNT` datagrams, used for all sockets in turn.

    `packets` holds them, each at a multiple of `SLOT`; `headers` has their lengths in the last of each eight words, and
    `lengths` has at odd places how much of each is sent.
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
        for i in range(COUNT):
            self.lengths[2 * i] = packets + i * SLOT
            self.lengths[2 * i + 1] = SLOT
            words = (names + i * _NAME, _NAME, iovecs + i * _IOVEC, 1, controls + i * _CONTROL, _CONTROL, 0, 0)
            for word, value in enumerate(words):
                self.headers[_WORDS * i + word] = value
        self._fresh_iovecs, self._fresh_headers = bytes(self._iovecs), bytes(self._headers)

    def receive(self, fd: int) -> int:
        """Fill with what has come; return how many, 0 if nothing has."""
        self._iovecs[:] = self._fresh_iovecs
        self._headers[:] = self._fresh_headers
        got: int = _recvmmsg(fd, self._at, COUNT, socket.MSG_DONTWAIT, None)
        return max(0, got)

    def message(self, index: int) -> bytes:
        """Return a datagram."""
        start = index * SLOT
        return self.packets[start : start + self.headers[_WORDS * index + _LENGTH]].tobytes()

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

    def send(self, fd: int, count: int) -> int:
        """Send the first `count`; return how many the kernel refused."""
        first = refused = 0
        while first < count:
            sent = _sendmmsg(fd, self._at + first * HEADER, count - first, socket.MSG_DONTWAIT)
            if sent < 0:
                if ctypes.get_errno() in (errno.EAGAIN, errno.ENOBUFS):
                    return refused + count - first
                refused, sent = refused + 1, 1
            first += sent
        return refused


def _address(memory: bytearray) -> int:
    return ctypes.addressof((ctypes.c_char * len(memory)).from_buffer(memory))
