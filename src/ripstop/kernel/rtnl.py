"""Requests to rtnetlink as bytes, and a socket that sends many at once: for what happens at every attach and detach.

Source: rtnetlink(7), include/uapi/linux/netlink.h, rtnetlink.h, if_link.h and veth.h.
"""

import errno
import os
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface

from ripstop.core.errors import KernelError

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr: length, type
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, mask
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
_NLMSG_ERROR = 2
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400  # NLM_F_*
_NEWLINK, _DELLINK, _NEWADDR, _NEWROUTE = 16, 17, 20, 24  # RTM_*
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_TXQLEN, _IFLA_LINKINFO = 1, 3, 4, 13, 18
_IFLA_IFALIAS, _IFLA_GROUP, _IFLA_NET_NS_FD, _IFLA_NUM_TX_QUEUES, _IFLA_NUM_RX_QUEUES = 20, 27, 28, 31, 32
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST, _RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK = 254, 4, 1, 0, 253
_IFF_UP = 1
_SOL_NETLINK, _NETLINK_CAP_ACK = 270, 10
_NESTED = 0x8000  # NLA_F_NESTED
_ANSWERS = 1 << 18  # bytes; an acknowledgement has 36
_AT_ONCE = 256  # requests in one message: their acknowledgements have to fit into the socket's buffer


