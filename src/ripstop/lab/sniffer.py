"""Counts the packets to one group that pass an interface, wrapped or not.

As a program, `python -m ripstop.lab.sniffer eth0 239.1.1.1` prints "ready" when it listens, and on SIGTERM how many
there were.
"""

import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from types import FrameType

from ripstop.lab.node import Node
from ripstop.lab.plan import LabError
from ripstop.lab.traffic import serving

_ALL = 3  # ETH_P_ALL: linux/if_ether.h
_UDP = 17
_WRAP = 50  # bytes before a frame that a peer sent
_BUFFER = 64 * 1024 * 1024  # bytes


@dataclass
class Count:
    """How many there were; known after the block."""

    packets: int = 0


@contextlib.contextmanager
def sniffing(node: Node, interface: str, group: str) -> Iterator[Count]:
    """Count packets to a group at an interface of a node while the block runs."""
    count = Count()
    with serving(node, [sys.executable, "-P", "-m", "ripstop.lab.sniffer", interface, group]) as process:
        yield count
        process.terminate()
        printed, said = process.communicate()
        if not printed.strip().isdecimal():
            raise LabError(f"{node.name}: the sniffer at {interface} has ended: {said.strip()}")
        count.packets = int(printed)


def main() -> int:
    """Count until told to stop."""
    interface, group = sys.argv[1:]
    target, found = ip_address(group).packed, 0
    ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    ear.bind((interface, _ALL))

    def stop(_number: int, _frame: FrameType | None) -> None:
        ear.setblocking(False)  # what is there already counts, too

    signal.signal(signal.SIGTERM, stop)
    print("ready", flush=True)
    while True:
        try:
            packet = ear.recv(256)
        except BlockingIOError:
            break
        found += _is_to(packet, target) or (_is_vxlan(packet) and _is_to(packet[_WRAP:], target))
    print(found)
    return 0


def _is_to(frame: bytes, target: bytes) -> bool:
    ethertype, at = (b"\x08\x00", 30) if len(target) == 4 else (b"\x86\xdd", 38)
    return frame[12:14] == ethertype and frame[at : at + len(target)] == target


def _is_vxlan(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x00" and frame[14] == 0x45 and frame[23] == _UDP


if __name__ == "__main__":
    sys.exit(main())
