"""What guarded ports may send and what not, kind by kind; and that there is no way around."""

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest

from ripstop.kernel import abi
from ripstop.kernel.abi import GuardFlags
from ripstop.kernel.guards import Guard, link_local
from tests.bpf.packets import (
    ARP,
    BROADCAST,
    FOREIGN,
    ICMP,
    ICMPV6,
    IGMP,
    IPV4,
    IPV6,
    TCP,
    UDP,
    VLAN,
    ethernet,
    extension,
    group_mac,
    ipv4,
    ipv6,
    mac,
    tcp,
    udp,
)
from tests.bpf.switch import OTHER_PORT, PORT, SHOT, Switch
from tests.bpf.tables import LOCAL_MAC, OTHER_MAC
from tests.e2e.polling import eventually

ALL = GuardFlags.MAC | GuardFlags.IP | GuardFlags.ROUTER | GuardFlags.DHCP
OWN, SECOND, FOREIGN_IP, ANY = "10.32.0.1", "192.168.7.7", "10.32.0.2", "0.0.0.0"
OWN6, FOREIGN6, NOBODY = "2001:db8::5", "2001:db8::6", "::"
LINK, FOREIGN_LINK = str(link_local(LOCAL_MAC)), str(link_local(OTHER_MAC))
ADDRESSES = (IPv4Address(OWN), IPv4Address(SECOND), IPv6Address(OWN6))
GUARD = Guard(ALL, LOCAL_MAC, ADDRESSES)
ALL_NODES, ALL_ROUTERS = "ff02::1", "ff02::2"
ROUTER_SOLICIT, ROUTER_ADVERT, SOLICIT, ADVERT, REDIRECT, MLD_REPORT, ECHO = 133, 134, 135, 136, 137, 143, 128
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, OPTIONS = 0, 43, 44, 51, 60
MORE = 1  # fragments follow
DHCP_SERVER, DHCP_CLIENT, DHCP6_CLIENT, DHCP6_SERVER = 67, 68, 546, 547


@pytest.fixture
def guarded(switch: Switch) -> Iterator[Switch]:
    """The switch, with a full guard on PORT."""
    with switch.guarded(GUARD):
        yield switch


def frame(payload: bytes, ethertype: int = 0x0800, source: str = LOCAL_MAC, target: str = BROADCAST) -> bytes:
    return ethernet(target, source, payload, ethertype)


def arp(
    sender: str, sender_ip: str, target_ip: str = FOREIGN_IP, *, operation: int = 1, head: str = "0001080006"
) -> bytes:
    body = mac(sender) + IPv4Address(sender_ip).packed + bytes(6) + IPv4Address(target_ip).packed
    return frame(bytes.fromhex(head + "04") + operation.to_bytes(2) + body, ARP)


def v4(
    source: str, payload: bytes = udp(1000, 2000), *, protocol: int = UDP, fragment: int = 0, options: int = 0
) -> bytes:
    return frame(ipv4(source, FOREIGN_IP, payload, protocol=protocol, fragment=fragment, options=options))


def v6(source: str, payload: bytes, *, next_header: int = ICMPV6, target: str = ALL_NODES) -> bytes:
    return frame(ipv6(source, target, payload, next_header=next_header), IPV6, target=group_mac(target))


def icmp6(kind: int, body: bytes = bytes(4)) -> bytes:
    return bytes([kind, 0, 0, 0]) + body


def option(kind: int, address: str, size: int = 1) -> bytes:
    """An option of neighbor discovery: 1 has the sender's link-layer address, 2 the target's."""
    return bytes([kind, size]) + mac(address)


def neighbor(kind: int, target: str, options: bytes = b"") -> bytes:
    return icmp6(kind, bytes(4) + IPv6Address(target).packed + options)


def piece(next_header: int, payload: bytes, offset: int = 0, more: int = MORE) -> bytes:
    """A fragment header before a payload; the offset is in bytes."""
    return struct.pack("!BBHI", next_header, 0, offset | more, 7) + payload


