"""Containers that say what nobody may say, or too much of it: counted by name, and others do not notice."""

import socket
import struct
from collections.abc import Iterator
from random import Random

import pytest

from ripstop.lab.lab import Lab
from ripstop.lab.node import Container
from ripstop.wire.ip import checksum
from tests.e2e.multicast.sockets import Member, inject
from tests.e2e.multicast.taps import goes_to, spread
from tests.e2e.polling import eventually

V2_REPORT, V3_REPORT = 0x16, 0x22
MAC = bytes.fromhex("02abcdef0102")


@pytest.fixture
def villain(lab: Lab) -> Iterator[Container]:
    """A container that is on the switch for one test only, and its refusals with it."""
    container = lab.container("h1c2")
    lab.host("h1").detach(container)
    lab.host("h1").attach(container)
    yield container


def refused(lab: Lab, container: Container) -> dict[str, int]:
    """Return what `ripstop multicast groups` says was refused of a container, by reason."""
    names = {port.container for port in lab.host("h1").client.call("ports") if port.netns == str(container.netns_path)}
    refusals = lab.host("h1").client.call("multicast").refusals
    return {refusal.reason: refusal.count for refusal in refusals if refusal.container in names}


def drops(lab: Lab) -> dict[str, int]:
    return {drop.reason: drop.count for drop in lab.host("h1").status().drops}


def igmp(
    container: Container, body: bytes, target: str = "224.0.0.22", ttl: int = 1, *, ihl: int = 5, length: int = 0
) -> bytes:
    """Return a frame with an IGMP message, its IP header as it is asked for."""
    source, to = socket.inet_aton(container.address()), socket.inet_aton(target)
    fields = (0x40 | ihl, 0xC0, length or 20 + len(body), 0, 0, ttl, 2)
    header = struct.pack("!BBHHHBBH4s4s", *fields, 0, source, to)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    ethernet = bytes.fromhex("01005e") + bytes([to[1] & 0x7F]) + to[2:] + MAC + b"\x08\x00"
    return ethernet + header + body


def summed(body: bytes) -> bytes:
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def joining(group: str) -> bytes:
    """Return a report of version 3 that joins a group."""
    return summed(struct.pack("!BBHHHBBH4s", V3_REPORT, 0, 0, 0, 1, 4, 0, 0, socket.inet_aton(group)))


def test_malformed_reports_are_counted_and_have_no_effect(lab: Lab, group: str, villain: Container) -> None:
    good = joining(group)
    record = struct.pack("!BBH4s", 4, 0, 0, socket.inet_aton(group))
    bad = {
        "wrong checksum": igmp(villain, good[:2] + b"\x12\x34" + good[4:]),
        "cut off": igmp(villain, good[:12]),
        "nearly nothing": igmp(villain, good[:3]),
        "from elsewhere": igmp(villain, good, ttl=2),
        "more records than there are": igmp(villain, summed(struct.pack("!BBHHH", V3_REPORT, 0, 0, 0, 60000) + record)),
        "more sources than there are": igmp(
            villain,
            summed(struct.pack("!BBHHH", V3_REPORT, 0, 0, 0, 1) + record[:2] + b"\x40\x00" + record[4:]),
        ),
        "no group": igmp(villain, joining("10.1.2.3")),
        "longer than the frame": igmp(villain, good, length=1000),
        "header of its own size": igmp(villain, good, ihl=15),
    }
    inject(villain, list(bad.values()))
    eventually(lambda: refused(lab, villain).get("malformed") == len(bad))
    noise = Random(7)
    inject(villain, [igmp(villain, noise.randbytes(noise.randrange(1, 600))) for _ in range(100)])
    eventually(lambda: refused(lab, villain)["malformed"] > len(bad) + 50)  # what says nothing to us is no offence
    assert spread(lab, "h1c1", group) == {}
    inject(villain, [igmp(villain, good)])  # it was not the good part that was wrong
    goes_to(lab, "h1c1", group, {"h1c2"})


def test_a_storm_of_joins_harms_nobody_else(lab: Lab, group: str, villain: Container) -> None:
    host, neighbor = lab.host("h1"), lab.container("h1c1")
    pid, before = host.daemon_pid(), drops(lab)
    reports = [
        igmp(villain, summed(struct.pack("!BBH", V2_REPORT, 0, 0) + address), socket.inet_ntoa(address))
        for address in (struct.pack("!I", 0xEF800000 + number) for number in range(30_000))
    ]
    for part in range(0, len(reports), 10_000):
        inject(villain, reports[part : part + 10_000])
        with Member(neighbor, group) as member:  # in the midst of it
            member.join()
            goes_to(lab, "h2c1", group, {"h2>h1", "h1c1"}, each=10)
    assert drops(lab)["snoop_rate"] > before.get("snoop_rate", 0)
    eventually(lambda: sum(refused(lab, villain).values()) > 0)
    known = {member.group for member in host.client.call("multicast").members if member.why == "report"}
    assert 0 < len(known) <= 1024 + 8
    assert host.daemon_pid() == pid and host.status().settled


def test_a_storm_of_sources(lab: Lab, group: str, villain: Container) -> None:
    sources = b"".join(struct.pack("!I", 0x0A200000 + number) for number in range(300))
    body = struct.pack("!BBHHHBBH4s", V3_REPORT, 0, 0, 0, 1, 5, 0, 300, socket.inet_aton(group)) + sources
    inject(villain, [igmp(villain, summed(body))])
    eventually(lambda: refused(lab, villain) == {"sources": 300 - 64})
