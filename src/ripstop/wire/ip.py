"""IPv4 and IPv6 headers, as far as group membership needs them."""

import struct
from dataclasses import dataclass

from ripstop.core.errors import ProtocolError

IPV4 = struct.Struct("!BBHHHBBH4s4s")
IPV6 = struct.Struct("!IHBB16s16s")
_FRAGMENT = 0x3FFF  # more fragments, or not the first
_HOP_BY_HOP, _ROUTING, _DESTINATION = 0, 43, 60
_EXTENSIONS = (_HOP_BY_HOP, _ROUTING, _DESTINATION)  # all have the same first two bytes: RFC 8200, section 4


@dataclass(frozen=True, slots=True)
class Packet:
    """What an IP packet carries, and between whom."""

    source: bytes
    target: bytes
    protocol: int
    hops: int  # TTL or hop limit
    payload: bytes


def decode_v4(packet: bytes) -> Packet:
    """Read an IPv4 packet; bytes after its end are padding.

    Raises:
        ProtocolError: it is not whole, damaged, or a fragment.
    """
    if len(packet) < IPV4.size:
        raise ProtocolError(f"IPv4 packet of {len(packet)} bytes")
    first, _, total, _, fragment, ttl, protocol, _, source, target = IPV4.unpack_from(packet)
    length = (first & 0xF) * 4
    if first >> 4 != 4 or not IPV4.size <= length <= total <= len(packet):
        raise ProtocolError("IPv4 header that is none")
    if fragment & _FRAGMENT:
        raise ProtocolError("fragment of an IPv4 packet")
    if checksum(packet[:length]):
        raise ProtocolError("IPv4 header with a wrong checksum")
    return Packet(source, target, protocol, ttl, packet[length:total])


def decode_v6(packet: bytes) -> Packet:
    """Read an IPv6 packet, behind its extension headers; bytes after its end are padding.

    Raises:
        ProtocolError: it is not whole.
    """
    if len(packet) < IPV6.size:
        raise ProtocolError(f"IPv6 packet of {len(packet)} bytes")
    first, length, protocol, hops, source, target = IPV6.unpack_from(packet)
    payload = packet[IPV6.size : IPV6.size + length]
    if first >> 28 != 6 or len(payload) < length:
        raise ProtocolError("IPv6 header that is none")
    while protocol in _EXTENSIONS:
        if len(payload) < 2 or len(payload) < (payload[1] + 1) * 8:
            raise ProtocolError("IPv6 extension header that is cut off")
        protocol, payload = payload[0], payload[(payload[1] + 1) * 8 :]
    return Packet(source, target, protocol, hops, payload)


def checksum(data: bytes, start: int = 0) -> int:
    """Return the Internet checksum; 0 over data that has its own in it and is undamaged.

    Source: RFC 1071.
    """
    padded = data + bytes(len(data) % 2)
    total: int = start + sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo_header(source: bytes, target: bytes, protocol: int, length: int) -> int:
    """Return what an upper protocol's checksum over IPv6 begins with.

    Source: RFC 8200, section 8.1.
    """
    total: int = sum(struct.unpack("!16H", source + target))
    return total + protocol + (length >> 16) + (length & 0xFFFF)