class RouteSocket:
    """A socket of rtnetlink, of the network namespace in which it was made."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ANSWERS)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def send(self, requests: Sequence[bytes]) -> list[int]:
        """Have the kernel work off requests, one after the other, and return the errno of each, 0 for done.

        One that fails does not keep the kernel from those after it.
        """
        results: list[int] = []
        for first in range(0, len(requests), _AT_ONCE):
            results += self._send(requests[first : first + _AT_ONCE])
        return results

    def _send(self, requests: Sequence[bytes]) -> list[int]:
        results, last = [0] * len(requests), len(requests) - 1
        answered = -1  # number of the request
        try:
            self._socket.send(b"".join(_numbered(body, number, number == last) for number, body in enumerate(requests)))
            while answered < last:
                answer, at = self._socket.recv(_ANSWERS), 0
                while at < len(answer):
                    length, kind, _, number, _ = _HEADER.unpack_from(answer, at)
                    if kind == _NLMSG_ERROR and number <= last:
                        results[number] = -int.from_bytes(answer[at + 16 : at + 20], "little", signed=True)
                        answered = number
                    at += (length + 3) & ~3
        except OSError as error:
            raise KernelError("send to", "rtnetlink", error.errno or errno.EIO, os.strerror(error.errno or 0)) from None
        return results


def make_veth(name: str, mac: str, ifname: str, inside_mac: str, namespace: int, mtu: int, queue: int) -> bytes:
    """Make a veth pair, both ends down.

    Args:
        name: of the end that stays here.
        mac: of that end.
        ifname: of the end in `namespace`.
        inside_mac: of that end.
        namespace: open descriptor of a network namespace.
        mtu: bytes.
        queue: length of each end's transmission queue, packets.
    """
    both = (
        _attribute(_IFLA_MTU, _u32(mtu))
        + _attribute(_IFLA_TXQLEN, _u32(queue))
        # What it uses in any case.  Unless told, the kernel makes one queue for each processor, takes all but the first
        # away again, and for that waits for a grace period at either end.
        + _attribute(_IFLA_NUM_TX_QUEUES, _u32(1))
        + _attribute(_IFLA_NUM_RX_QUEUES, _u32(1))
    )
    peer = (
        _LINK.pack(0, 0, 0, 0, 0)
        + _attribute(_IFLA_IFNAME, _text(ifname))
        + _attribute(_IFLA_ADDRESS, _mac(inside_mac))
        + _attribute(_IFLA_NET_NS_FD, _u32(namespace))
        + both
    )
    kind = _attribute(_IFLA_INFO_KIND, b"veth\0")
    info = kind + _attribute(_IFLA_INFO_DATA | _NESTED, _attribute(_VETH_INFO_PEER | _NESTED, peer))
    return _message(
        _NEWLINK,
        _CREATE | _EXCLUSIVE,
        _LINK.pack(0, 0, 0, 0, 0)
        + _attribute(_IFLA_IFNAME, _text(name))
        + _attribute(_IFLA_ADDRESS, _mac(mac))
        + both
        + _attribute(_IFLA_LINKINFO | _NESTED, info),
    )


def make_ifb(name: str) -> bytes:
    """Make a device that gives back what it is sent, as if it had come in where it was taken."""
    info = _attribute(_IFLA_INFO_KIND, b"ifb\0")
    attributes = _attribute(_IFLA_IFNAME, _text(name)) + _attribute(_IFLA_LINKINFO | _NESTED, info)
    return _message(_NEWLINK, _CREATE | _EXCLUSIVE, _LINK.pack(0, 0, 0, 0, 0) + attributes)


def set_up(ifindex: int, alias: str = "") -> bytes:
    """Set a device up, and write into it what it is."""
    written = _attribute(_IFLA_IFALIAS, alias.encode()) if alias else b""
    return _message(_NEWLINK, 0, _LINK.pack(0, 0, ifindex, _IFF_UP, _IFF_UP) + written)


def set_down(ifindex: int) -> bytes:
    """Set a device down, and wipe out what it said of itself."""
    return _message(_NEWLINK, 0, _LINK.pack(0, 0, ifindex, 0, _IFF_UP) + _attribute(_IFLA_IFALIAS, b""))


def set_group(ifindex: int, group: int) -> bytes:
    """Put a device into a group."""
    return _message(_NEWLINK, 0, _LINK.pack(0, 0, ifindex, 0, 0) + _attribute(_IFLA_GROUP, _u32(group)))


def delete_link(ifindex: int) -> bytes:
    """Delete a device."""
    return _message(_DELLINK, 0, _LINK.pack(0, 0, ifindex, 0, 0))


def delete_group(group: int) -> bytes:
    """Delete all devices of a group, in the time that one takes."""
    return _message(_DELLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + _attribute(_IFLA_GROUP, _u32(group)))


def add_address(ifindex: int, address: str) -> bytes:
    """Give a device an address, ADDRESS/LEN."""
    interface = IPv4Interface(address)
    broadcast = b"" if interface.network.prefixlen >= 31 else interface.network.broadcast_address.packed
    return _message(
        _NEWADDR,
        _CREATE | _EXCLUSIVE,
        _ADDRESS.pack(socket.AF_INET, interface.network.prefixlen, 0, _RT_SCOPE_UNIVERSE, ifindex)
        + _attribute(_IFA_LOCAL, interface.ip.packed)
        + _attribute(_IFA_ADDRESS, interface.ip.packed)
        + (_attribute(_IFA_BROADCAST, broadcast) if broadcast else b""),
    )


def add_default_route(ifindex: int, gateway: str) -> bytes:
    """Add the default route."""
    return _message(
        _NEWROUTE,
        _CREATE | _EXCLUSIVE,
        _route(0, _RT_SCOPE_UNIVERSE)
        + _attribute(_RTA_GATEWAY, IPv4Address(gateway).packed)
        + _attribute(_RTA_OIF, _u32(ifindex)),
    )


def add_multicast_route(ifindex: int) -> bytes:
    """Have all groups go through a device."""
    return _message(
        _NEWROUTE,
        _CREATE | _EXCLUSIVE,
        _route(4, _RT_SCOPE_LINK)
        + _attribute(_RTA_DST, IPv4Address("224.0.0.0").packed)
        + _attribute(_RTA_OIF, _u32(ifindex)),
    )


def _route(length: int, scope: int) -> bytes:
    return _ROUTE.pack(socket.AF_INET, length, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, scope, _RTN_UNICAST, 0)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 0, 0) + body


def _numbered(message: bytes, number: int, is_last: bool) -> bytes:
    """Give a message its number; the last asks for an answer, the others get one if they fail."""
    length, kind, flags, _, port = _HEADER.unpack_from(message)
    return _HEADER.pack(length, kind, flags | _ACK * is_last, number, port) + message[_HEADER.size :]


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _u32(number: int) -> bytes:
    return struct.pack("=I", number)


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
