"""Tells when the host's links, addresses or routes changed; what they are now is for the caller to read.

Of a notification only whose port it is about is read, so one that the kernel had to drop (ENOBUFS) costs nothing.
"""

import contextlib
import ctypes
import enum
import errno
import os
import socket
import struct

from ripstop.core.errors import KernelError
from ripstop.core.names import PortId
from ripstop.kernel.link import is_container_port

_RTMGRP_LINK = 0x1  # include/uapi/linux/rtnetlink.h
_RTMGRP_IPV4_IFADDR = 0x10
_RTMGRP_IPV4_ROUTE = 0x40
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_RTM_NEWLINK, _RTM_DELLINK = 16, 17
_ABOUT_LINKS = (_RTM_NEWLINK, _RTM_DELLINK)
_NAME_AT = 16 + 16 + 4  # bytes, of nlmsghdr, ifinfomsg and nlattr: the kernel says the name first
_IFLA_IFNAME = 3
_SO_SNDBUFFORCE = 32  # include/uapi/asm-generic/socket.h
# Frames to neighbors that do not answer ARP wait in the kernel for seconds and count against the socket that sent them:
# with the default of 208 KiB, a dozen unreachable peers keep us from probing those that can be reached.
_SEND_BUFFER = 32 * 1024 * 1024  # bytes
_SOCKADDR_LL = struct.Struct("=H2siHBB8s")  # packet(7); Python's own addresses have names of interfaces, not numbers
_libc = ctypes.CDLL(None, use_errno=True)


class Change(enum.Flag):
    """What changed on this host."""

    NOTHING = 0
    GONE = enum.auto()  # a container's port went away
    DEVICES = enum.auto()  # anything else


class Watch:
    """A netlink socket to hang into an event loop; made in the namespace that it watches."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        self._socket.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV4_ROUTE))

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something changed."""
        return self._socket.fileno()

    def drain(self) -> Change:
        """Read all notifications away, lost ones included; return what they are about."""
        change = Change.NOTHING
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    change |= _change(self._socket.recv(65536))
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
                    change |= Change.DEVICES
        return change

    def close(self) -> None:
        """Watch no more."""
        self._socket.close()


class FrameSocket:
    """Sends whole Ethernet frames out of one interface of this namespace."""

    def __init__(self, interface: str) -> None:
        """Open the socket.

        Raises:
            KernelError: there is no such interface, or we may not.
        """
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)  # 0: receive nothing
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER)
        try:
            self._socket.bind((interface, 0))
        except OSError as error:
            self._socket.close()
            raise KernelError("bind to", interface, error.errno or 0, os.strerror(error.errno or 0)) from None

    def send(self, frame: bytes) -> str:
        """Send one frame; return "" or why it did not go, which for a probe is like any other loss."""
        try:
            self._socket.send(frame)
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def close(self) -> None:
        """Send no more."""
        self._socket.close()


class PortSocket:
    """Sends whole Ethernet frames out of any port of the switch, to what is behind it."""

    def __init__(self) -> None:
        """Open the socket in the namespace of the calling thread."""
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)  # 0: receive nothing

    def send(self, port: PortId, frame: bytes) -> str:
        """Send one frame; return "" or why it did not go."""
        address = _SOCKADDR_LL.pack(socket.AF_PACKET, frame[12:14], port, 0, 0, 0, b"")
        done = _libc.sendto(self._socket.fileno(), frame, len(frame), 0, address, len(address))
        return "" if done == len(frame) else os.strerror(ctypes.get_errno())

    def close(self) -> None:
        """Send no more."""
        self._socket.close()


def _change(notifications: bytes) -> Change:
    """Return what notifications are about: what we do to containers' ports ourselves is no news."""
    change, at = Change.NOTHING, 0
    while at + _HEADER.size <= len(notifications):
        length, kind, _, _, _ = _HEADER.unpack_from(notifications, at)
        name = notifications[at + _NAME_AT : at + length].partition(b"\0")[0] if kind in _ABOUT_LINKS else b""
        if not (is_container_port(name.decode(errors="replace")) and notifications[at + _NAME_AT - 2] == _IFLA_IFNAME):
            change |= Change.DEVICES
        elif kind == _RTM_DELLINK:
            change |= Change.GONE
        at += max((length + 3) & ~3, _HEADER.size)
    return change
