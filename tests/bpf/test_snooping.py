"""Membership messages: handed to the daemon, limited, and passed on to routers alone."""

import time
from collections.abc import Callable

import pytest

from ripstop.kernel.abi import SNOOP_FRAME, SNOOPS_PER_TICK
from tests.bpf.membership import GROUP, GROUP6, SOURCE, branch, far_takers, join, takers
from tests.bpf.packets import (
    ICMPV6,
    IGMP,
    IPV6,
    PIM,
    VLAN,
    checksum,
    ethernet,
    extension,
    group_mac,
    ipv4,
    ipv6,
)
from tests.bpf.switch import HOST_PORT, OTHER_PORT, PEER_IP, PORT, SHOT, THIRD_IP, UNDERLAY, Switch
from tests.bpf.tables import FAR, LOCAL_MAC, PEER, REMOTE_MAC, arrival

LINK_LOCAL = "fe80::1"
EVERYBODY = [PEER_IP, THIRD_IP, OTHER_PORT]
TICK = 0.1  # seconds


def igmp(kind: int, target: str, *, mac: str = LOCAL_MAC, options: int = 4, size: int = 8, fragment: int = 0) -> bytes:
    """Return a frame with an IGMP message; the checksum is right."""
    message = bytes([kind, 0, 0, 0, *bytes(size - 4)]) if size else b""
    message = message[:2] + checksum(message).to_bytes(2) + message[4:] if size else b""
    packet = ipv4(SOURCE, target, message, protocol=IGMP, ttl=1, options=options, fragment=fragment)
    return ethernet(group_mac(target), mac, packet)


def mld(kind: int, target: str, *, mac: str = LOCAL_MAC, before: int = 1) -> bytes:
    """Return a frame with an MLD message behind so many extension headers."""
    packet, last = bytes([kind, 0]) + bytes(22), ICMPV6
    for number in range(before):
        packet, last = extension(last, packet, size=8 * (number + 1)), 0 if number == before - 1 else 60
    return ethernet(group_mac(target), mac, ipv6(LINK_LOCAL, target, packet, next_header=last), IPV6)


REPORTS = [
    pytest.param(lambda mac: igmp(0x12, GROUP, mac=mac, options=0), id="IGMPv1 report"),
    pytest.param(lambda mac: igmp(0x16, GROUP, mac=mac), id="IGMPv2 report"),
    pytest.param(lambda mac: igmp(0x17, "224.0.0.2", mac=mac), id="IGMPv2 leave"),
    pytest.param(lambda mac: igmp(0x22, "224.0.0.22", mac=mac, size=1400), id="IGMPv3 report"),
    pytest.param(lambda mac: igmp(0x22, "224.0.0.22", mac=mac, options=40), id="behind all options there can be"),
    pytest.param(lambda mac: igmp(0, "224.0.0.22", mac=mac, size=0), id="IGMP without a type"),
    pytest.param(lambda mac: mld(131, GROUP6, mac=mac), id="MLDv1 report"),
    pytest.param(lambda mac: mld(132, "ff02::2", mac=mac), id="MLDv1 done"),
    pytest.param(lambda mac: mld(143, "ff02::16", mac=mac), id="MLDv2 report"),
    pytest.param(lambda mac: mld(143, "ff02::16", mac=mac, before=0), id="MLD without options"),
    pytest.param(lambda mac: mld(143, "ff02::16", mac=mac, before=6), id="MLD behind many headers"),
]
FOR_ALL = [
    pytest.param(igmp(0x11, "224.0.0.1"), id="IGMP query"),
    pytest.param(igmp(0x11, GROUP), id="IGMP query for a group"),
    pytest.param(igmp(0x22, "224.0.0.22", fragment=0x00B9), id="later fragment"),
    pytest.param(igmp(0x30, "224.0.0.106"), id="multicast router discovery"),
    pytest.param(mld(130, "ff02::1"), id="MLD query"),
    pytest.param(mld(130, GROUP6), id="MLD query for a group"),
    pytest.param(
        ethernet(group_mac("224.0.0.13"), LOCAL_MAC, ipv4(SOURCE, "224.0.0.13", bytes(34), protocol=PIM)), id="PIM"
    ),
    pytest.param(
        ethernet(group_mac("ff02::d"), LOCAL_MAC, ipv6(LINK_LOCAL, "ff02::d", bytes(34), next_header=PIM), IPV6),
        id="PIM over IPv6",
    ),
]


@pytest.fixture
def snooping(switch: Switch) -> Switch:
    """The switch with snooping on, and the whole allowance of each port before it."""
    switch.datapath.use_snooping(True)
    wait_for_next_tick()
    return switch


def wait_for_next_tick() -> None:
    """Return at the begin of a stretch of time that limits count by."""
    time.sleep(TICK - time.monotonic() % TICK + 0.01)