ADVERTISEMENT = icmp6(ROUTER_ADVERT, bytes(12) + option(1, LOCAL_MAC))
LEGAL = {
    "udp": v4(OWN),
    "tcp": v4(OWN, tcp(1000, 80), protocol=TCP),
    "second address": v4(SECOND),
    "options": v4(OWN, options=8),
    "ping": v4(OWN, bytes([8, 0, 0, 0, 0, 0, 0, 0]), protocol=ICMP),
    "fragment": v4(OWN, bytes(64), fragment=0x2005),
    "igmp": v4(OWN, bytes(8), protocol=IGMP, options=4),
    "igmp without an address": v4(ANY, bytes(8), protocol=IGMP, options=4),
    "dhcp client": v4(ANY, udp(DHCP_CLIENT, DHCP_SERVER, bytes(240))),
    "dhcp renewal": v4(OWN, udp(DHCP_CLIENT, DHCP_SERVER, bytes(240))),
    "arp request": arp(LOCAL_MAC, OWN),
    "arp reply": arp(LOCAL_MAC, SECOND, operation=2),
    "arp probe": arp(LOCAL_MAC, ANY, OWN),
    "arp announcement": arp(LOCAL_MAC, OWN, OWN),
    "v6 link-local": v6(LINK, icmp6(ECHO)),
    "v6 global": v6(OWN6, icmp6(ECHO)),
    "v6 udp": v6(OWN6, udp(1000, 2000), next_header=UDP),
    "v6 tcp": v6(OWN6, tcp(1000, 2000), next_header=TCP),
    "v6 options": v6(OWN6, extension(OPTIONS, extension(UDP, udp(1000, 2000))), next_header=HOP_BY_HOP),
    "v6 fragment": v6(OWN6, piece(UDP, udp(1000, 2000, bytes(48))), next_header=FRAGMENT),
    "v6 later fragment": v6(OWN6, piece(ICMPV6, ADVERTISEMENT, 1280, 0), next_header=FRAGMENT),
    "v6 echo in fragments": v6(OWN6, piece(ICMPV6, icmp6(ECHO, bytes(44))), next_header=FRAGMENT),
    "v6 unknown protocol": v6(OWN6, bytes(8), next_header=253),
    "v6 nothing": v6(OWN6, b"", next_header=59),
    "duplicate address detection": v6(NOBODY, neighbor(SOLICIT, LINK), target=ALL_NODES),
    "the same with a nonce": v6(NOBODY, neighbor(SOLICIT, OWN6, bytes([14, 1]) + bytes(6))),
    "router solicitation": v6(LINK, icmp6(ROUTER_SOLICIT, bytes(4) + option(1, LOCAL_MAC)), target=ALL_ROUTERS),
    "the same without an address": v6(NOBODY, icmp6(ROUTER_SOLICIT), target=ALL_ROUTERS),
    "neighbor solicitation": v6(LINK, neighbor(SOLICIT, FOREIGN_LINK, option(1, LOCAL_MAC))),
    "neighbor advertisement": v6(LINK, neighbor(ADVERT, OWN6, option(2, LOCAL_MAC))),
    "mld": v6(LINK, extension(ICMPV6, icmp6(MLD_REPORT)), next_header=HOP_BY_HOP),
    "mld without an address": v6(NOBODY, extension(ICMPV6, icmp6(MLD_REPORT)), next_header=HOP_BY_HOP),
    "dhcpv6 client": v6(LINK, udp(DHCP6_CLIENT, DHCP6_SERVER, bytes(8)), next_header=UDP),
}
BREACHES = {
    "spoofed_mac": {
        "other": frame(ipv4(OWN, FOREIGN_IP, udp(1, 2)), source=OTHER_MAC),
        "own type": frame(bytes(46), FOREIGN, source=OTHER_MAC),
        "nothing": ethernet(BROADCAST, "00:00:00:00:00:00", bytes(46)),
    },
    "spoofed_ip": {
        "foreign": v4(FOREIGN_IP),
        "broadcast": v4("255.255.255.255"),
        "none": v4(ANY),
        "none, in a fragment": v4(ANY, bytes(64), fragment=0x2005),
        "fragment": v4(FOREIGN_IP, bytes(64), fragment=0x2005),
        "options": v4(FOREIGN_IP, options=40),
        "igmp": v4(FOREIGN_IP, bytes(8), protocol=IGMP),
        "dhcp client": v4(FOREIGN_IP, udp(DHCP_CLIENT, DHCP_SERVER)),
        "v6": v6(FOREIGN6, icmp6(ECHO)),
        "v6 link-local": v6(FOREIGN_LINK, icmp6(ECHO)),
        "v6 none": v6(NOBODY, icmp6(ECHO)),
        "v6 none, udp": v6(NOBODY, udp(1, 2), next_header=UDP),
        "v6 options": v6(FOREIGN6, extension(UDP, udp(1, 2)), next_header=HOP_BY_HOP),
        "v6 fragment": v6(FOREIGN6, piece(UDP, bytes(64), 1280), next_header=FRAGMENT),
        "v6 solicitation": v6(FOREIGN_LINK, neighbor(SOLICIT, LINK, option(1, LOCAL_MAC))),
        "v6 mld": v6(FOREIGN_LINK, extension(ICMPV6, icmp6(MLD_REPORT)), next_header=HOP_BY_HOP),
    },
    "spoofed_arp": {
        "hardware address": arp(OTHER_MAC, OWN),
        "address": arp(LOCAL_MAC, FOREIGN_IP),
        "reply": arp(LOCAL_MAC, FOREIGN_IP, operation=2),
        "announcement": arp(LOCAL_MAC, FOREIGN_IP, FOREIGN_IP),
        "probe": arp(LOCAL_MAC, ANY, FOREIGN_IP),
        "reply of nobody": arp(LOCAL_MAC, ANY, OWN, operation=2),
        "of IEEE 802": arp(LOCAL_MAC, OWN, head="0006080006"),
        "of IPv6": arp(LOCAL_MAC, OWN, head="000186dd06"),
        "sizes": arp(LOCAL_MAC, OWN, head="0001080007"),
        "short": frame(bytes.fromhex("0001080006040001"), ARP),
    },
    "spoofed_nd": {
        "target": v6(LINK, neighbor(ADVERT, FOREIGN_LINK, option(2, LOCAL_MAC))),
        "target link": v6(LINK, neighbor(ADVERT, LINK, option(2, OTHER_MAC))),
        "source link": v6(LINK, neighbor(SOLICIT, FOREIGN_LINK, option(1, OTHER_MAC))),
        "second option": v6(LINK, neighbor(SOLICIT, FOREIGN_LINK, bytes([14, 1]) + bytes(6) + option(1, OTHER_MAC))),
        "large option": v6(LINK, neighbor(SOLICIT, FOREIGN_LINK, option(1, LOCAL_MAC, 2) + bytes(8))),
        "endless option": v6(LINK, neighbor(SOLICIT, FOREIGN_LINK, option(14, LOCAL_MAC, 0))),
        "cut option": v6(LINK, neighbor(SOLICIT, FOREIGN_LINK, option(1, LOCAL_MAC)[:6])),
        "many options": v6(LINK, neighbor(SOLICIT, FOREIGN_LINK, option(14, OTHER_MAC) * 9)),
        "router solicitation": v6(LINK, icmp6(ROUTER_SOLICIT, bytes(4) + option(1, OTHER_MAC))),
        "whose duplicate": v6(NOBODY, neighbor(SOLICIT, FOREIGN_LINK)),
        "no target": v6(LINK, neighbor(ADVERT, NOBODY)),
        "cut": v6(LINK, icmp6(ADVERT, bytes(8))),
        "options before": v6(LINK, extension(ICMPV6, neighbor(ADVERT, FOREIGN_LINK)), next_header=OPTIONS),
        "fragment": v6(LINK, piece(ICMPV6, neighbor(ADVERT, LINK)), next_header=FRAGMENT),
        "whole fragment": v6(LINK, piece(ICMPV6, neighbor(ADVERT, LINK), more=0), next_header=FRAGMENT),
    },
    "rogue_router": {
        "advertisement": v6(LINK, ADVERTISEMENT),
        "spoofed": v6(FOREIGN_LINK, ADVERTISEMENT),
        "options before": v6(LINK, extension(OPTIONS, extension(ICMPV6, ADVERTISEMENT)), next_header=HOP_BY_HOP),
        "routing before": v6(LINK, extension(ICMPV6, ADVERTISEMENT, size=24), next_header=ROUTING),
        "authentication before": v6(
            LINK, bytes([ICMPV6, 4]) + bytes(22) + ADVERTISEMENT, next_header=AUTHENTICATION
        ),
        "fragment": v6(LINK, piece(ICMPV6, ADVERTISEMENT), next_header=FRAGMENT),
        "options in a fragment": v6(LINK, piece(OPTIONS, extension(ICMPV6, ADVERTISEMENT)), next_header=FRAGMENT),
        "to one": frame(ipv6(LINK, FOREIGN_LINK, ADVERTISEMENT, next_header=ICMPV6), IPV6, target=OTHER_MAC),
        "ICMP": v4(OWN, bytes([9, 0]) + bytes(14), protocol=ICMP),
    },
    "rogue_redirect": {
        "ICMPv6": v6(LINK, icmp6(REDIRECT, bytes(36) + option(2, OTHER_MAC))),
        "ICMP": v4(OWN, bytes([5, 1]) + bytes(34), protocol=ICMP),
        "first fragment": v4(OWN, bytes([5, 1]) + bytes(62), protocol=ICMP, fragment=0x2000),
    },
    "rogue_dhcp": {
        "offer": v4(OWN, udp(DHCP_SERVER, DHCP_CLIENT, bytes(240))),
        "from another port": v4(OWN, udp(4711, DHCP_CLIENT, bytes(240))),
        "of nobody": v4(ANY, udp(DHCP_SERVER, DHCP_CLIENT, bytes(240))),
        "options": v4(OWN, udp(DHCP_SERVER, DHCP_CLIENT, bytes(240)), options=40),
        "first fragment": v4(OWN, udp(DHCP_SERVER, DHCP_CLIENT, bytes(240)), fragment=0x2000),
        "dhcpv6": v6(LINK, udp(DHCP6_SERVER, DHCP6_CLIENT, bytes(8)), next_header=UDP),
        "dhcpv6 in a fragment": v6(LINK, piece(UDP, udp(DHCP6_SERVER, DHCP6_CLIENT, bytes(48))), next_header=FRAGMENT),
        "dhcpv6 behind options": v6(
            LINK, extension(UDP, udp(DHCP6_SERVER, DHCP6_CLIENT, bytes(8))), next_header=OPTIONS
        ),
    },
    "unguarded_type": {
        "own type": frame(bytes(46), FOREIGN),
        "VLAN": frame(bytes.fromhex("00050800") + ipv4(OWN, FOREIGN_IP, udp(1, 2)), VLAN),
        "VLAN 0": frame(bytes.fromhex("000086dd") + ipv6(LINK, ALL_NODES, ADVERTISEMENT, next_header=ICMPV6), VLAN),
        "VLAN 0 twice": frame(bytes.fromhex("000081000000080645") + bytes(40), 0x88A8),
        "reverse ARP": frame(bytes(28), 0x8035),
        "LLC and SNAP": frame(bytes.fromhex("aaaa0300000086dd") + ipv6(LINK, ALL_NODES, ADVERTISEMENT), 0x0068),
    },
    "hidden_header": {
        "v4 of version 6": frame(b"\x65" + ipv4(OWN, FOREIGN_IP, udp(1, 2))[1:]),
        "v6 of version 4": frame(b"\x45" + ipv6(OWN6, FOREIGN6, bytes(8))[1:], IPV6),
        "short header": frame(b"\x44" + ipv4(OWN, FOREIGN_IP, udp(1, 2))[1:]),
        "no UDP header": v4(OWN, b"\0C"),
        "UDP header behind the end": v4(OWN, b"\0C") + b"\0D" + bytes(20),
        "no v6 UDP header": v6(OWN6, b"\0\1", next_header=UDP),
        "no ICMPv6 type": v6(OWN6, b""),
        "type behind the end": v6(OWN6, b"") + icmp6(ECHO, bytes(40)),
        "cut extension": v6(OWN6, b"\x3a", next_header=OPTIONS),
        "long extension": v6(OWN6, bytes([ICMPV6, 255]) + bytes(14), next_header=OPTIONS),
        "headers behind the end": v6(OWN6, piece(OPTIONS, b""), next_header=FRAGMENT) + extension(TCP, tcp(1, 2)),
        "type in the next fragment": v6(OWN6, piece(OPTIONS, extension(ICMPV6, b"")), next_header=FRAGMENT)
        + icmp6(ECHO, bytes(40)),
        "fragment of a fragment": v6(
            OWN6, piece(FRAGMENT, piece(ICMPV6, ADVERTISEMENT, 8)), next_header=FRAGMENT
        ),
        "too many": v6(
            OWN6,
            b"".join([extension(OPTIONS, b"")] * 8) + extension(ICMPV6, ADVERTISEMENT),
            next_header=OPTIONS,
        ),
    },
}  # fmt: skip
CASES = [(reason, name) for reason, found in BREACHES.items() for name in found]


