"""Groups under snooping: who gets what a port sends, and what comes along a tree."""

import os
import time
from dataclasses import replace

import pytest

from ripstop.core.multicast.tables import Selector
from ripstop.core.names import NO_PEER, PortId, ShortId
from ripstop.core.overlay.forwarding import Tree
from tests.bpf.membership import (
    GROUP,
    GROUP6,
    OTHER_SOURCE,
    SOURCE,
    SOURCE6,
    TWIN,
    branch,
    far_takers,
    frame_to,
    join,
    selector,
    takers,
)
from tests.bpf.packets import (
    ARP,
    BROADCAST,
    FOREIGN,
    IPV6,
    VLAN,
    Outer,
    ethernet,
    extension,
    group_mac,
    ipv4,
    ipv6,
    udp,
)
from tests.bpf.switch import OTHER_PORT, PEER_IP, PORT, REDIRECT, SHOT, THIRD_IP, UNDERLAY, UNSPEC, Switch
from tests.bpf.tables import (
    FAR,
    LOCAL_MAC,
    MTU,
    OWN,
    PEER,
    REMOTE_MAC,
    SILENT,
    TABLES,
    THIRD,
    TO_PEER,
    TO_THIRD,
    arrival,
    hop,
    payload,
)

CLOCK_MONOTONIC_COARSE = 6  # linux/time.h
EVERYBODY = [PEER_IP, THIRD_IP, OTHER_PORT]
REMOTE = frame_to(mac=REMOTE_MAC)


@pytest.fixture
def snooping(switch: Switch) -> Switch:
    """The switch with snooping on."""
    switch.datapath.use_snooping(True)
    return switch


def test_without_snooping_groups_flood(switch: Switch) -> None:
    join(switch, ())
    assert takers(switch, frame_to()) == EVERYBODY


@pytest.mark.parametrize("group", [GROUP, GROUP6])
def test_nobody_joined(snooping: Switch, group: str) -> None:
    result = snooping.run(PORT, frame_to(group))
    assert (result.verdict, result.dropped, result.counted) == (SHOT, ("no_member",), ())


@pytest.mark.parametrize("group", [GROUP, GROUP6])
def test_members_get_it_and_nobody_else(snooping: Switch, group: str) -> None:
    join(snooping, [OTHER_PORT], group)
    assert takers(snooping, frame_to(group)) == [OTHER_PORT]
    branch(snooping, [THIRD], group)
    assert takers(snooping, frame_to(group)) == [THIRD_IP, OTHER_PORT]
    join(snooping, [], group)
    assert takers(snooping, frame_to(group)) == [THIRD_IP]
    branch(snooping, [PEER, THIRD], group)
    assert takers(snooping, frame_to(group)) == [PEER_IP, THIRD_IP]


def test_sender_gets_no_copy(snooping: Switch) -> None:
    join(snooping, [PORT, OTHER_PORT])
    assert takers(snooping, frame_to()) == [OTHER_PORT]
    join(snooping, [PORT])
    assert snooping.run(PORT, frame_to()).dropped == ("no_member",)


def test_groups_that_share_a_mac_are_told_apart(snooping: Switch) -> None:
    assert group_mac(GROUP) == group_mac(TWIN)
    join(snooping, [OTHER_PORT])
    branch(snooping, [PEER], TWIN)
    for _ in range(5):  # within one tick, in which decisions are believed
        assert snooping.run(PORT, frame_to()).counted == ("delivered",)
        assert snooping.run(PORT, frame_to(TWIN)).counted == ("sent_fast", "flood_copies")


@pytest.mark.parametrize(("group", "source", "other"), [(GROUP, SOURCE, OTHER_SOURCE), (GROUP6, SOURCE6, "fd00::2")])
def test_source_that_is_wanted(snooping: Switch, group: str, source: str, other: str) -> None:
    """INCLUDE: nobody wants any source but one."""
    join(snooping, [], group, by_source=True)
    branch(snooping, [], group, by_source=True)
    join(snooping, [OTHER_PORT], group, source)
    branch(snooping, [PEER], group, source)
    assert takers(snooping, frame_to(group, source)) == [PEER_IP, OTHER_PORT]
    assert snooping.run(PORT, frame_to(group, other)).dropped == ("no_member",)


