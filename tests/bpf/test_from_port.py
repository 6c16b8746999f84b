"""What containers and the host send: learning, local delivery, encapsulation, floods, probes."""

from dataclasses import replace

import pytest

from ripstop.core.mesh.messages import Probe
from ripstop.core.names import NO_PEER, PeerName, UnderlayIp
from ripstop.core.overlay.forwarding import Tree
from ripstop.wire.probe import decode, encode
from tests.bpf.packets import (
    ARP,
    BROADCAST,
    FOREIGN,
    ICMP,
    IPV6,
    VLAN,
    VXLAN_PORT,
    Outer,
    ethernet,
    ipv4,
    ipv6,
    mac,
    udp,
)
from tests.bpf.switch import (
    COMPANION,
    HOST_PORT,
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
    Switch,
)  # fmt: skip
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
)  # fmt: skip

NAME = PeerName("a" * 16)


def learn_remote(switch: Switch, peer: int = PEER) -> None:
    """Have REMOTE_MAC be known behind `peer`, and LOCAL_MAC behind PORT."""
    switch.run(PORT, ethernet(OTHER_MAC, LOCAL_MAC, payload()))
    switch.run(UNDERLAY, arrival(peer, OWN, ethernet(LOCAL_MAC, REMOTE_MAC, payload())))
    where = {entry.mac: entry.peer for entry in switch.datapath.fdb()}
    assert where[REMOTE_MAC] == peer
    for device in (OTHER_PORT, UNDERLAY):  # LOCAL_MAC's first frame was flooded
        switch.hear(device)


def test_learns_source(switch: Switch) -> None:
    switch.run(PORT, ethernet(BROADCAST, LOCAL_MAC, payload()))
    (entry,) = switch.datapath.fdb()
    assert (entry.mac, entry.ifindex, entry.peer) == (LOCAL_MAC, switch.ifindex(PORT), NO_PEER)
    assert entry.age < 2


def test_source_moves_at_once(switch: Switch) -> None:
    switch.run(PORT, ethernet(BROADCAST, LOCAL_MAC, payload()))
    switch.run(OTHER_PORT, ethernet(BROADCAST, LOCAL_MAC, payload()))
    (entry,) = switch.datapath.fdb()
    assert entry.ifindex == switch.ifindex(OTHER_PORT)


def test_move_counts_for_the_very_next_frame(switch: Switch) -> None:
    learn_remote(switch)
    frame = ethernet(REMOTE_MAC, LOCAL_MAC, payload())
    for _ in range(3):
        assert switch.run(PORT, frame).counted == ("sent_fast",)
    switch.run(OTHER_PORT, ethernet(LOCAL_MAC, REMOTE_MAC, payload()))
    assert switch.run(PORT, frame).counted == ("delivered",)
    switch.run(UNDERLAY, arrival(PEER, OWN, ethernet(LOCAL_MAC, REMOTE_MAC, payload())))
    assert switch.run(PORT, frame).counted == ("sent_fast",)


def test_changed_tables_count_for_the_very_next_frame(switch: Switch) -> None:
    learn_remote(switch)
    frame = ethernet(REMOTE_MAC, LOCAL_MAC, payload())
    for _ in range(20):
        assert switch.run(PORT, frame).counted == ("sent_fast",)
        switch.datapath.apply(replace(TABLES, routes={}))
        assert switch.run(PORT, frame).dropped == ("no_route",)
        switch.datapath.apply(TABLES)


@pytest.mark.parametrize("source", ["00:00:00:00:00:00", GROUP_MAC, BROADCAST])
def test_impossible_source_is_dropped(switch: Switch, source: str) -> None:
    result = switch.run(PORT, ethernet(OTHER_MAC, source, payload()))
    assert (result.verdict, result.dropped) == (SHOT, ("bad_source",))
    assert switch.datapath.fdb() == []