def stopped(switch: Switch) -> dict[str, int]:
    return switch.datapath.guards.stopped()[switch.ifindex(PORT)]


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_its_own_passes(guarded: Switch, name: str) -> None:
    result = guarded.run(PORT, LEGAL[name])
    assert result.dropped in ((), ("no_member",), ("no_route",))
    assert stopped(guarded) == {}
    assert LOCAL_MAC in {entry.mac for entry in guarded.datapath.fdb()}


@pytest.mark.parametrize(("reason", "name"), CASES)
def test_what_is_not_is_stopped_and_counted(guarded: Switch, reason: str, name: str) -> None:
    result = guarded.run(PORT, BREACHES[reason][name])
    assert (result.verdict, result.dropped, result.counted) == (SHOT, (reason,), ())
    assert stopped(guarded) == {reason: 1}
    assert guarded.datapath.fdb() == []  # nothing was learnt of it


@pytest.mark.parametrize(("reason", "name"), CASES)
def test_unguarded_ports_send_all_of_it(guarded: Switch, reason: str, name: str) -> None:
    dropped = guarded.run(OTHER_PORT, BREACHES[reason][name]).dropped
    assert dropped in ((), ("no_member",), ("bad_source",), ("short_frame",))


def test_a_short_frame_is_stopped(guarded: Switch) -> None:
    assert guarded.run(PORT, bytes(14)).dropped == ("spoofed_mac",)


