"""Containers that say what nobody may say, or too much of it: counted by name, and others do not notice."""

import socket
import struct
from collections.abc import Iterator
from itertools import count
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


def igmp(body: bytes, target: str = "224.0.0.22", ttl: int = 1, *, ihl: int = 5, length: int = 0) -> bytes:
    """Return a frame with an IGMP message, its IP header as it is asked for."""
    source, to = socket.inet_aton("10.32.7.7"), socket.inet_aton(target)
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
        "wrong checksum": igmp(good[:2] + b"\x12\x34" + good[4:]),
        "cut off": igmp(good[:12]),
        "nearly nothing": igmp(good[:3]),
        "from elsewhere": igmp(good, ttl=2),
        "more records than there are": igmp(summed(struct.pack("!BBHHH", V3_REPORT, 0, 0, 0, 60000) + record)),
        "more sources than there are": igmp(
            summed(struct.pack("!BBHHH", V3_REPORT, 0, 0, 0, 1) + record[:2] + b"\x40\x00" + record[4:]),
        ),
        "no group": igmp(joining("10.1.2.3")),
        "longer than the frame": igmp(good, length=1000),
        "header of its own size": igmp(good, ihl=15),
    }
    inject(villain, list(bad.values()))
    eventually(lambda: refused(lab, villain).get("malformed") == len(bad))
    noise = Random(7)
    inject(villain, [igmp(noise.randbytes(noise.randrange(1, 600))) for _ in range(100)])
    eventually(lambda: refused(lab, villain)["malformed"] > len(bad) + 50)  # what says nothing to us is no offence
    assert spread(lab, "h1c1", group) == {}
    inject(villain, [igmp(good)])  # it was not the good part that was wrong
    goes_to(lab, "h1c1", group, {"h1c2"})


def test_a_storm_of_joins_harms_nobody_else(lab: Lab, group: str, villain: Container) -> None:
    host, neighbor = lab.host("h1"), lab.container("h1c1")
    pid, before = host.daemon_pid(), drops(lab).get("snoop_rate", 0)
    numbers = count(0xEF800000)  # 239.128.0.0

    def storm() -> dict[str, int]:
        groups = [struct.pack("!I", next(numbers)) for _ in range(3000)]
        reports = [summed(struct.pack("!BBH", V2_REPORT, 0, 0) + address) for address in groups]
        inject(villain, [igmp(report, socket.inet_ntoa(to)) for report, to in zip(reports, groups, strict=True)])
        return refused(lab, villain)

    eventually(lambda: storm().get("groups", 0) > 0)
    with Member(neighbor, group) as member:
        storm()
        member.join()
        storm()
        goes_to(lab, "h2c1", group, {"h2>h1", "h1c1"})
    assert drops(lab)["snoop_rate"] > before
    reported = [member for member in host.client.call("multicast").members if member.why == "report"]
    assert 1024 <= len(reported) <= 1024 + 10
    assert host.daemon_pid() == pid and host.status().settled


def test_a_storm_of_sources(lab: Lab, group: str, villain: Container) -> None:
    sources = b"".join(struct.pack("!I", 0x0A200000 + number) for number in range(300))
    body = struct.pack("!BBHHHBBH4s", V3_REPORT, 0, 0, 0, 1, 5, 0, 300, socket.inet_aton(group)) + sources
    inject(villain, [igmp(summed(body))])
    eventually(lambda: refused(lab, villain) == {"sources": 300 - 64})
