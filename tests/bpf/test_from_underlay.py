"""What comes in by the NIC: what is ours and what is not, who may send it, delivery, relaying, floods."""

from dataclasses import replace

import msgspec
import pytest

from ripstop.core.mesh.messages import Probe
from ripstop.core.names import NO_PEER, PeerName, ShortId, UnderlayIp
from ripstop.core.overlay.forwarding import Tree
from ripstop.wire.probe import decode, encode
from tests.bpf.packets import (
    ARP,
    BROADCAST,
    IPV6,
    TCP,
    VLAN,
    VXLAN_PORT,
    Outer,
    ethernet,
    ipv4,
    ipv6,
    mac,
    tcp,
    udp,
    vxlan,
)
from tests.bpf.switch import (
    NIC_MAC,
    OTHER_PORT,
    OWN_IP,
    PEER_IP,
    PEER_MAC,
    PORT,
    REDIRECT,
    SHOT,
    STRANGER_IP,
    THIRD_IP,
    THIRD_MAC,
    UNDERLAY,
    UNSPEC,
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
    arrival,
    hop,
    payload,
    underlay,
)

FRAME = ethernet(LOCAL_MAC, REMOTE_MAC, payload())
OURS = vxlan(PEER, OWN, FRAME)
UPCALL_FRAME = 256


def learn_local(switch: Switch) -> None:
    """Have LOCAL_MAC be known behind PORT."""
    switch.run(PORT, ethernet(OTHER_MAC, LOCAL_MAC, payload()))
    for device in (OTHER_PORT, UNDERLAY):  # the frame was flooded
        switch.hear(device)


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(ethernet(NIC_MAC, PEER_MAC, bytes(60), ARP), id="ARP"),
        pytest.param(ethernet(NIC_MAC, PEER_MAC, ipv6("fd00::1", "fd00::2", udp(1, 6784, bytes(60))), IPV6), id="IPv6"),
        pytest.param(ethernet(NIC_MAC, PEER_MAC, ipv4(PEER_IP, OWN_IP, tcp(1, 6784), protocol=TCP)), id="TCP"),
        pytest.param(underlay(OURS, port=VXLAN_PORT + 1), id="another port"),
        pytest.param(underlay(OURS, target=THIRD_IP), id="another host"),
        pytest.param(underlay(b""), id="shorter than our headers"),
        pytest.param(
            ethernet(NIC_MAC, PEER_MAC, ipv4(PEER_IP, OWN_IP, udp(1, VXLAN_PORT, OURS), fragment=0x2000)),
            id="first fragment",
        ),
        pytest.param(
            ethernet(NIC_MAC, PEER_MAC, ipv4(PEER_IP, OWN_IP, udp(1, VXLAN_PORT, OURS), fragment=0x00B9)),
            id="later fragment",
        ),
        pytest.param(
            ethernet(NIC_MAC, PEER_MAC, ipv4(PEER_IP, OWN_IP, udp(1, VXLAN_PORT, OURS), options=4)), id="IP options"
        ),
        pytest.param(
            ethernet(THIRD_MAC, PEER_MAC, ipv4(PEER_IP, OWN_IP, udp(1, VXLAN_PORT, OURS))), id="another NIC's frame"
        ),
        pytest.param(arrival(PEER, OWN, ethernet(LOCAL_MAC, REMOTE_MAC, bytes(28), ARP)), id="ARP inside"),
        pytest.param(arrival(PEER, OWN, ethernet(LOCAL_MAC, REMOTE_MAC, bytes(28), VLAN)), id="VLAN inside"),
        pytest.param(arrival(PEER, OWN, ethernet(LOCAL_MAC, REMOTE_MAC, bytes(19))), id="no whole IPv4 header inside"),
        pytest.param(arrival(PEER, OWN, ethernet(LOCAL_MAC, REMOTE_MAC, bytes(39), IPV6)), id="no whole IPv6 inside"),
    ],
)
def test_what_is_not_for_the_fast_path_passes_untouched(switch: Switch, packet: bytes) -> None:
    result = switch.run(UNDERLAY, packet)
    assert (result.verdict, result.packet, result.dropped, result.counted) == (UNSPEC, packet, (), ())
    assert switch.datapath.fdb() == []


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (underlay(OURS, source=STRANGER_IP), "stranger"),
        (underlay(vxlan(PEER, OWN, FRAME, flags=0)), "bad_header"),
        (underlay(vxlan(PEER, OWN, FRAME, flags=0x8C)), "bad_header"),
        (underlay(vxlan(PEER, OWN, FRAME, flags=0x08)), "bad_header"),  # a destination that is not valid
        (underlay(vxlan(PEER, OWN, FRAME, policy=0x40)), "bad_header"),
        (underlay(vxlan(PEER, OWN, FRAME, reserved=1)), "bad_header"),
        (underlay(vxlan(0x10000, OWN, FRAME)), "bad_header"),
        (underlay(vxlan(0, OWN, FRAME)), "bad_header"),
        (underlay(vxlan(OWN, OWN, FRAME)), "loop"),
        (underlay(vxlan(OWN, 0, FRAME)), "loop"),
        (arrival(PEER, OWN, ethernet(LOCAL_MAC, GROUP_MAC, payload())), "bad_source"),
        (arrival(PEER, OWN, ethernet("01:80:c2:00:00:00", REMOTE_MAC, payload())), "reserved_mac"),
        (arrival(FAR, 0, FRAME, source=PEER_IP), "wrong_parent"),  # its tree reaches us through THIRD
        (arrival(SILENT, 0, FRAME), "wrong_parent"),  # no tree at all
        (arrival(PEER, 99, FRAME), "no_route"),
    ],
)
def test_drops(switch: Switch, packet: bytes, reason: str) -> None:
    result = switch.run(UNDERLAY, packet)
    assert (result.verdict, result.dropped) == (SHOT, (reason,))
    assert switch.datapath.fdb() == []