@pytest.mark.parametrize(
    ("flags", "passing"),
    [
        (GuardFlags.MAC, {"spoofed_ip", "spoofed_arp", "spoofed_nd", "rogue_router", "rogue_redirect", "rogue_dhcp",
                          "unguarded_type", "hidden_header"}),
        (GuardFlags.ROUTER, {"spoofed_mac", "spoofed_ip", "spoofed_arp", "spoofed_nd", "rogue_dhcp"}),
        (GuardFlags.DHCP, {"spoofed_mac", "spoofed_ip", "spoofed_arp", "spoofed_nd", "rogue_router", "rogue_redirect"}),
        (ALL & ~GuardFlags.MAC, set()),
    ],
)  # fmt: skip
def test_each_guard_is_one_of_its_own(switch: Switch, flags: GuardFlags, passing: set[str]) -> None:
    with switch.guarded(Guard(flags, LOCAL_MAC, ADDRESSES)):
        for reason, name in CASES:
            if reason == "spoofed_mac":
                continue
            dropped = switch.run(PORT, BREACHES[reason][name]).dropped
            assert dropped == (() if reason in passing else (reason,)) or "no_member" in dropped, name
            assert passing.isdisjoint(stopped(switch)), name


def test_a_router_still_has_its_own_address(switch: Switch) -> None:
    flags = GuardFlags.MAC | GuardFlags.IP
    with switch.guarded(Guard(flags, LOCAL_MAC, ADDRESSES)):
        assert switch.run(PORT, v6(LINK, ADVERTISEMENT)).dropped == ()
        lie = icmp6(ROUTER_ADVERT, bytes(12) + option(1, OTHER_MAC))
        assert switch.run(PORT, v6(LINK, lie)).dropped == ("spoofed_nd",)
        assert switch.run(PORT, v6(FOREIGN_LINK, ADVERTISEMENT)).dropped == ("spoofed_ip",)
        assert switch.run(PORT, BREACHES["rogue_redirect"]["ICMPv6"]).dropped == ()


