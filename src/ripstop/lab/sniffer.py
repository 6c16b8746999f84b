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
    needle, found = ip_address(group).packed, 0
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
        at = packet.find(needle, 0, 120)
        found += at >= 0 and _is_target(packet, at)
    print(found)
    return 0


def _is_target(packet: bytes, at: int) -> bool:
    """Return whether the address at this place is where an IP packet has its destination."""
    v4, v6 = packet[at - 16 : at - 15], packet[at - 24 : at - 23]
    return (len(v4) == 1 and v4[0] >> 4 == 4) or (len(v6) == 1 and v6[0] >> 4 == 6)


if __name__ == "__main__":
    sys.exit(main())
