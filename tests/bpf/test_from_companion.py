"""What the VXLAN device unwrapped: packets on the wire that from_underlay leaves to it."""

import os
import time
from dataclasses import replace

import pytest

from ripstop.core.mesh.messages import Probe
from ripstop.core.names import PeerName, UnderlayIp
from ripstop.core.overlay.forwarding import Tree
from ripstop.wire.probe import decode, encode
from tests.bpf.packets import ARP, BROADCAST, VXLAN_PORT, Outer, ethernet, ipv4, udp, vxlan
from tests.bpf.switch import (
    NIC_MAC,
    OTHER_PORT,
    OWN_IP,
    PEER_IP,
    PEER_MAC,
    PORT,
    STRANGER_IP,
    THIRD_IP,
    UNDERLAY,
    WAIT,
    Switch,
)
from tests.bpf.tables import (
    FAR,
    GROUP_MAC,
    LOCAL_MAC,
    MTU,
    OTHER_MAC,
    OWN,
    PEER,
    REMOTE_MAC,
    SILENT,
    TABLES,
    THIRD,
    UNKNOWN_MAC,
    hop,
    payload,
)

ARP_FRAME = ethernet(LOCAL_MAC, REMOTE_MAC, bytes(28), ARP)
ARP_REQUEST = ethernet(BROADCAST, REMOTE_MAC, bytes(28), ARP)


def slow(vni: int, destination: int, frame: bytes, source: str = PEER_IP, ttl: int = 64) -> bytes:
    """Return a packet that from_underlay leaves alone whatever is inside: it has IP options."""
    inside = udp(50000, VXLAN_PORT, vxlan(vni, destination, frame))
    return ethernet(NIC_MAC, PEER_MAC, ipv4(source, OWN_IP, inside, ttl=ttl, options=4))


def learn_local(switch: Switch) -> None:
    """Have LOCAL_MAC be known behind PORT."""
    switch.run(PORT, ethernet(OTHER_MAC, LOCAL_MAC, payload()))
    for device in (OTHER_PORT, UNDERLAY):  # the frame was flooded
        switch.hear(device)


def wait_for_drop(switch: Switch, reason: str, before: int) -> None:
    """Return once `reason` has counted one more."""
    deadline = time.monotonic() + WAIT
    while switch.datapath.drops()[reason] == before:
        assert time.monotonic() < deadline, f"no {reason}: {switch.datapath.drops()}"
        os.sched_yield()
    assert switch.datapath.drops()[reason] == before + 1


@pytest.mark.parametrize("frame", [ARP_FRAME, ethernet(LOCAL_MAC, REMOTE_MAC, payload())])
def test_frame_for_a_local_container_is_delivered_and_learnt(switch: Switch, frame: bytes) -> None:
    learn_local(switch)
    switch.send(slow(PEER, OWN, frame))
    assert switch.hear(PORT) == frame
    assert {(e.mac, e.peer) for e in switch.datapath.fdb()} >= {(REMOTE_MAC, PEER)}


def test_frame_for_an_unknown_mac_floods_local_ports(switch: Switch) -> None:
    frame = ethernet(UNKNOWN_MAC, REMOTE_MAC, bytes(28), ARP)
    switch.send(slow(PEER, OWN, frame))
    assert switch.hear(PORT) == switch.hear(OTHER_PORT) == frame


def test_flood_at_a_leaf(switch: Switch) -> None:
    switch.send(slow(PEER, 0, ARP_REQUEST))
    assert switch.hear(PORT) == switch.hear(OTHER_PORT) == ARP_REQUEST


@pytest.mark.parametrize("frame", [ARP_REQUEST, ethernet(GROUP_MAC, REMOTE_MAC, payload())])
def test_flood_is_passed_on_and_delivered(switch: Switch, frame: bytes) -> None:
    switch.send(slow(FAR, 0, frame, source=THIRD_IP, ttl=9))
    outer = Outer.parse(switch.hear(UNDERLAY))
    assert (outer.source, outer.target, outer.ttl, outer.dont_fragment) == (OWN_IP, PEER_IP, 8, True)
    assert (outer.vni, outer.destination, outer.frame) == (FAR, 0, frame)
    assert switch.hear(PORT) == switch.hear(OTHER_PORT) == frame