def test_is_stripped_for_a_local_container(switch: Switch) -> None:
    learn_local(switch)
    result = switch.run(UNDERLAY, arrival(PEER, OWN, FRAME))
    assert (result.verdict, result.packet) == (REDIRECT, FRAME)
    assert result.counted == ("received_fast", "delivered")
    assert {(e.mac, e.ifindex, e.peer) for e in switch.datapath.fdb()} == {
        (LOCAL_MAC, switch.ifindex(PORT), NO_PEER),
        (REMOTE_MAC, 0, PEER),
    }


@pytest.mark.parametrize("inside", [udp(1, 2, b"six"), b""], ids=["UDP", "nothing"])
def test_ipv6_is_stripped_too(switch: Switch, inside: bytes) -> None:
    learn_local(switch)
    frame = ethernet(LOCAL_MAC, REMOTE_MAC, ipv6("fd00::1", "fd00::2", inside), IPV6)
    result = switch.run(UNDERLAY, arrival(PEER, OWN, frame))
    assert (result.verdict, result.packet) == (REDIRECT, frame)


def test_source_behind_a_relay_is_learnt_as_the_source_peer(switch: Switch) -> None:
    switch.run(UNDERLAY, arrival(FAR, OWN, FRAME, source=THIRD_IP))
    (entry,) = switch.datapath.fdb()
    assert (entry.mac, entry.peer) == (REMOTE_MAC, FAR)


def test_mac_moves_between_peers_and_ports(switch: Switch) -> None:
    switch.run(UNDERLAY, arrival(PEER, OWN, FRAME))
    switch.run(UNDERLAY, arrival(FAR, OWN, FRAME, source=THIRD_IP))
    assert [entry.peer for entry in switch.datapath.fdb()] == [FAR]
    switch.run(PORT, ethernet(BROADCAST, REMOTE_MAC, payload()))
    assert [entry.ifindex for entry in switch.datapath.fdb()] == [switch.ifindex(PORT)]


def test_unknown_mac_for_us_floods_local_ports_only(switch: Switch) -> None:
    frame = ethernet(UNKNOWN_MAC, REMOTE_MAC, payload())
    result = switch.run(UNDERLAY, arrival(PEER, OWN, frame))
    assert switch.hear(PORT) == frame
    assert (result.verdict, result.packet) == (REDIRECT, frame)
    assert sorted(result.counted) == ["delivered", "delivered", "received_fast"]


def test_mac_of_another_peer_is_dropped(switch: Switch) -> None:
    switch.run(UNDERLAY, arrival(FAR, OWN, ethernet(LOCAL_MAC, UNKNOWN_MAC, payload()), source=THIRD_IP))
    result = switch.run(UNDERLAY, arrival(PEER, OWN, ethernet(UNKNOWN_MAC, REMOTE_MAC, payload())))
    assert (result.verdict, result.dropped) == (SHOT, ("misdirected",))