@pytest.mark.parametrize("last", [0x00, 0x0E, 0x0F])
def test_link_local_group_is_dropped(switch: Switch, last: int) -> None:
    result = switch.run(PORT, ethernet(f"01:80:c2:00:00:{last:02x}", LOCAL_MAC, payload()))
    assert (result.verdict, result.dropped) == (SHOT, ("reserved_mac",))


def test_next_group_passes(switch: Switch) -> None:
    assert switch.run(PORT, ethernet("01:80:c2:00:00:10", LOCAL_MAC, payload())).dropped == ()


def test_known_local_is_handed_over_unchanged(switch: Switch) -> None:
    switch.run(OTHER_PORT, ethernet(BROADCAST, OTHER_MAC, payload()))
    frame = ethernet(OTHER_MAC, LOCAL_MAC, payload())
    result = switch.run(PORT, frame)
    assert (result.verdict, result.packet, result.counted) == (REDIRECT, frame, ("delivered",))


def test_frame_to_its_own_port_is_dropped(switch: Switch) -> None:
    switch.run(PORT, ethernet(BROADCAST, OTHER_MAC, payload()))
    result = switch.run(PORT, ethernet(OTHER_MAC, LOCAL_MAC, payload()))
    assert (result.verdict, result.dropped) == (SHOT, ("hairpin",))


def test_known_remote_is_wrapped(switch: Switch) -> None:
    learn_remote(switch)
    frame = ethernet(REMOTE_MAC, LOCAL_MAC, payload())
    result = switch.run(PORT, frame)
    outer = Outer.parse(result.packet)
    assert (result.verdict, result.counted) == (REDIRECT, ("sent_fast",))
    assert (outer.target_mac, outer.source_mac) == (mac(PEER_MAC), mac(NIC_MAC))
    assert (outer.source, outer.target, outer.ttl, outer.dont_fragment) == (OWN_IP, PEER_IP, 64, True)
    assert (outer.target_port, outer.vni, outer.destination) == (VXLAN_PORT, OWN, PEER)
    assert outer.source_port >= 49152
    assert outer.frame == frame


def test_relayed_peer_is_sent_to_its_next_hop(switch: Switch) -> None:
    learn_remote(switch)
    switch.run(UNDERLAY, arrival(FAR, OWN, ethernet(LOCAL_MAC, REMOTE_MAC, payload()), source=THIRD_IP))
    outer = Outer.parse(switch.run(PORT, ethernet(REMOTE_MAC, LOCAL_MAC, payload())).packet)
    assert (outer.target, outer.target_mac, outer.destination) == (THIRD_IP, mac(THIRD_MAC), FAR)


def test_ipv6_is_wrapped(switch: Switch) -> None:
    learn_remote(switch)
    frame = ethernet(REMOTE_MAC, LOCAL_MAC, ipv6("fd00::1", "fd00::2", udp(1, 2, b"six")), IPV6)
    result = switch.run(PORT, frame)
    assert (result.counted, Outer.parse(result.packet).frame) == (("sent_fast",), frame)


def test_flows_differ_in_source_port_and_keep_it(switch: Switch) -> None:
    learn_remote(switch)
    ports = [
        Outer.parse(
            switch.run(PORT, ethernet(REMOTE_MAC, LOCAL_MAC, ipv4("10.32.0.1", "10.32.0.2", udp(flow, 9)))).packet
        ).source_port
        for flow in [*range(8), 0]
    ]
    assert len(set(ports)) > 4
    assert ports[0] == ports[-1]


def test_unresolved_neighbor_is_left_to_the_kernel(switch: Switch) -> None:
    learn_remote(switch, SILENT)
    result = switch.run(PORT, ethernet(REMOTE_MAC, LOCAL_MAC, payload()))
    assert (result.verdict, result.counted, result.dropped) == (REDIRECT, ("sent_fast",), ())


