"""Joins and leaves as hosts of every version of IGMP and MLD say them."""

import contextlib
import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from ripstop.lab.lab import Lab
from ripstop.lab.node import Node
from tests.e2e.multicast.sockets import Member, inside
from tests.e2e.multicast.taps import goes_to

_FAMILY = {4: ("ipv4", "igmp"), 6: ("ipv6", "mld")}


@contextlib.contextmanager
def speaking(node: Node, family: int, version: int) -> Iterator[None]:
    """Have a container's kernel speak an older version for the length of a `with` block."""
    ip, protocol = _FAMILY[family]
    setting = f"/proc/sys/net/{ip}/conf/eth0/force_{protocol}_version"
    try:
        node.run(["sh", "-c", f"echo {version} > {setting}"])
        yield
    finally:
        node.run(["sh", "-c", f"echo 0 > {setting}"])


@contextlib.contextmanager
def messages(node: Node, family: int, *, said: bool) -> Iterator[list[bytes]]:
    """Collect what a container says, or else is told, in IGMP or MLD while the block runs."""
    collected: list[bytes] = []
    with inside(node), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap:
        tap.bind(("eth0", 3))  # ETH_P_ALL
        tap.setblocking(False)
        yield collected
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, (_, kind, direction, *_) = tap.recvfrom(2048)
                if (direction == socket.PACKET_OUTGOING) != said:
                    continue
                if family == 4 and kind == 0x0800 and frame[23] == socket.IPPROTO_IGMP:
                    collected.append(frame[14 + 4 * (frame[14] & 0xF) :])
                elif family == 6 and kind == 0x86DD and frame[20] == 0 and frame[62] in (130, 131, 132, 143):
                    collected.append(frame[62:])  # behind the hop-by-hop options with the router alert


def about(group: str, heard: list[bytes]) -> list[bytes]:
    """Return the messages that name a group."""
    packed = ip_address(group).packed
    return [message for message in heard if packed in message]


@pytest.mark.parametrize(
    ("family", "version", "report"), [(4, 1, 0x12), (4, 2, 0x16), (4, 3, 0x22), (6, 1, 131), (6, 2, 143)]
)
def test_joins(lab: Lab, group: str, group6: str, family: int, version: int, report: int) -> None:
    address, receiver = group if family == 4 else group6, lab.container("h3c1")
    with (
        speaking(receiver, family, version),
        Member(receiver, address) as member,
        messages(receiver, family, said=True) as said,
    ):
        member.join()
        goes_to(lab, "h1c1", address, {"h1>h2", "h2>h3", "h3c1"})
    assert report in {message[0] for message in about(address, said)}  # beside an answer that was due before


@pytest.mark.parametrize(("family", "version"), [(4, 2), (6, 1)])
def test_older_hosts_that_leave_are_asked_first(lab: Lab, group: str, group6: str, family: int, version: int) -> None:
    address = group if family == 4 else group6
    leaving, staying = lab.container("h3c1"), lab.container("h3c2")
    with (
        speaking(leaving, family, version),
        speaking(staying, family, version),
        Member(leaving, address).join() as member,
        Member(staying, address).join(),
    ):
        goes_to(lab, "h1c1", address, {"h1>h2", "h2>h3", "h3c1", "h3c2"})
        with messages(leaving, family, said=False) as heard:
            member.leave()
            goes_to(lab, "h1c1", address, {"h1>h2", "h2>h3", "h3c2"})
        assert len(about(address, heard)) == 2


@pytest.mark.parametrize("family", [4, 6])
def test_hosts_of_the_newest_version_leave_without_a_question(lab: Lab, group: str, group6: str, family: int) -> None:
    address = group if family == 4 else group6
    leaving = lab.container("h3c1")
    with Member(leaving, address).join() as member, Member(lab.container("h3c2"), address).join() as staying:
        goes_to(lab, "h1c1", address, {"h1>h2", "h2>h3", "h3c1", "h3c2"})
        with messages(leaving, family, said=False) as heard:
            member.leave()
            goes_to(lab, "h1c1", address, {"h1>h2", "h2>h3", "h3c2"})
            staying.leave()
            goes_to(lab, "h1c1", address, set())
        assert not about(address, heard)


def test_two_members_in_one_container(lab: Lab, group: str) -> None:
    container = lab.container("h2c1")
    with Member(container, group).join() as first, Member(container, group).join() as second:
        goes_to(lab, "h1c1", group, {"h1>h2", "h2c1"})
        first.leave()
        goes_to(lab, "h1c1", group, {"h1>h2", "h2c1"})
        second.leave()
        goes_to(lab, "h1c1", group, set())


def test_a_program_that_dies_leaves(lab: Lab, group: str) -> None:
    with Member(lab.container("h3c1"), group).join():
        goes_to(lab, "h1c1", group, {"h1>h2", "h2>h3", "h3c1"})
    goes_to(lab, "h1c1", group, set())