def test_flood_at_a_leaf_goes_to_local_ports(switch: Switch) -> None:
    frame = ethernet(GROUP_MAC, REMOTE_MAC, payload())
    result = switch.run(UNDERLAY, arrival(PEER, 0, frame, ttl=1))
    assert switch.hear(PORT) == frame
    assert (result.verdict, result.packet, result.dropped) == (REDIRECT, frame, ())
    assert sorted(result.counted) == ["delivered", "delivered", "received_fast"]


def test_kernels_header_of_a_flood_is_taken(switch: Switch) -> None:
    frame = ethernet(GROUP_MAC, REMOTE_MAC, payload())
    result = switch.run(UNDERLAY, underlay(vxlan(PEER, 0, frame, flags=0x08)))  # it omits a policy id of 0
    assert (result.verdict, result.dropped) == (REDIRECT, ())


def test_flood_of_a_known_local_mac_goes_there_only(switch: Switch) -> None:
    learn_local(switch)
    result = switch.run(UNDERLAY, arrival(PEER, 0, FRAME))
    assert (result.packet, result.counted) == (FRAME, ("received_fast", "delivered"))


def test_flood_is_passed_on_and_delivered(switch: Switch) -> None:
    frame = ethernet(GROUP_MAC, REMOTE_MAC, payload())
    sent = arrival(FAR, 0, frame, source=THIRD_IP, ttl=9)
    result = switch.run(UNDERLAY, sent)
    outer = Outer.parse(switch.hear(UNDERLAY))
    assert (outer.source, outer.target, outer.ttl) == (OWN_IP, PEER_IP, 8)
    assert (outer.target_mac, outer.source_mac) == (mac(PEER_MAC), mac(NIC_MAC))
    assert (outer.vni, outer.destination, outer.frame) == (FAR, 0, frame)
    assert outer.source_port == Outer.parse(sent).source_port
    assert switch.hear(PORT) == frame
    assert result.packet == frame
    assert sorted(result.counted) == ["delivered", "delivered", "flood_copies", "received_fast", "relayed_fast"]


def test_flood_at_the_end_of_its_life_is_delivered_but_not_passed_on(switch: Switch) -> None:
    frame = ethernet(GROUP_MAC, REMOTE_MAC, payload())
    result = switch.run(UNDERLAY, arrival(FAR, 0, frame, source=THIRD_IP, ttl=1))
    assert (result.verdict, result.packet, result.dropped) == (REDIRECT, frame, ("ttl",))
    assert "relayed_fast" not in result.counted


def test_flood_whose_child_the_fast_path_cannot_reach_is_left_whole(switch: Switch) -> None:
    switch.datapath.apply(replace(TABLES, trees={FAR: Tree(THIRD, (hop(PEER, PEER_IP), hop(SILENT, "192.0.2.4")))}))
    packet = arrival(FAR, 0, ethernet(GROUP_MAC, REMOTE_MAC, payload()), source=THIRD_IP)
    result = switch.run(UNDERLAY, packet)
    assert (result.verdict, result.packet, result.counted) == (UNSPEC, packet, ())


def test_unicast_for_another_peer_is_relayed(switch: Switch) -> None:
    sent = arrival(PEER, FAR, FRAME, ttl=9)
    result = switch.run(UNDERLAY, sent)
    outer = Outer.parse(result.packet)
    assert (result.verdict, result.counted) == (REDIRECT, ("relayed_fast",))
    assert (outer.source, outer.target, outer.ttl) == (OWN_IP, THIRD_IP, 8)
    assert (outer.target_mac, outer.source_mac) == (mac(THIRD_MAC), mac(NIC_MAC))
    assert (outer.vni, outer.destination, outer.frame) == (PEER, FAR, FRAME)
    assert result.packet[34:] == sent[34:]  # nothing behind the IP header is touched
    assert switch.datapath.fdb() == []  # relays need no MACs


def test_relay_ends_at_ttl_one(switch: Switch) -> None:
    assert switch.run(UNDERLAY, arrival(PEER, FAR, FRAME, ttl=2)).verdict == REDIRECT
    result = switch.run(UNDERLAY, arrival(PEER, FAR, FRAME, ttl=1))
    assert (result.verdict, result.dropped) == (SHOT, ("ttl",))


