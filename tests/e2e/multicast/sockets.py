"""Programs that want or send multicast, as the socket API lets them say it."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Self

from ripstop.kernel import netns
from ripstop.lab.node import Node

PORT = 7711
_JOIN, _BLOCK, _UNBLOCK, _LEAVE, _JOIN_SOURCE, _LEAVE_SOURCE = range(42, 48)  # MCAST_*: include/uapi/linux/in.h
_ADD_SOURCE_MEMBERSHIP = 39
_UDP_SEGMENT = 103  # include/uapi/linux/udp.h
_BUFFER = 1 << 24  # bytes
_RCVBUFFORCE = 33  # include/uapi/asm-generic/socket.h
_NUMBER = struct.Struct("!I")
_RUN = 8  # bytes behind it


@contextlib.contextmanager
def inside(node: Node) -> Iterator[None]:
    """Be in a node's namespace for the length of a `with` block; a socket made there stays there."""
    with netns.opened(str(node.netns_path)) as descriptor, netns.entered(descriptor):
        yield


@contextlib.contextmanager
def on_one_processor() -> Iterator[None]:
    """Keep what is sent in order: the kernel has a queue on each processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def numbered(count: int, size: int = 64, first: int = 0) -> list[bytes]:
    """Return payloads with a number each; `run_of` tells them and their fragments from those of other calls."""
    filling = os.urandom(_RUN) * (size // _RUN)
    return [(_NUMBER.pack(number) + filling)[:size] for number in range(first, first + count)]


def run_of(payload: bytes) -> bytes:
    """Return what is in every part of all payloads that were made by one call."""
    return payload[_NUMBER.size :][:_RUN]


class Member:
    """A program that has a socket for one group; it joins by its methods, and leaves at the latest when closed."""

    def __init__(self, node: Node, group: str, ifname: str = "eth0") -> None:
        """Open the socket; nothing is joined yet."""
        self._group = group
        self._is_v6 = ip_address(group).version == 6
        self._level = socket.IPPROTO_IPV6 if self._is_v6 else socket.IPPROTO_IP
        self._address = "" if self._is_v6 else node.address(ifname)
        with inside(node):
            self._socket = socket.socket(socket.AF_INET6 if self._is_v6 else socket.AF_INET, socket.SOCK_DGRAM)
            self._ifindex = socket.if_nametoindex(ifname)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _BUFFER)
        self._socket.setblocking(False)
        self._socket.bind((group, PORT))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def join(self, *sources: str) -> Self:
        """Want packets of these sources; of all if none are named."""
        if not sources:
            self._ask(_JOIN)
        for source in sources:
            self._ask(_JOIN_SOURCE, source)
        return self

    def join_the_old_way(self, source: str = "") -> Self:
        """Do the same by the calls that there were before RFC 3678."""
        group, own = socket.inet_aton(self._group), socket.inet_aton(self._address)
        if source:
            self._socket.setsockopt(self._level, _ADD_SOURCE_MEMBERSHIP, group + own + socket.inet_aton(source))
        else:
            self._socket.setsockopt(self._level, socket.IP_ADD_MEMBERSHIP, group + own)
        return self

    def leave(self, *sources: str) -> None:
        """Want them no more."""
        if not sources:
            self._ask(_LEAVE)
        for source in sources:
            self._ask(_LEAVE_SOURCE, source)

    def block(self, source: str) -> Self:
        """Want nothing of a source."""
        self._ask(_BLOCK, source)
        return self

    def unblock(self, source: str) -> None:
        """Want it again."""
        self._ask(_UNBLOCK, source)

    def numbers(self) -> list[int]:
        """Return the numbers of the payloads that have come since the last call."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(int(_NUMBER.unpack_from(self._socket.recv(65536))[0]))
        return found

    def _ask(self, option: int, source: str = "") -> None:
        request = struct.pack("@I4x", self._ifindex) + self._name(self._group)  # struct group_source_req
        self._socket.setsockopt(self._level, option, request + (self._name(source) if source else b""))

    def _name(self, address: str) -> bytes:
        """Return an address as a sockaddr_storage."""
        packed = ip_address(address).packed
        if self._is_v6:
            return struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, packed, 0).ljust(128, b"\0")
        return struct.pack("=HH4s", socket.AF_INET, 0, packed).ljust(128, b"\0")


def say(node: Node, protocol: int, target: str, body: bytes, ifname: str = "eth0") -> None:
    """Send one packet of another protocol than UDP to a group, no further than to the next router."""
    with inside(node), socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as sender:
        request = struct.pack("@4s4si", bytes(4), bytes(4), socket.if_nametoindex(ifname))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
        sender.sendto(body, (target, 0))


def inject(node: Node, frames: Sequence[bytes], ifname: str = "eth0") -> None:
    """Send frames as they are, headers included."""
    with inside(node), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((ifname, 0))
        for frame in frames:
            sender.send(frame)


def send(node: Node, group: str, payloads: Sequence[bytes], ifname: str = "eth0", segment: int = 0) -> None:
    """Send payloads to a group, and what was sent last never overtakes what was sent first.

    Args:
        node: where the sender is.
        group: to whom.
        payloads: of one datagram each.
        ifname: by which interface.
        segment: bytes; the kernel is told to make a datagram of each so many.
    """
    is_v6 = ip_address(group).version == 6
    with inside(node):
        sender = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM)
        ifindex = socket.if_nametoindex(ifname)
    with sender, on_one_processor():
        if is_v6:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, ifindex)
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 8)
        else:
            request = struct.pack("@4s4si", bytes(4), bytes(4), ifindex)  # struct ip_mreqn
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 8)
        if segment:
            sender.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, segment)
        for payload in payloads:
            sender.sendto(payload, (group, PORT))