def test_source_that_is_not_wanted(snooping: Switch) -> None:
    """EXCLUDE: one of the receivers wants all sources but one, on our side and behind us each."""
    join(snooping, [OTHER_PORT], by_source=True)
    branch(snooping, [PEER, THIRD], by_source=True)
    join(snooping, [], source=SOURCE)
    branch(snooping, [THIRD], source=SOURCE)
    assert takers(snooping, frame_to()) == [THIRD_IP]
    assert takers(snooping, frame_to(source=OTHER_SOURCE)) == EVERYBODY


def test_sources_count_only_where_the_group_says_so(snooping: Switch) -> None:
    join(snooping, [OTHER_PORT])
    join(snooping, [], source=SOURCE)
    branch(snooping, [THIRD])
    branch(snooping, [], source=SOURCE)
    assert takers(snooping, frame_to()) == [THIRD_IP, OTHER_PORT]


def test_routers_get_groups_without_an_entry(snooping: Switch) -> None:
    join(snooping, [OTHER_PORT], "")
    branch(snooping, [PEER], "")
    assert takers(snooping, frame_to()) == [PEER_IP, OTHER_PORT]
    join(snooping, [])
    assert takers(snooping, frame_to()) == [PEER_IP]
    branch(snooping, [THIRD])
    assert takers(snooping, frame_to()) == [THIRD_IP]


def test_unknown_group_floods_if_asked_to(snooping: Switch) -> None:
    snooping.datapath.use_snooping(True, flood_unknown=True)
    join(snooping, [OTHER_PORT], "")
    assert takers(snooping, frame_to()) == EVERYBODY
    assert far_takers(snooping, REMOTE) == [PEER_IP, PORT, OTHER_PORT]
    join(snooping, [])  # somebody on some host wants it
    assert snooping.run(PORT, frame_to()).dropped == ("no_member",)
    assert snooping.run(UNDERLAY, arrival(PEER, 0, REMOTE)).dropped == ("no_member",)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(frame_to("224.0.0.5"), id="OSPF"),
        pytest.param(frame_to("224.0.0.251"), id="mDNS"),
        pytest.param(frame_to("ff02::fb"), id="mDNS over IPv6"),
        pytest.param(frame_to("ff01::1"), id="interface-local"),
        pytest.param(frame_to("ff12::7"), id="transient, of the link"),
        pytest.param(ethernet(BROADCAST, LOCAL_MAC, payload()), id="broadcast"),
        pytest.param(ethernet(BROADCAST, LOCAL_MAC, ipv4(SOURCE, GROUP, udp(1, 2))), id="a group by broadcast"),
        pytest.param(ethernet(group_mac(GROUP), LOCAL_MAC, payload()), id="no group inside"),
        pytest.param(
            ethernet(group_mac(GROUP6), LOCAL_MAC, ipv6(SOURCE6, "fd00::2", udp(1, 2)), IPV6), id="none in IPv6"
        ),
        pytest.param(ethernet(group_mac(GROUP), LOCAL_MAC, b"\x65" + frame_to()[15:]), id="IPv4 of version 6"),
        pytest.param(ethernet(group_mac(GROUP), LOCAL_MAC, b"\x44" + frame_to()[15:]), id="IPv4 header of 16 bytes"),
    ],
)
def test_what_floods_all_the_same(snooping: Switch, frame: bytes) -> None:
    join(snooping, [])
    assert takers(snooping, frame) == EVERYBODY


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(ethernet(BROADCAST, LOCAL_MAC, bytes(28), ARP), id="ARP"),
        pytest.param(ethernet(group_mac(GROUP), LOCAL_MAC, bytes(46), FOREIGN), id="foreign EtherType"),
        pytest.param(ethernet(group_mac(GROUP), LOCAL_MAC, b"\0\5\x08\0" + frame_to()[14:], VLAN), id="VLAN tag"),
    ],
)
def test_what_is_no_ip_packet_floods(snooping: Switch, frame: bytes) -> None:
    assert sorted(snooping.run(PORT, frame).counted) == [
        "delivered", "flood_copies", "flood_copies", "sent_companion", "sent_companion",
    ]  # fmt: skip
    assert snooping.datapath.groups.read_snoops() == []