def test_flood_left_whole_by_the_fast_path_reaches_everyone(switch: Switch) -> None:
    """One child is not resolved yet: the other one and the ports have their copies all the same."""
    switch.datapath.apply(replace(TABLES, trees={FAR: Tree(THIRD, (hop(SILENT, "192.0.2.4"), hop(PEER, PEER_IP)))}))
    frame = ethernet(GROUP_MAC, REMOTE_MAC, payload())
    inside = udp(50000, VXLAN_PORT, vxlan(FAR, 0, frame))
    switch.send(ethernet(NIC_MAC, PEER_MAC, ipv4(THIRD_IP, OWN_IP, inside, fragment=0x4000)))
    heard = [switch.hear(UNDERLAY) for _ in range(2)]
    assert sorted(packet[12:14] for packet in heard) == [b"\x08\x00", b"\x08\x06"]  # the copy; who has 192.0.2.4?
    assert Outer.parse(min(heard, key=lambda packet: packet[12:14])).frame == frame
    assert switch.hear(PORT) == switch.hear(OTHER_PORT) == frame


@pytest.mark.parametrize("frame", [ARP_FRAME, ethernet(LOCAL_MAC, REMOTE_MAC, payload())])
def test_unicast_for_another_peer_is_relayed(switch: Switch, frame: bytes) -> None:
    switch.send(slow(PEER, FAR, frame, ttl=9))
    outer = Outer.parse(switch.hear(UNDERLAY))
    assert (outer.source, outer.target, outer.ttl, outer.dont_fragment) == (OWN_IP, THIRD_IP, 8, True)
    assert (outer.vni, outer.destination, outer.frame) == (PEER, FAR, frame)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (slow(PEER, OWN, ARP_FRAME, source=STRANGER_IP), "stranger"),
        (slow(OWN, OWN, ARP_FRAME), "loop"),
        (slow(0, OWN, ARP_FRAME), "bad_header"),
        (slow(0x10000, OWN, ARP_FRAME), "bad_header"),
        (slow(FAR, 0, ARP_REQUEST), "wrong_parent"),
        (slow(SILENT, 0, ARP_REQUEST), "wrong_parent"),
        (slow(PEER, 99, ARP_FRAME), "no_route"),
        (slow(PEER, FAR, ARP_FRAME, ttl=1), "ttl"),
        (slow(PEER, OWN, ethernet("01:80:c2:00:00:00", REMOTE_MAC, bytes(46), 46)), "reserved_mac"),
        (slow(PEER, OWN, ethernet(LOCAL_MAC, GROUP_MAC, bytes(28), ARP)), "bad_source"),
    ],
)
def test_drops(switch: Switch, packet: bytes, reason: str) -> None:
    before = switch.datapath.drops()[reason]
    switch.send(packet)
    wait_for_drop(switch, reason, before)
    assert switch.datapath.fdb() == []


def test_flood_at_the_end_of_its_life_is_delivered_only(switch: Switch) -> None:
    before = switch.datapath.drops()["ttl"]
    switch.send(slow(FAR, 0, ARP_REQUEST, source=THIRD_IP, ttl=1))
    assert switch.hear(PORT) == switch.hear(OTHER_PORT) == ARP_REQUEST
    wait_for_drop(switch, "ttl", before)


def test_probe_is_handed_up(switch: Switch) -> None:
    probe = Probe(False, PeerName("a" * 16), PeerName(""), 77, MTU - 4)  # the options need room too
    frame = encode(probe, UnderlayIp(PEER_IP), UnderlayIp(OWN_IP))
    before = switch.datapath.drops()["loop"]
    switch.send(slow(PEER, OWN, frame))
    switch.send(slow(OWN, OWN, ARP_FRAME))
    wait_for_drop(switch, "loop", before)  # so the probe is through
    (upcall,) = switch.datapath.read_upcalls()
    assert upcall.remote == PEER_IP
    assert upcall.local in (OWN_IP, "0.0.0.0")  # kernels before 6.0 do not tell
    assert decode(upcall.frame) == probe