def test_unknown_next_hop_is_left_to_the_companion(switch: Switch) -> None:
    learn_remote(switch)
    elsewhere = replace(TABLES, routes={**TABLES.routes, PEER: hop(PEER, "198.51.100.1")})
    switch.datapath.apply(elsewhere)  # the host has no route there
    frame = ethernet(REMOTE_MAC, LOCAL_MAC, payload())
    result = switch.run(PORT, frame)
    assert (result.verdict, result.packet, result.counted) == (REDIRECT, frame, ("sent_companion",))


def test_peer_without_route_is_dropped(switch: Switch) -> None:
    learn_remote(switch)
    switch.datapath.apply(replace(TABLES, routes={}))
    result = switch.run(PORT, ethernet(REMOTE_MAC, LOCAL_MAC, payload()))
    assert (result.verdict, result.dropped) == (SHOT, ("no_route",))


@pytest.mark.parametrize(("size", "dropped"), [(MTU, ()), (MTU + 1, ("too_big",))])
def test_mtu_of_the_path_is_the_limit(switch: Switch, size: int, dropped: tuple[str, ...]) -> None:
    learn_remote(switch)
    assert switch.run(PORT, ethernet(REMOTE_MAC, LOCAL_MAC, payload(size - 28))).dropped == dropped


def test_mtu_of_the_nic_is_the_limit_too(switch: Switch) -> None:
    learn_remote(switch)
    switch.datapath.apply(replace(TABLES, routes={PEER: hop(PEER, PEER_IP, mtu=9000)}))
    assert switch.run(PORT, ethernet(REMOTE_MAC, LOCAL_MAC, payload(MTU - 28))).dropped == ()
    assert switch.run(PORT, ethernet(REMOTE_MAC, LOCAL_MAC, payload(MTU - 27))).dropped == ("too_big",)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(ethernet(REMOTE_MAC, LOCAL_MAC, bytes(28), ARP), id="ARP"),
        pytest.param(ethernet(REMOTE_MAC, LOCAL_MAC, bytes(46), FOREIGN), id="foreign EtherType"),
        pytest.param(ethernet(REMOTE_MAC, LOCAL_MAC, bytes(46), 46), id="802.3 length"),
        pytest.param(ethernet(REMOTE_MAC, LOCAL_MAC, b"\0\5\x08\0" + payload(), VLAN), id="VLAN tag"),
    ],
)
def test_what_the_fast_path_cannot_take_goes_to_the_companion(switch: Switch, frame: bytes) -> None:
    learn_remote(switch)
    result = switch.run(PORT, frame)
    assert (result.verdict, result.packet, result.counted) == (REDIRECT, frame, ("sent_companion",))


@pytest.mark.parametrize(
    ("packet", "ethertype"),
    [
        (ipv4("10.32.0.1", "10.32.0.2", udp(1, 2, bytes(3000))), 0x0800),
        (ipv4("10.32.0.1", "10.32.0.2", bytes(3000), protocol=ICMP), 0x0800),
        (ipv6("fd00::1", "fd00::2", udp(1, 2, bytes(3000))), IPV6),
        (ipv6("fd00::1", "fd00::2", bytes([17, 0]) + bytes(6) + udp(1, 2, bytes(3000)), next_header=60), IPV6),
    ],
)
def test_segments_of_anything_but_tcp_go_to_the_companion(switch: Switch, packet: bytes, ethertype: int) -> None:
    learn_remote(switch)
    result = switch.run(PORT, ethernet(REMOTE_MAC, LOCAL_MAC, packet, ethertype), gso_size=1300)
    assert (result.verdict, result.counted) == (REDIRECT, ("sent_companion",))


def test_segments_count_against_the_mtu_not_the_frame(switch: Switch) -> None:
    learn_remote(switch)
    frame = ethernet(REMOTE_MAC, LOCAL_MAC, payload(3000))
    assert switch.run(PORT, frame, gso_size=MTU - 28).dropped == ()
    assert switch.run(PORT, frame, gso_size=MTU - 27).dropped == ("too_big",)