@pytest.mark.parametrize("frame", [frame_to()[:33], frame_to(GROUP6)[:53]])
def test_what_is_no_whole_ip_packet_floods(snooping: Switch, frame: bytes) -> None:
    assert OTHER_PORT in takers(snooping, frame)  # and peers, if the kernel's VXLAN device takes such a packet


@pytest.mark.parametrize(
    ("packet", "ethertype"),
    [
        pytest.param(ipv4(SOURCE, GROUP, bytes(64), fragment=0x2000), 0x0800, id="first fragment"),
        pytest.param(ipv4(SOURCE, GROUP, bytes(64), fragment=0x00B9), 0x0800, id="later fragment"),
        pytest.param(ipv4(SOURCE, GROUP, udp(1, 2), options=8), 0x0800, id="IPv4 options"),
        pytest.param(ipv4(SOURCE, GROUP, b""), 0x0800, id="nothing inside"),
        pytest.param(ipv4(SOURCE, GROUP, bytes(8), protocol=132), 0x0800, id="SCTP"),
        pytest.param(ipv6(SOURCE6, GROUP6, extension(17, udp(1, 2)), next_header=60), IPV6, id="IPv6 options"),
        pytest.param(ipv6(SOURCE6, GROUP6, extension(17, bytes(64)), next_header=44), IPV6, id="IPv6 fragment"),
        pytest.param(ipv6(SOURCE6, GROUP6, b"\x80\0" + bytes(6), next_header=58), IPV6, id="ping over IPv6"),
        pytest.param(ipv6(SOURCE6, GROUP6, b"", next_header=58), IPV6, id="ICMPv6 cut short"),
    ],
)
def test_every_packet_follows_its_group(snooping: Switch, packet: bytes, ethertype: int) -> None:
    group = GROUP6 if ethertype == IPV6 else GROUP
    branch(snooping, [THIRD], group)
    assert takers(snooping, ethernet(group_mac(group), LOCAL_MAC, packet, ethertype)) == [THIRD_IP]


def test_segments_go_through_the_companion_to_members_only(snooping: Switch) -> None:
    branch(snooping, [THIRD])
    frame = ethernet(group_mac(GROUP), LOCAL_MAC, ipv4(SOURCE, GROUP, udp(1, 2, bytes(3000))))
    result = snooping.run(PORT, frame, gso_size=1300)
    assert (result.verdict, result.counted) == (SHOT, ("sent_companion", "flood_copies"))


def test_child_that_cannot_carry_it_gets_no_copy(snooping: Switch) -> None:
    snooping.datapath.apply(replace(TABLES, trees={OWN: Tree(NO_PEER, (hop(PEER, PEER_IP, mtu=1000), TO_THIRD))}))
    branch(snooping, [PEER, THIRD])
    frame = ethernet(group_mac(GROUP), LOCAL_MAC, ipv4(SOURCE, GROUP, udp(1, 2, bytes(MTU - 28))))
    result = snooping.run(PORT, frame)
    assert (result.dropped, result.counted) == (("too_big",), ("sent_fast", "flood_copies"))


def test_each_frame_is_judged_by_its_own_size(snooping: Switch) -> None:
    """Also while the ways of the frame before are known: most of these follow within a tick of the clock."""
    snooping.datapath.apply(replace(TABLES, trees={OWN: Tree(NO_PEER, (hop(PEER, PEER_IP, mtu=1000), TO_THIRD))}))
    branch(snooping, [PEER, THIRD])
    large = ethernet(group_mac(GROUP), LOCAL_MAC, ipv4(SOURCE, GROUP, udp(1, 2, bytes(MTU - 28))))
    middle = ethernet(group_mac(GROUP), LOCAL_MAC, ipv4(SOURCE, GROUP, udp(1, 2, bytes(500))))
    for _ in range(20):
        assert snooping.run(PORT, large).counted == ("sent_fast", "flood_copies")
        for frame in (frame_to(), middle, frame_to()):
            result = snooping.run(PORT, frame)
            assert (result.dropped, result.counted) == ((), ("sent_fast",) * 2 + ("flood_copies",) * 2)
        assert snooping.run(PORT, large).dropped == ("too_big",)