def test_relay_to_an_unresolved_neighbor_is_left_to_the_kernel(switch: Switch) -> None:
    result = switch.run(UNDERLAY, arrival(PEER, SILENT, FRAME))
    assert (result.verdict, result.counted) == (REDIRECT, ("relayed_fast",))


def test_relay_over_a_smaller_path_is_too_big(switch: Switch) -> None:
    switch.datapath.apply(replace(TABLES, routes={FAR: hop(THIRD, THIRD_IP, mtu=1000)}))
    result = switch.run(UNDERLAY, arrival(PEER, FAR, ethernet(LOCAL_MAC, REMOTE_MAC, payload(1000))))
    assert (result.verdict, result.dropped) == (SHOT, ("too_big",))


def test_segments_of_udp_are_the_companions(switch: Switch) -> None:
    packet = arrival(PEER, OWN, ethernet(LOCAL_MAC, REMOTE_MAC, payload(3000)))
    assert switch.run(UNDERLAY, packet, gso_size=1400).verdict == UNSPEC


@pytest.mark.parametrize("vni", [PEER, 0])  # a peer without an id probes too
@pytest.mark.parametrize(
    ("ack", "destination"),
    [
        pytest.param(False, 0, id="probe for whoever is there"),
        pytest.param(False, PEER, id="probe for somebody else"),
        pytest.param(True, OWN, id="answer"),
    ],
)
def test_probe_is_handed_up(switch: Switch, ack: bool, destination: int, vni: int) -> None:
    probe = Probe(ack, PeerName("a" * 16), PeerName(""), 77, MTU)
    frame = encode(probe, UnderlayIp(PEER_IP), UnderlayIp(OWN_IP))
    result = switch.run(UNDERLAY, arrival(vni, destination, frame))
    assert (result.verdict, result.dropped) == (SHOT, ())
    (upcall,) = switch.datapath.read_upcalls()
    assert (upcall.remote, upcall.local, upcall.frame) == (PEER_IP, OWN_IP, frame[:UPCALL_FRAME])
    assert decode(upcall.frame) == probe
    assert switch.datapath.fdb() == []


def test_probe_for_us_is_returned_as_an_answer(switch: Switch) -> None:
    probe = Probe(False, PeerName("a" * 16), PeerName(""), 77, MTU)
    frame = encode(probe, UnderlayIp(PEER_IP), UnderlayIp(OWN_IP), OWN)
    result = switch.run(UNDERLAY, arrival(PEER, OWN, frame, ttl=9))
    outer = Outer.parse(result.packet)
    assert (result.verdict, result.dropped) == (REDIRECT, ())
    assert (outer.source, outer.target, outer.ttl) == (OWN_IP, PEER_IP, 64)
    assert (outer.vni, outer.destination) == (OWN, PEER)
    assert len(outer.frame) == len(frame)  # the way back is tested for its size too
    assert decode(outer.frame) == msgspec.structs.replace(probe, ack=True)
    assert switch.datapath.read_upcalls() == []


def test_probe_of_a_stranger_is_dropped(switch: Switch) -> None:
    probe = Probe(False, PeerName("a" * 16), PeerName(""), 77, MTU)
    frame = encode(probe, UnderlayIp(STRANGER_IP), UnderlayIp(OWN_IP))
    assert switch.run(UNDERLAY, arrival(PEER, OWN, frame, source=STRANGER_IP)).dropped == ("stranger",)
    assert switch.datapath.read_upcalls() == []


def test_probes_nobody_reads_are_counted(switch: Switch) -> None:
    probe = Probe(False, PeerName("a" * 16), PeerName(""), 77, MTU)
    packet = arrival(PEER, 0, encode(probe, UnderlayIp(PEER_IP), UnderlayIp(OWN_IP)))
    while not (result := switch.run(UNDERLAY, packet)).dropped:
        pass
    assert result.dropped == ("upcall",)
    assert len(switch.datapath.read_upcalls()) > 500
    assert switch.run(UNDERLAY, packet).dropped == ()
    assert len(switch.datapath.read_upcalls()) == 1


def test_without_an_id_nothing_is_ours(switch: Switch) -> None:
    switch.datapath.apply(replace(TABLES, own=ShortId(0)))
    assert switch.run(UNDERLAY, arrival(PEER, OWN, FRAME)).verdict == UNSPEC