def test_broadcast_goes_to_local_ports_and_children(switch: Switch) -> None:
    frame = ethernet(BROADCAST, LOCAL_MAC, payload())
    result = switch.run(PORT, frame)
    assert switch.hear(OTHER_PORT) == frame
    first, last = Outer.parse(switch.hear(UNDERLAY)), Outer.parse(result.packet)
    assert [(o.target, o.target_mac) for o in (first, last)] == [(PEER_IP, mac(PEER_MAC)), (THIRD_IP, mac(THIRD_MAC))]
    for outer in (first, last):
        assert (outer.vni, outer.destination, outer.frame) == (OWN, 0, frame)
    assert first.source_port == last.source_port
    assert sorted(result.counted) == ["delivered", "flood_copies", "flood_copies", "sent_fast", "sent_fast"]


def test_flood_of_what_the_companion_must_take(switch: Switch) -> None:
    frame = ethernet(BROADCAST, LOCAL_MAC, bytes(28), ARP)
    result = switch.run(PORT, frame)
    outers = [Outer.parse(switch.hear(UNDERLAY)) for _ in range(2)]
    assert sorted(outer.target for outer in outers) == [PEER_IP, THIRD_IP]
    for outer in outers:
        assert (outer.vni, outer.destination, outer.frame, outer.source) == (OWN, 0, frame, OWN_IP)
    assert result.packet == frame  # what is left goes to the other port
    assert result.verdict == REDIRECT
    assert sorted(result.counted) == ["delivered", "flood_copies", "flood_copies", "sent_companion", "sent_companion"]


def test_unresolved_child_is_the_companions(switch: Switch) -> None:
    children = (hop(PEER, PEER_IP), hop(SILENT, "192.0.2.4"))
    switch.datapath.apply(replace(TABLES, trees={OWN: Tree(NO_PEER, children)}))
    result = switch.run(PORT, ethernet(BROADCAST, LOCAL_MAC, payload()))
    assert Outer.parse(result.packet).target == PEER_IP
    assert sorted(result.counted) == ["delivered", "flood_copies", "flood_copies", "sent_companion", "sent_fast"]


def test_child_that_cannot_carry_it_gets_no_copy(switch: Switch) -> None:
    children = (hop(PEER, PEER_IP, mtu=1000), hop(THIRD, THIRD_IP))
    switch.datapath.apply(replace(TABLES, trees={OWN: Tree(NO_PEER, children)}))
    result = switch.run(PORT, ethernet(GROUP_MAC, LOCAL_MAC, payload(1200)))
    assert result.dropped == ("too_big",)
    assert Outer.parse(result.packet).target == THIRD_IP


def test_tree_of_many_children(switch: Switch) -> None:
    children = tuple(hop(PEER, PEER_IP) for _ in range(64))
    switch.datapath.apply(replace(TABLES, trees={OWN: Tree(NO_PEER, children)}))
    result = switch.run(PORT, ethernet(GROUP_MAC, LOCAL_MAC, payload()))
    assert result.counted.count("flood_copies") == 64


def test_unknown_unicast_is_flooded(switch: Switch) -> None:
    frame = ethernet(UNKNOWN_MAC, LOCAL_MAC, payload())
    result = switch.run(PORT, frame)
    assert switch.hear(OTHER_PORT) == frame
    assert result.counted.count("flood_copies") == 2


def test_flood_without_peers_stays_here(switch: Switch) -> None:
    switch.datapath.apply(replace(TABLES, trees={}))
    frame = ethernet(BROADCAST, LOCAL_MAC, payload())
    result = switch.run(PORT, frame)
    assert (result.verdict, result.packet, result.counted) == (REDIRECT, frame, ("delivered",))


