"""Packets for the programs' tests, each layer a function: `ethernet(…, ipv4(…, udp(…)))`."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

ARP, IPV4, IPV6, VLAN, FOREIGN = 0x0806, 0x0800, 0x86DD, 0x8100, 0x88B5
ICMP, IGMP, TCP, UDP, ICMPV6, PIM = 1, 2, 6, 17, 58, 103
BROADCAST = "ff:ff:ff:ff:ff:ff"
VXLAN_PORT = 6784


def mac(text: str) -> bytes:
    """Return a MAC address as bytes."""
    return bytes.fromhex(text.replace(":", ""))


def ethernet(target: str, source: str, payload: bytes, ethertype: int = IPV4) -> bytes:
    """Return a frame."""
    return mac(target) + mac(source) + ethertype.to_bytes(2) + payload


def ipv4(
    source: str, target: str, payload: bytes, *, protocol: int = UDP, ttl: int = 64, fragment: int = 0, options: int = 0
) -> bytes:
    """Return an IPv4 packet with a right checksum; `fragment` is the flags and offset field."""
    size = 20 + options + len(payload)
    fields = (0x45 + options // 4, 0, size, 0, fragment, ttl, protocol)
    addresses = IPv4Address(source).packed, IPv4Address(target).packed
    padding = bytes([1]) * options  # the option that does nothing
    bare = struct.pack("!BBHHHBBH4s4s", *fields, 0, *addresses) + padding
    return struct.pack("!BBHHHBBH4s4s", *fields, checksum(bare), *addresses) + padding + payload


def ipv6(source: str, target: str, payload: bytes, *, next_header: int = UDP) -> bytes:
    """Return an IPv6 packet."""
    head = struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64)
    return head + IPv6Address(source).packed + IPv6Address(target).packed + payload


def extension(next_header: int, payload: bytes, *, size: int = 8) -> bytes:
    """Return a payload behind an IPv6 extension header of so many bytes, which asks routers to look."""
    return bytes([next_header, size // 8 - 1, 5, 2, 0, 0, 1, 0]) + bytes(size - 8) + payload


def group_mac(group: str) -> str:
    """Return the MAC address of a group: the same for 32 IPv4 groups (RFC 1112, section 6.4; RFC 2464, section 7)."""
    packed = ip_address(group).packed
    low = packed[-3:] if len(packed) == 4 else packed[-4:]
    bits = bytes([0x01, 0x00, 0x5E, low[0] & 0x7F, *low[1:]]) if len(packed) == 4 else b"\x33\x33" + low
    return bits.hex(":")


def to_group(group: str, source: str, source_mac: str, payload: bytes) -> bytes:
    """Return a frame with a UDP datagram to a group."""
    if ":" in group:
        return ethernet(group_mac(group), source_mac, ipv6(source, group, udp(7, 7, payload)), IPV6)
    return ethernet(group_mac(group), source_mac, ipv4(source, group, udp(7, 7, payload)))


def udp(source: int, target: int, payload: bytes = b"") -> bytes:
    """Return a UDP datagram without a checksum."""
    return struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


def tcp(source: int, target: int, payload: bytes = b"") -> bytes:
    """Return a TCP segment without options."""
    return struct.pack("!HHIIBBHHH", source, target, 1, 1, 5 << 4, 0x10, 1024, 0, 0) + payload


def vxlan(vni: int, destination: int, frame: bytes, *, flags: int = 0x88, policy: int = 0, reserved: int = 0) -> bytes:
    """Return a VXLAN-GBP payload."""
    return struct.pack("!BBHI", flags, policy, destination, vni << 8 | reserved) + frame


def checksum(header: bytes) -> int:
    """Return the checksum of an IPv4 header (RFC 1071); 0 for one that has a right one."""
    total = sum(int.from_bytes(header[at : at + 2]) for at in range(0, len(header), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass(frozen=True, slots=True)
class Outer:
    """A packet of ours as it is on the underlay, taken apart."""

    target_mac: bytes
    source_mac: bytes
    source: str
    target: str
    ttl: int
    dont_fragment: bool
    source_port: int
    target_port: int
    vni: int
    destination: int
    frame: bytes

    @classmethod
    def parse(cls, packet: bytes) -> "Outer":
        """Take a packet apart; every length and checksum in it must be right."""
        target_mac, source_mac, ethertype = struct.unpack_from("!6s6sH", packet)
        assert ethertype == IPV4
        version, _, size, _, fragment, ttl, protocol, _, source, target = struct.unpack_from(
            "!BBHHHBBH4s4s", packet, 14
        )
        assert (version, protocol, size) == (0x45, UDP, len(packet) - 14)
        assert checksum(packet[14:34]) == 0
        source_port, target_port, length, udp_checksum = struct.unpack_from("!HHHH", packet, 34)
        assert (length, udp_checksum) == (size - 20, 0)
        flags, policy, destination, vni = struct.unpack_from("!BBHI", packet, 42)
        assert flags == 0x88 or (flags == 0x08 and destination == 0)
        assert policy == 0 and vni & 0xFF == 0
        return cls(
            target_mac, source_mac, str(IPv4Address(source)), str(IPv4Address(target)), ttl, bool(fragment & 0x4000),
            source_port, target_port, vni >> 8, destination, packet[50:],
        )  # fmt: skip