@pytest.mark.parametrize("report", REPORTS)
def test_report_goes_to_routers_alone(snooping: Switch, report: Callable[[str], bytes]) -> None:
    frame = report(LOCAL_MAC)
    join(snooping, [OTHER_PORT])
    join(snooping, [OTHER_PORT], GROUP6)
    result = snooping.run(PORT, frame)
    assert (result.verdict, result.dropped, result.counted) == (SHOT, (), ())
    (snoop,) = snooping.datapath.groups.read_snoops()
    assert (snoop.port, snoop.frame) == (snooping.ifindex(PORT), frame)
    join(snooping, [PORT, OTHER_PORT], "")
    branch(snooping, [PEER], "")
    assert takers(snooping, frame) == [PEER_IP, OTHER_PORT]
    branch(snooping, [], "")
    branch(snooping, [PEER], "", peer=FAR)
    assert far_takers(snooping, report(REMOTE_MAC)) == [PEER_IP, PORT, OTHER_PORT]
    join(snooping, [], "")
    assert far_takers(snooping, report(REMOTE_MAC)) == [PEER_IP]
    assert len(snooping.datapath.groups.read_snoops()) == 1


def test_report_is_no_unknown_group(snooping: Switch) -> None:
    snooping.datapath.use_snooping(True, flood_unknown=True)
    assert snooping.run(PORT, igmp(0x16, GROUP)).counted == ()
    assert snooping.run(UNDERLAY, arrival(PEER, 0, igmp(0x16, GROUP, mac=REMOTE_MAC))).dropped == ("no_member",)


@pytest.mark.parametrize("frame", FOR_ALL)
def test_what_routers_say_goes_to_everybody(snooping: Switch, frame: bytes) -> None:
    join(snooping, [])
    join(snooping, [], "")
    assert takers(snooping, frame) == EVERYBODY
    (snoop,) = snooping.datapath.groups.read_snoops()
    assert (snoop.port, snoop.frame) == (snooping.ifindex(PORT), frame)


def test_what_comes_from_peers_is_theirs_to_note(snooping: Switch) -> None:
    snooping.run(UNDERLAY, arrival(PEER, 0, igmp(0x11, "224.0.0.1", mac=REMOTE_MAC)))
    assert snooping.datapath.groups.read_snoops() == []


def test_without_snooping_nothing_is_handed_over(switch: Switch) -> None:
    assert takers(switch, igmp(0x16, GROUP)) == EVERYBODY
    assert switch.datapath.groups.read_snoops() == []


def test_tagged_message_is_left_alone(snooping: Switch) -> None:
    frame = igmp(0x16, GROUP)
    tagged = frame[:12] + VLAN.to_bytes(2) + b"\0\5" + frame[12:]
    assert snooping.run(PORT, tagged).counted.count("flood_copies") == 2
    assert snooping.datapath.groups.read_snoops() == []


def test_host_speaks_too(snooping: Switch) -> None:
    frame = igmp(0x16, GROUP)
    snooping.run(HOST_PORT, frame)
    (snoop,) = snooping.datapath.groups.read_snoops()
    assert (snoop.port, snoop.frame) == (snooping.ifindex(HOST_PORT), frame)


@pytest.mark.parametrize("size", [SNOOP_FRAME - 38, SNOOP_FRAME - 37, 3000])
def test_message_of_any_size_is_handed_over_whole(snooping: Switch, size: int) -> None:
    frame = igmp(0x22, "224.0.0.22", size=size)
    snooping.run(PORT, frame)
    (snoop,) = snooping.datapath.groups.read_snoops()
    assert snoop.frame == frame


def test_storm_of_one_port_is_cut(snooping: Switch) -> None:
    frame, groups = igmp(0x16, GROUP), snooping.datapath.groups
    before, begin = snooping.datapath.drops()["snoop_rate"], time.monotonic()
    for _ in range(1000):
        snooping.send(frame, PORT)
    ticks = int(time.monotonic() / TICK) - int(begin / TICK) + 1
    snooping.send(frame, OTHER_PORT)
    *taken, other = groups.read_snoops()
    assert SNOOPS_PER_TICK <= len(taken) <= SNOOPS_PER_TICK * ticks
    assert snooping.datapath.drops()["snoop_rate"] - before == 1000 - len(taken) > 0
    assert other.port == snooping.ifindex(OTHER_PORT)
    wait_for_next_tick()
    snooping.send(frame, PORT)
    assert len(groups.read_snoops()) == 1


def test_message_that_cannot_be_handed_over_is_dropped(snooping: Switch) -> None:
    frame = igmp(0x22, "224.0.0.22", size=1400)
    join(snooping, [OTHER_PORT], "")
    while (result := snooping.run(PORT, frame)).dropped != ("snoop_ring",):
        assert result.dropped == ()
    assert (result.verdict, result.counted) == (SHOT, ())
    assert len(snooping.datapath.groups.read_snoops()) > 100
    assert snooping.run(PORT, frame).dropped == ()