def test_flood_with_nobody_to_take_it(switch: Switch) -> None:
    switch.datapath.apply(replace(TABLES, trees={}))
    switch.datapath.remove_port(switch.ifindex(OTHER_PORT))
    try:
        result = switch.run(PORT, ethernet(BROADCAST, LOCAL_MAC, payload()))
    finally:
        switch.datapath.add_port(switch.ifindex(OTHER_PORT))
    assert (result.verdict, result.dropped) == (SHOT, ("no_receiver",))


def test_host_port_takes_part_in_floods_once_asked(switch: Switch) -> None:
    port = switch.ifindex(HOST_PORT)
    frame = ethernet(BROADCAST, LOCAL_MAC, payload())
    switch.datapath.add_port(port, host=True, flood=True)
    try:
        assert switch.run(PORT, frame).counted.count("delivered") == 2
        assert switch.hear(HOST_PORT) == frame
    finally:
        switch.datapath.add_port(port, host=True, flood=False)
    assert switch.run(PORT, frame).counted.count("delivered") == 1


def test_probe_goes_to_the_address_inside(switch: Switch) -> None:
    frame = encode(Probe(False, NAME, NAME, 5, MTU), UnderlayIp(OWN_IP), UnderlayIp(THIRD_IP), THIRD)
    result = switch.run(HOST_PORT, frame)
    outer = Outer.parse(result.packet)
    assert (result.verdict, result.counted) == (REDIRECT, ("sent_fast",))
    assert (outer.source, outer.target, outer.dont_fragment) == (OWN_IP, THIRD_IP, True)
    assert (outer.vni, outer.destination, outer.frame) == (OWN, THIRD, frame)
    assert decode(outer.frame).nonce == 5
    assert switch.datapath.fdb() == []


def test_probe_may_go_to_one_who_is_no_peer_yet(switch: Switch) -> None:
    frame = encode(Probe(True, NAME, NAME, 5, MTU), UnderlayIp(OWN_IP), UnderlayIp(STRANGER_IP))
    assert Outer.parse(switch.run(HOST_PORT, frame).packet).target == STRANGER_IP


def test_probe_larger_than_the_nic_carries_is_dropped(switch: Switch) -> None:
    frame = encode(Probe(False, NAME, NAME, 5, MTU + 1), UnderlayIp(OWN_IP), UnderlayIp(PEER_IP))
    result = switch.run(HOST_PORT, frame)
    assert (result.verdict, result.dropped) == (SHOT, ("too_big",))


def test_probe_to_nowhere_is_dropped(switch: Switch) -> None:
    frame = encode(Probe(True, NAME, NAME, 5, MTU), UnderlayIp(OWN_IP), UnderlayIp("198.51.100.1"))
    assert switch.run(HOST_PORT, frame).dropped == ("no_underlay",)


def test_container_cannot_send_probes(switch: Switch) -> None:
    frame = encode(Probe(True, NAME, NAME, 5, MTU), UnderlayIp(OWN_IP), UnderlayIp(PEER_IP))
    result = switch.run(PORT, frame)
    assert (result.verdict, result.dropped) == (SHOT, ("forged_probe",))


def test_nothing_goes_to_a_missing_companion(switch: Switch) -> None:
    learn_remote(switch)
    companion = switch.ifindex(COMPANION)
    switch.datapath.detach(companion)
    try:
        assert switch.run(PORT, ethernet(REMOTE_MAC, LOCAL_MAC, bytes(28), ARP)).dropped == ("no_companion",)
    finally:
        switch.datapath.attach_companion(companion)


def test_aged_mac_is_unknown(switch: Switch) -> None:
    learn_remote(switch)
    assert switch.datapath.sweep(max_age=60.0) == 0
    assert switch.datapath.sweep(max_age=0.0) == 2
    assert switch.run(PORT, ethernet(REMOTE_MAC, LOCAL_MAC, payload())).counted.count("flood_copies") == 2
