"""Groups under real traffic: members get each packet once, and nobody else gets any, counted by a capture."""

import contextlib
import os
import select
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from ripstop.core.multicast.tables import Selector
from ripstop.core.names import PortId, ShortId
from ripstop.kernel.datapath import Datapath
from ripstop.kernel.groups import Branches, Receivers, Snoop
from ripstop.kernel.watch import PortSocket
from tests.kernel.switches import PORT, Container, Host, Lab

GROUP, TWIN, GROUP6 = "239.192.8.1", "239.64.8.1", "ff05::8:1"  # the first two share a MAC
WAIT = 5.0  # seconds after which a packet is lost
PACKETS = 200
UDP_SEGMENT = 103  # linux/udp.h
SEGMENT = 1200  # bytes
ETH_P_ALL = 3
DATA, END = 7200, 7201  # UDP ports: what is counted, and what is flooded behind it


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Three hosts in a row, two containers each: what goes from the first to the last is relayed."""
    made = Lab()
    try:
        for _ in range(3):
            made.add_host(containers=2)
        made.join_chain()
        yield made
    finally:
        made.close()


@pytest.fixture
def snooping(lab: Lab) -> Iterator[Lab]:
    """The hosts with snooping on, and no groups."""
    for host in lab.hosts:
        host.switch.use_snooping(True)
    try:
        yield lab
    finally:
        for host in lab.hosts:
            groups = host.switch.groups
            for selector in groups.receivers():
                groups.remove_receivers(selector)
            for peer, selector in groups.branches():
                groups.remove_branches(peer, selector)
            groups.read_snoops()


def selector(group: str, source: str = "") -> Selector:
    """Return what entries for a group, or one source of it, are under."""
    return Selector(*(ip_address(address).packed if address else b"" for address in (group, source)))


def spread(lab: Lab, members: list[Container], group: str = GROUP) -> None:
    """Write on all hosts, who are in a row, what their daemons would if these containers wanted the group."""
    wanting = [any(member in members for member in host.containers) for host in lab.hosts]
    for at, host in enumerate(lab.hosts):
        groups = host.switch.groups
        groups.put_receivers(selector(group), [PortId(c.port) for c in host.containers if c in members])
        for source_at, source in enumerate(lab.hosts):
            before = lab.hosts[at - 1].id if source_at >= at > 0 and any(wanting[:at]) else None
            behind = lab.hosts[at + 1].id if source_at <= at < 2 and any(wanting[at + 1 :]) else None
            children = tuple(child for child in (before, behind) if child is not None)
            groups.put_branches(source.id, selector(group), children)


class Ear:
    """Counts the packets to `DATA` that reach a container's interface, whoever listens there."""

    def __init__(self, container: Container) -> None:
        with container.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.bind(("eth0", ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
        self._socket.settimeout(WAIT)

    def payloads(self) -> list[bytes]:
        """Return what came up to the end mark, fragments as they are; what the container itself sent does not count."""
        found: list[bytes] = []
        while True:
            frame, address = self._socket.recvfrom(1 << 16)
            if address[2] == socket.PACKET_OUTGOING or frame[:6] == b"\xff" * 6:
                if address[2] != socket.PACKET_OUTGOING and port_of(frame) == END:
                    return found
                continue
            if port_of(frame) == DATA:
                found.append(frame[62 if frame[12:14] == b"\x86\xdd" else 42 :])

    def close(self) -> None:
        self._socket.close()


def port_of(frame: bytes) -> int:
    """Return the UDP port a frame is for, and that of fragments behind the first as their group would have it."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and frame[23] == 17:
        if int.from_bytes(frame[20:22]) & 0x1FFF:
            return DATA
        return int.from_bytes(frame[36:38])
    if kind == b"\x86\xdd" and frame[20] == 17:
        return int.from_bytes(frame[56:58])
    return 0


@contextlib.contextmanager
def ears(lab: Lab, sender: Container) -> Iterator[dict[Container, list[bytes]]]:
    """Yield a table that, after the block, has what reached each container but the sender."""
    heard: dict[Container, list[bytes]] = {}
    with contextlib.ExitStack() as stack:
        listening = {c: Ear(c) for host in lab.hosts for c in host.containers if c is not sender}
        for ear in listening.values():
            stack.callback(ear.close)
        yield heard
        with sender.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as marker:
            marker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            marker.sendto(b"the end", ("10.32.255.255", END))
        heard.update({container: ear.payloads() for container, ear in listening.items()})


def sending(container: Container, group: str) -> socket.socket:
    """Return a socket in a container that sends to a group."""
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    with container.entered():
        made = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("eth0"))
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 8)
    return made


def containers(lab: Lab) -> list[Container]:
    """Return all containers, host by host."""
    return [container for host in lab.hosts for container in host.containers]


@pytest.mark.parametrize("group", [GROUP, GROUP6])
@pytest.mark.parametrize("who", [(), (1,), (2,), (4,), (1, 5), (3, 4, 5), (1, 2, 3, 4, 5)], ids=str)
def test_members_get_each_packet_once_and_others_none(snooping: Lab, group: str, who: tuple[int, ...]) -> None:
    everybody = containers(snooping)
    members = [everybody[index] for index in who]
    spread(snooping, members, group)
    with ears(snooping, everybody[0]) as heard, sending(everybody[0], group) as sender:
        for number in range(PACKETS):
            sender.sendto(number.to_bytes(4), (group, DATA))
    for container, payloads in heard.items():
        wanted = range(PACKETS) if container in members else ()
        assert [int.from_bytes(payload[:4]) for payload in payloads] == list(wanted), container.name


def test_copies_on_the_wire_are_as_many_as_hosts_want(snooping: Lab) -> None:
    first, _, last = snooping.hosts
    spread(snooping, [last.containers[1]])
    before = [host.switch.counters() for host in snooping.hosts]
    with sending(first.containers[0], GROUP) as sender:
        for _ in range(PACKETS):
            sender.sendto(b"x", (GROUP, DATA))
    after = [host.switch.counters() for host in snooping.hosts]
    for name, counts in {"sent_fast": (1, 0, 0), "relayed_fast": (0, 1, 0), "delivered": (0, 0, 1)}.items():
        for was, now, count in zip(before, after, counts, strict=True):
            assert now[name].packets - was[name].packets == pytest.approx(PACKETS * count, abs=20)  # others may speak


def test_groups_that_share_a_mac_do_not_meet(snooping: Lab) -> None:
    sender, near, _, far, *_ = containers(snooping)
    spread(snooping, [near], GROUP)
    spread(snooping, [far], TWIN)
    with ears(snooping, sender) as heard, sending(sender, GROUP) as out:
        for _ in range(PACKETS):
            out.sendto(b"one", (GROUP, DATA))
            out.sendto(b"other", (TWIN, DATA))
    assert {c: {p.rstrip(b"\0") for p in payloads} for c, payloads in heard.items() if payloads} == {
        near: {b"one"}, far: {b"other"},
    }  # fmt: skip
    assert len(heard[near]) == len(heard[far]) == PACKETS


def test_segments_and_fragments(snooping: Lab) -> None:
    sender, near, _, middle, _, last = containers(snooping)
    spread(snooping, [near, last])
    data = os.urandom(20 * SEGMENT)
    with contextlib.ExitStack() as stack:
        receivers = [stack.enter_context(joined(place)) for place in (near, last)]
        heard = stack.enter_context(ears(snooping, sender))
        out = stack.enter_context(sending(sender, GROUP))
        out.sendto(data, (GROUP, DATA))  # in fragments
        for receiver in receivers:
            assert receiver.recv(1 << 16) == data
        out.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SEGMENT)
        out.sendto(data, (GROUP, DATA))
        for receiver in receivers:
            assert b"".join(receiver.recv(1 << 16) for _ in range(20)) == data
    assert heard[middle] == []
    assert {container for container, payloads in heard.items() if payloads} == {near, last}


def joined(container: Container, group: str = GROUP) -> socket.socket:
    """Return a UDP socket in a container that has joined a group."""
    with container.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.settimeout(WAIT)
        made.bind(("", DATA))
        made.setsockopt(
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(container.address)
        )
    return made


def test_source_that_is_wanted(snooping: Lab) -> None:
    """A source-specific join: other sources' packets stay on their hosts."""
    one, other, member, *_ = containers(snooping)
    for host in snooping.hosts:
        groups = host.switch.groups
        groups.put_receivers(selector(GROUP), [], by_source=True)
        groups.put_branches(snooping.hosts[0].id, selector(GROUP), [], by_source=True)
    there, here = snooping.hosts[1].switch.groups, snooping.hosts[0].switch.groups
    there.put_receivers(selector(GROUP, one.address), [PortId(member.port)])
    here.put_branches(snooping.hosts[0].id, selector(GROUP, one.address), [snooping.hosts[1].id])
    before = snooping.hosts[0].switch.drops()["no_member"]
    with ears(snooping, one) as heard:
        for source, said in ((one, b"wanted"), (other, b"not wanted")):
            with sending(source, GROUP) as out:
                for _ in range(PACKETS):
                    out.sendto(said, (GROUP, DATA))
    assert {payload[:6] for payload in heard[member]} == {b"wanted"}
    assert {container for container, payloads in heard.items() if payloads} == {member}
    assert snooping.hosts[0].switch.drops()["no_member"] - before >= PACKETS


def test_what_containers_say_is_handed_over(snooping: Lab) -> None:
    host = snooping.hosts[0]
    container = host.containers[1]
    host.switch.groups.read_snoops()
    with joined(container):
        said = wait_for_snoops(host)
    assert {snoop.port for snoop in said} == {container.port}
    reports = [snoop.frame for snoop in said if snoop.frame[38] == 0x22]  # behind the router alert option
    assert any(socket.inet_aton(GROUP) in report for report in reports)


def wait_for_snoops(host: Host) -> list[Snoop]:
    """Return the frames handed over, once there are any."""
    assert select.select([host.switch.groups.snoop_fd()], [], [], WAIT)[0]
    return host.switch.groups.read_snoops()


def test_query_is_answered_by_the_container_that_is_asked(snooping: Lab) -> None:
    host = snooping.hosts[0]
    asked, other = host.containers
    with joined(asked), joined(other), host.namespace.entered():
        sender = PortSocket()
        assert sender.send(PortId(asked.port), igmp_query()) == ""
        sender.close()
        answers: list[Snoop] = []  # of version 2, as the query was; the joins were of version 3
        while not answers:
            answers = [snoop for snoop in wait_for_snoops(host) if snoop.frame[38] == 0x16]
    assert {snoop.port for snoop in answers} == {asked.port}


def igmp_query() -> bytes:
    """Return a general query that is to be answered at once: IGMPv2 with a tenth of a second."""
    message = bytes([0x11, 1, 0xEE, 0xFE, 0, 0, 0, 0])
    head = struct.pack("!BBHHHBBH4s4s", 0x46, 0xC0, 32, 0, 0, 1, 2, 0, bytes(4), bytes([224, 0, 0, 1])) + b"\x94\4\0\0"
    total = sum(struct.unpack("!12H", head))
    check = ~(total + (total >> 16)) & 0xFFFF
    packet: bytes = head[:10] + check.to_bytes(2) + head[12:] + message
    header: bytes = bytes.fromhex("01005e000001 02000000aaaa 0800")
    return header + packet


def test_adopted_switch_goes_on_and_tells_what_it_has(snooping: Lab) -> None:
    host, other = snooping.hosts[:2]
    sender, near, far, *_ = containers(snooping)
    spread(snooping, [near, far])
    had = host.switch.groups.receivers(), host.switch.groups.branches()
    host.switch.close()
    with ears(snooping, sender) as heard, sending(sender, GROUP) as out:
        for number in range(PACKETS):
            if number == PACKETS // 2:
                with host.namespace.entered():
                    host.datapath = Datapath.open(host.pins, PORT)
            out.sendto(b"x", (GROUP, DATA))
    assert {container: len(payloads) for container, payloads in heard.items() if payloads} == {
        near: PACKETS, far: PACKETS,
    }  # fmt: skip
    groups = host.switch.groups
    assert (groups.receivers(), groups.branches()) == had
    assert groups.rows() == {"receivers": len(had[0]), "branches": len(had[1])}
    assert had[0] == {selector(GROUP): Receivers((PortId(near.port),), False)}
    assert had[1][host.id, selector(GROUP)] == Branches((other.id,), False)
    assert had[1][ShortId(3), selector(GROUP)] == Branches((), False)
    (stream,) = (s for s in groups.streams() if s.selector == selector(GROUP, sender.address) and s.age < 1)
    told, known = groups.busiest(1)
    assert len(told) == 1 and known == len(groups.streams())
    assert stream.packets >= PACKETS