def test_segments_between_packets_go_their_own_way(snooping: Switch) -> None:
    branch(snooping, [PEER, THIRD])
    segments = ethernet(group_mac(GROUP), LOCAL_MAC, ipv4(SOURCE, GROUP, udp(1, 2, bytes(3000))))
    for _ in range(20):
        assert snooping.run(PORT, frame_to()).counted.count("sent_fast") == 2
        assert snooping.run(PORT, segments, gso_size=1300).counted.count("sent_companion") == 2


def test_groups_in_turn_keep_their_ways(snooping: Switch) -> None:
    branch(snooping, [PEER])
    branch(snooping, [PEER, THIRD], TWIN)
    branch(snooping, [THIRD], GROUP6)
    for _ in range(20):
        assert takers(snooping, frame_to()) == [PEER_IP]
        assert takers(snooping, frame_to(TWIN)) == [PEER_IP, THIRD_IP]
        assert takers(snooping, frame_to(GROUP6)) == [THIRD_IP]


def test_change_counts_for_the_very_next_frame(snooping: Switch) -> None:
    for _ in range(20):
        join(snooping, [OTHER_PORT])
        assert snooping.run(PORT, frame_to()).counted == ("delivered",)
        join(snooping, [])
        assert snooping.run(PORT, frame_to()).dropped == ("no_member",)
        branch(snooping, [PEER])
        assert snooping.run(PORT, frame_to()).counted == ("sent_fast", "flood_copies")
        branch(snooping, [])
        snooping.datapath.groups.remove_receivers(selector())
        assert snooping.run(PORT, frame_to()).dropped == ("no_member",)


def test_changed_tree_takes_its_branches_with_it(snooping: Switch) -> None:
    branch(snooping, [THIRD])
    assert takers(snooping, frame_to()) == [THIRD_IP]
    turned = replace(TABLES, trees={**TABLES.trees, OWN: Tree(NO_PEER, (TO_THIRD, TO_PEER))})
    snooping.datapath.apply(turned)
    assert takers(snooping, frame_to()) == [THIRD_IP]
    snooping.datapath.apply(replace(TABLES, trees={OWN: Tree(NO_PEER, (TO_PEER,))}))
    assert snooping.run(PORT, frame_to()).dropped == ("no_member",)
    snooping.datapath.apply(TABLES)
    assert takers(snooping, frame_to()) == [THIRD_IP]


def test_branch_of_another_edition_of_the_tree_is_all_of_it(snooping: Switch) -> None:
    """What holds between the two writes of `apply`: the tree is new and the branch is not."""
    branch(snooping, [THIRD])
    branch(snooping, [], peer=FAR)
    with snooping.aged_branches():
        assert takers(snooping, frame_to()) == [PEER_IP, THIRD_IP]
        assert far_takers(snooping, REMOTE) == [PEER_IP]
    assert takers(snooping, frame_to()) == [THIRD_IP]


def test_many_receivers(snooping: Switch) -> None:
    with snooping.more_ports(12) as more:
        join(snooping, [PORT, OTHER_PORT, *more[2:]])
        result = snooping.run(PORT, frame_to())
        assert result.counted == ("delivered",) * 11
        assert snooping.hear(OTHER_PORT) == frame_to()
        assert takers(snooping, frame_to()) == [OTHER_PORT]
        branch(snooping, [PEER])
        assert takers(snooping, frame_to()) == [PEER_IP, OTHER_PORT]
        assert far_takers(snooping, REMOTE) == [PORT, OTHER_PORT]
        assert snooping.run(UNDERLAY, arrival(PEER, 0, REMOTE)).counted.count("delivered") == 12
        join(snooping, [PORT, *more[:9]])
        assert snooping.run(PORT, frame_to()).counted.count("delivered") == 9


def test_port_that_goes_takes_its_memberships_along(snooping: Switch) -> None:
    with snooping.more_ports(12) as more:
        join(snooping, more)
        join(snooping, more[:2], TWIN)
        for port in more[:3]:
            snooping.datapath.remove_port(snooping.ifindex(port))
        join(snooping, more[:2], GROUP6)  # said too late
        entries = snooping.datapath.groups.receivers()
        snooping.datapath.add_port(snooping.ifindex(more[2]))  # it gets a slot that was another's
        assert snooping.run(PORT, frame_to()).counted.count("delivered") == 9
        assert snooping.run(PORT, frame_to(TWIN)).dropped == snooping.run(PORT, frame_to(GROUP6)).dropped
    assert len(entries[selector()].ports) == 9
    assert entries[selector(TWIN)].ports == entries[selector(GROUP6)].ports == ()


