"""Fills the multicast database of a kernel VXLAN device, which iproute2 does only since 6.3.

As a program, `python -m bench.multicast.mdb vxlan0 239.1.1.0 100 192.0.2.2 192.0.2.3` has packets to 100 groups go to
two hosts.  Source: linux/if_bridge.h and drivers/net/vxlan/vxlan_mdb.c, Linux 6.4 or newer.
"""

import os
import socket
import struct
import sys
from ipaddress import IPv4Address

_RTM_NEWMDB = 84
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800  # linux/netlink.h
_SET_ENTRY, _SET_ENTRY_ATTRS = 1, 2  # MDBA_*
_DST = 5  # MDBE_ATTR_DST
_PERMANENT = 1
_NESTED = 0x8000
_ERROR = 2  # NLMSG_ERROR


def main() -> int:
    """Add what the command line says."""
    ifname, first, count, *hosts = sys.argv[1:]
    index = socket.if_nametoindex(ifname)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        for i in range(int(count)):
            for host in hosts:
                netlink.send(request(index, IPv4Address(first) + i, IPv4Address(host)))
                if error := answer(netlink.recv(4096)):
                    print(f"{ifname}: {IPv4Address(first) + i} to {host}: {os.strerror(error)}", file=sys.stderr)
                    return 1
    return 0


def request(index: int, group: IPv4Address, host: IPv4Address) -> bytes:
    """Return the message that adds one host to a group of one VXLAN device."""
    port = struct.pack("BxxxI", socket.AF_BRIDGE, index)
    entry = struct.pack(
        "=IBBH4s12x2sxx", index, _PERMANENT, 0, 0, group.packed, socket.htons(0x0800).to_bytes(2, sys.byteorder)
    )
    body = port + _attribute(_SET_ENTRY, entry) + _attribute(_SET_ENTRY_ATTRS | _NESTED, _attribute(_DST, host.packed))
    flags = _REQUEST | _ACK | _CREATE | _APPEND
    return struct.pack("=IHHII", 16 + len(body), _RTM_NEWMDB, flags, 1, 0) + body


def answer(message: bytes) -> int:
    """Return the errno in the kernel's answer, 0 if it has agreed."""
    kind: int = struct.unpack_from("=H", message, 4)[0]
    error: int = struct.unpack_from("=i", message, 16)[0]
    return -error if kind == _ERROR else 0


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


if __name__ == "__main__":
    sys.exit(main())