def test_segments_are_judged_as_what_they_are_made_of(guarded: Switch) -> None:
    guarded.run(OTHER_PORT, ethernet(LOCAL_MAC, OTHER_MAC, ipv4(FOREIGN_IP, OWN, udp(1, 2))))  # so that none is a flood
    for source, dropped in ((OWN, ()), (FOREIGN_IP, ("spoofed_ip",))):
        segments = frame(ipv4(source, FOREIGN_IP, tcp(1, 2, bytes(3000)), protocol=TCP), target=OTHER_MAC)
        assert guarded.run(PORT, segments, gso_size=1400).dropped == dropped
    datagrams = frame(ipv4(OWN, FOREIGN_IP, udp(DHCP_SERVER, DHCP_CLIENT, bytes(3000))))
    assert guarded.run(PORT, datagrams, gso_size=1400).dropped == ("rogue_dhcp",)


@pytest.mark.parametrize("short", [ipv4(OWN, FOREIGN_IP, b"")[:16], ipv6(OWN6, FOREIGN6, b"")[:36]], ids=["v4", "v6"])
def test_cut_headers_are_stopped(guarded: Switch, short: bytes) -> None:
    guarded.send(frame(short, IPV6 if len(short) > 20 else IPV4), PORT)  # the kernel does not try such frames out
    eventually(lambda: stopped(guarded) == {"hidden_header": 1})