def test_leaf_delivers_to_members(snooping: Switch) -> None:
    join(snooping, [OTHER_PORT])
    for _ in range(3):  # looked up, then believed
        result = snooping.run(UNDERLAY, arrival(PEER, 0, REMOTE, ttl=1))
        assert (result.verdict, result.packet, result.dropped) == (REDIRECT, REMOTE, ())
        assert sorted(result.counted) == ["delivered", "received_fast"]
    join(snooping, [PORT, OTHER_PORT])
    assert sorted(snooping.run(UNDERLAY, arrival(PEER, 0, REMOTE)).counted) == [
        "delivered", "delivered", "received_fast",
    ]  # fmt: skip
    assert snooping.hear(PORT) == REMOTE


def test_leaf_without_members_drops(snooping: Switch) -> None:
    for _ in range(3):
        result = snooping.run(UNDERLAY, arrival(PEER, 0, REMOTE))
        assert (result.verdict, result.dropped, result.counted) == (SHOT, ("no_member",), ("received_fast",))


@pytest.mark.parametrize("group", [GROUP, GROUP6])
def test_relay(snooping: Switch, group: str) -> None:
    frame = frame_to(group, mac=REMOTE_MAC)
    join(snooping, [PORT], group)
    assert far_takers(snooping, frame) == [PORT]
    branch(snooping, [PEER], group, peer=FAR)
    assert far_takers(snooping, frame) == [PEER_IP, PORT]
    assert far_takers(snooping, frame, ttl=1) == [PORT]
    join(snooping, [], group)
    assert far_takers(snooping, frame) == [PEER_IP]


def test_relay_alone_sends_the_packet_itself(snooping: Switch) -> None:
    branch(snooping, [PEER], peer=FAR)
    sent = arrival(FAR, 0, REMOTE, source=THIRD_IP, ttl=9)
    result = snooping.run(UNDERLAY, sent)
    outer = Outer.parse(result.packet)
    assert (outer.target, outer.ttl, outer.vni, outer.frame) == (PEER_IP, 8, FAR, REMOTE)
    assert sorted(result.counted) == ["flood_copies", "received_fast", "relayed_fast"]
    result = snooping.run(UNDERLAY, arrival(FAR, 0, REMOTE, source=THIRD_IP, ttl=1))
    assert (result.verdict, result.dropped) == (SHOT, ("ttl",))


def test_relay_that_the_fast_path_cannot_do_is_left_whole(snooping: Switch) -> None:
    children = (TO_PEER, hop(SILENT, "192.0.2.4"))
    snooping.datapath.apply(replace(TABLES, trees={FAR: Tree(THIRD, children)}))
    branch(snooping, [PEER], peer=FAR)
    packet = arrival(FAR, 0, REMOTE, source=THIRD_IP)
    assert snooping.run(UNDERLAY, packet).counted.count("relayed_fast") == 1  # it is not asked for
    branch(snooping, [SILENT], peer=FAR)
    assert snooping.run(UNDERLAY, packet).verdict == UNSPEC


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (arrival(OWN, 0, REMOTE), "loop"),
        (arrival(FAR, 0, REMOTE), "wrong_parent"),
        (arrival(SILENT, 0, REMOTE), "wrong_parent"),
        (arrival(PEER, 0, REMOTE, source="192.0.2.99"), "stranger"),
        (arrival(PEER, 99, REMOTE), "no_route"),
        (arrival(PEER, 0, frame_to(mac=group_mac(GROUP))), "bad_source"),
    ],
)
def test_guards_hold_for_groups_too(snooping: Switch, packet: bytes, reason: str) -> None:
    join(snooping, [PORT])
    snooping.run(UNDERLAY, arrival(PEER, 0, REMOTE))
    assert snooping.run(UNDERLAY, packet).dropped == (reason,)


