"""Where packets really go: what passes every container's interface, and what every host puts on the underlay."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from ripstop.lab.lab import Lab
from ripstop.lab.node import Node
from tests.e2e.multicast.sockets import inside, numbered, on_one_processor, run_of, send
from tests.e2e.polling import PAUSE

VXLAN_PORT = 6784
OVERHEAD = 50  # bytes: Ethernet, IPv4, UDP and VXLAN headers before the inner frame
PATIENCE = 10.0  # seconds
COUNT = 100  # packets that prove it
_ETH_P_ALL = 3
_RCVBUFFORCE = 33
_BUFFER = 1 << 23  # bytes
_MARK_PORT = 9  # discard
_FRAME = 1 << 17  # bytes: what is not segmented yet may be large


@dataclass(frozen=True, slots=True)
class Tap:
    """What a capture at one interface hears."""

    node: str
    is_underlay: bool
    socket: socket.socket

    def frames(self, hosts: Mapping[bytes, str]) -> Iterator[tuple[str, bytes]]:
        """Yield the frames since the last call: where each was seen, and what it is, without outer headers.

        A place is a container, a host for its own interface on the overlay, or `h1>h2` for what h1 sends to h2.
        """
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, (_, _, kind, *_) = self.socket.recvfrom(_FRAME)
                outgoing = kind == socket.PACKET_OUTGOING
                if not self.is_underlay and not outgoing:
                    yield self.node, frame
                elif self.is_underlay and outgoing and _is_vxlan(frame):
                    yield f"{self.node}>{hosts[frame[30:34]]}", frame[OVERHEAD:]


def _is_vxlan(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[36:38] == VXLAN_PORT.to_bytes(2, "big")


@contextlib.contextmanager
def taps(lab: Lab) -> Iterator[list[Tap]]:
    """Listen at every interface of a lab that matters while the block runs."""
    with contextlib.ExitStack() as stack:

        def tap(node: Node, ifname: str, *, is_underlay: bool) -> Tap:
            with inside(node):
                opened = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
                opened.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _BUFFER)
                opened.setblocking(False)
                opened.bind((ifname, _ETH_P_ALL))
            return Tap(node.name, is_underlay, opened)

        yield [
            *(tap(container, "eth0", is_underlay=False) for container in attached(lab)),
            *(tap(host, "ripstop0", is_underlay=False) for host in lab.hosts),
            *(tap(host, "eth0", is_underlay=True) for host in lab.hosts),
        ]


def attached(lab: Lab) -> list[Node]:
    """Return the containers that are on the switch."""
    found = {port.netns for host in lab.hosts if host.daemon_pid() for port in host.client.call("ports")}
    return [
        container
        for container in lab.containers
        if str(container.netns_path) in found or lab.host(container.host).daemon_pid() is None
    ]


def spread(
    lab: Lab, source: str, group: str, payloads: Sequence[bytes] = (), *, count: int = COUNT, segment: int = 0
) -> dict[str, int]:
    """Send packets to a group, and return how many were seen in each place; places that saw none are left out.

    Behind them a mark is broadcast, along the same ways: where it has come, nothing more of them comes.  No place may
    see the same packet twice.
    """
    hosts = {host.interface.ip.packed: host.name for host in lab.hosts}
    node, ifname = lab.node(source), "eth0" if "c" in source else "ripstop0"
    payloads = payloads or numbered(count)
    runs = {run_of(payload) for payload in payloads}
    seen: dict[str, list[bytes]] = {}
    with taps(lab) as listening, on_one_processor():
        send(node, group, payloads, ifname, segment)
        mark = _send_mark(node, ifname)
        waiting = {tap.node for tap in listening if "c" in tap.node and tap.node != source}
        deadline = time.monotonic() + PATIENCE
        last_round = False
        while not last_round:
            last_round = not waiting  # what hosts sent to each other is there by now
            assert time.monotonic() < deadline, f"a broadcast does not reach {waiting}"
            for tap in listening:
                for place, frame in tap.frames(hosts):
                    if mark in frame:
                        waiting.discard(place)
                    elif _group_of(frame) == group and any(run in frame for run in runs):
                        seen.setdefault(place, []).append(frame)
            if waiting:
                time.sleep(PAUSE / 10)
    for place, frames in seen.items():
        assert len(set(frames)) == len(frames), f"{place} sees packets twice"
    return {place: len(frames) for place, frames in seen.items()}


def goes_to(
    lab: Lab, source: str, group: str, places: set[str], *, seconds: float = PATIENCE, each: int = COUNT
) -> None:
    """Wait until packets of a source to a group come to exactly these places; then see that all do, once."""
    deadline = time.monotonic() + seconds
    while (seen := spread(lab, source, group, count=1)).keys() != places:
        assert time.monotonic() < deadline, f"{source} to {group} comes to {sorted(seen)}, not to {sorted(places)}"
        time.sleep(PAUSE)
    assert spread(lab, source, group, count=each) == dict.fromkeys(places, each)


def _send_mark(node: Node, ifname: str) -> bytes:
    mark = os.urandom(16)
    with inside(node):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, ifname.encode())
        sender.sendto(mark, ("255.255.255.255", _MARK_PORT))
    return mark


def _group_of(frame: bytes) -> str:
    match frame[12:14]:
        case b"\x08\x00":
            return str(ip_address(frame[30:34]))
        case b"\x86\xdd":
            return str(ip_address(frame[38:54]))
        case _:
            return ""