def test_a_changed_guard_holds_for_the_next_frame_and_keeps_its_counts(guarded: Switch) -> None:
    port = guarded.ifindex(PORT)
    allowing = Guard(ALL, LOCAL_MAC, (*ADDRESSES, IPv4Address(FOREIGN_IP)))
    for number in range(1, 11):
        assert guarded.run(PORT, v4(FOREIGN_IP)).dropped == ("spoofed_ip",)
        guarded.datapath.add_port(port, guard=allowing)
        assert guarded.run(PORT, v4(FOREIGN_IP)).dropped == ()
        guarded.datapath.add_port(port, guard=GUARD)
        assert stopped(guarded) == {"spoofed_ip": number}


def test_a_guarded_port_of_which_nothing_is_known_sends_nothing(guarded: Switch) -> None:
    guarded.datapath.guards.keep(())
    assert guarded.run(PORT, v4(OWN)).dropped == ("no_guard",)


def test_a_port_that_is_guarded_no_longer_leaves_nothing(switch: Switch) -> None:
    with switch.guarded(GUARD):
        assert switch.ifindex(PORT) in switch.datapath.guards.stopped()
    assert switch.datapath.guards.stopped() == {}
    assert switch.run(PORT, v4(FOREIGN_IP)).dropped == ()


def test_every_place_for_an_address_counts(switch: Switch) -> None:
    v4s = [IPv4Address(f"10.32.1.{last}") for last in range(1, abi.GUARDED_V4 + 1)]
    v6s = [IPv6Address(f"2001:db8::{last}") for last in range(1, abi.GUARDED_V6)]
    with switch.guarded(Guard(ALL, LOCAL_MAC, (*v4s, *v6s))):
        for address in map(str, v4s):
            assert switch.run(PORT, v4(address)).dropped == ()
        for address in map(str, (*v6s, LINK)):
            assert switch.run(PORT, v6(address, icmp6(ECHO))).dropped == ()
        assert switch.run(PORT, v4("10.32.1.17")).dropped == ("spoofed_ip",)
        assert switch.run(PORT, v6("2001:db8::8", icmp6(ECHO))).dropped == ("spoofed_ip",)