def test_companion_delivers_and_relays_to_members(snooping: Switch) -> None:
    """With IP options outside, from_underlay leaves it to the VXLAN device."""
    join(snooping, [OTHER_PORT])
    assert slow_takers(snooping, REMOTE) == [OTHER_PORT]
    branch(snooping, [PEER], peer=FAR)
    assert slow_takers(snooping, REMOTE) == [PEER_IP, OTHER_PORT]
    join(snooping, [])
    assert slow_takers(snooping, REMOTE) == [PEER_IP]
    branch(snooping, [], peer=FAR)
    before = snooping.datapath.drops()["no_member"]
    assert slow_takers(snooping, REMOTE) == []
    assert snooping.datapath.drops()["no_member"] == before + 1


def slow_takers(switch: Switch, frame: bytes) -> list[str]:
    """As `far_takers`, by way of the companion."""
    return far_takers(switch, frame, options=4)


def test_streams_are_counted(snooping: Switch) -> None:
    group, unwanted = "239.192.98.1", "239.64.98.1"
    assert group_mac(group) == group_mac(unwanted)
    join(snooping, [OTHER_PORT], group)
    branch(snooping, [PEER, THIRD], group)
    frame, theirs = frame_to(group), frame_to(group, mac=REMOTE_MAC)
    for _ in range(5):
        snooping.run(PORT, frame)
        snooping.run(PORT, frame_to(unwanted))
        snooping.run(UNDERLAY, arrival(PEER, 0, theirs))
        snooping.run(PORT, frame_to("224.0.0.5"))
    port, streams = PortId(snooping.ifindex(PORT)), snooping.datapath.groups.streams()
    assert all(stream.age < 60 for stream in streams)
    counts = {
        (stream.selector, stream.port, stream.peer): (
            stream.packets, stream.bytes, stream.delivered, stream.sent, stream.dropped,
        )
        for stream in streams
    }  # fmt: skip
    assert counts[selector(group, SOURCE), port, NO_PEER] == (5, 5 * len(frame), 5, 10, 0)
    assert counts[selector(group, SOURCE), PortId(0), PEER] == (5, 5 * len(frame), 5, 0, 0)
    assert counts[selector(unwanted, SOURCE), port, NO_PEER] == (5, 5 * len(frame), 0, 0, 5)
    assert selector("224.0.0.5", SOURCE) not in {stream.selector for stream in streams}


def test_stream_that_stops_is_counted_to_its_end(snooping: Switch) -> None:
    group = "239.192.99.1"
    join(snooping, [OTHER_PORT], group)
    for sent in range(1, 30):
        snooping.run(PORT, frame_to(group))
        if not sent % 7:
            wait_for_tick()
        (stream,) = (s for s in snooping.datapath.groups.streams() if s.selector == selector(group, SOURCE))
        assert (stream.packets, stream.delivered, stream.dropped) == (sent, sent, 0)


def wait_for_tick() -> None:
    """Return once the coarse clock has moved on."""
    now = time.clock_gettime(CLOCK_MONOTONIC_COARSE)
    while time.clock_gettime(CLOCK_MONOTONIC_COARSE) == now:
        os.sched_yield()


def test_entries_are_read_back(snooping: Switch) -> None:
    join(snooping, [OTHER_PORT, PORT], GROUP, by_source=True)
    join(snooping, [PORT], GROUP6, SOURCE6)
    join(snooping, [], "")
    branch(snooping, [THIRD, PEER], by_source=True)
    branch(snooping, [PEER, SILENT], GROUP6, peer=FAR)
    groups = snooping.datapath.groups
    ports = sorted(snooping.ifindex(device) for device in (PORT, OTHER_PORT))
    assert {s: (r.ports, r.by_source) for s, r in groups.receivers().items()} == {
        selector(): (tuple(ports), True),
        selector(GROUP6, SOURCE6): ((snooping.ifindex(PORT),), False),
        Selector(b""): ((), False),
    }
    assert {key: (b.children, b.by_source) for key, b in groups.branches().items()} == {
        (OWN, selector()): ((PEER, THIRD), True),
        (FAR, selector(GROUP6)): ((PEER, SILENT), False),
    }


@pytest.mark.parametrize("peer", [OWN, ShortId(99)])
def test_branches_are_removed(snooping: Switch, peer: ShortId) -> None:
    branch(snooping, [THIRD], peer=peer)
    for _ in range(2):
        snooping.datapath.groups.remove_branches(peer, selector())
    assert snooping.datapath.groups.branches() == {}
    assert snooping.run(PORT, frame_to()).dropped == ("no_member",)