def group_v4(payload: bytes = udp(1000, 2000), *, group: str = "239.1.2.3", protocol: int = UDP) -> bytes:
    return frame(ipv4(OWN, group, payload, protocol=protocol), target=group_mac(group))


ABOUT_GROUPS = ("igmp", "igmp without an address", "mld", "mld without an address")
TO_GROUPS = {
    "v4": group_v4(),
    "v4 to one station": frame(ipv4(OWN, "239.1.2.3", udp(1, 2)), target=OTHER_MAC),
    "v4 whose MAC address is one of the link": frame(ipv4(OWN, "239.0.0.5", udp(1, 2)), target="01:00:5e:00:00:05"),
    "v4 fragment": frame(ipv4(OWN, "239.1.2.3", bytes(64), fragment=0x2005), target=group_mac("239.1.2.3")),
    "v6": v6(OWN6, udp(1, 2), next_header=UDP, target="ff05::7"),
    "v6 options": v6(OWN6, extension(UDP, udp(1, 2)), next_header=HOP_BY_HOP, target="ff3e::7"),
    "v6 fragment": v6(OWN6, piece(UDP, bytes(64), 1280), next_header=FRAGMENT, target="ff0e::7"),
    "pim": group_v4(bytes(8), group="224.0.0.13", protocol=103),
    "pim v6": v6(LINK, bytes(8), next_header=103, target="ff02::d"),
    "igmp query": group_v4(bytes([0x11, 0]) + bytes(6), group="224.0.0.1", protocol=IGMP),
    "mld query": v6(LINK, extension(ICMPV6, icmp6(130, bytes(20))), next_header=HOP_BY_HOP),
    "mld in a fragment": v6(LINK, piece(ICMPV6, icmp6(MLD_REPORT)), next_header=FRAGMENT),
    **{name: LEGAL[name] for name in ABOUT_GROUPS},
}  # fmt: skip


@pytest.mark.parametrize("name", TO_GROUPS)
def test_a_port_without_multicast_has_no_part_in_groups(switch: Switch, name: str) -> None:
    with switch.guarded(Guard(ALL | GuardFlags.MULTICAST, LOCAL_MAC, ADDRESSES)):
        assert switch.run(PORT, TO_GROUPS[name]).dropped == ("multicast_off",)
        assert stopped(switch) == {"multicast_off": 1}


@pytest.mark.parametrize("name", [name for name in LEGAL if name not in ABOUT_GROUPS])
def test_and_all_else_as_before(switch: Switch, name: str) -> None:
    with switch.guarded(Guard(ALL | GuardFlags.MULTICAST, LOCAL_MAC, ADDRESSES)):
        assert switch.run(PORT, LEGAL[name]).dropped == ()


@pytest.mark.parametrize("group", ["224.0.0.251", "ff02::fb"])
def test_groups_of_the_link_are_broadcast(switch: Switch, group: str) -> None:
    with switch.guarded(Guard(ALL | GuardFlags.MULTICAST, LOCAL_MAC, ADDRESSES)):
        to_all = v6(OWN6, udp(1, 2), next_header=UDP, target=group) if ":" in group else group_v4(group=group)
        assert switch.run(PORT, to_all).dropped == ()
