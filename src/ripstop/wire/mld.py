"""MLD, versions 1 and 2: what hosts and routers say of IPv6 groups.  It is IGMP in ICMPv6; its version 1 is IGMP's 2.

Source: RFC 2710, section 3; RFC 3810, section 5.
"""

import struct

from ripstop.core.errors import ProtocolError
from ripstop.core.multicast.messages import Kind, Query, Record, Report, Version
from ripstop.core.names import MulticastIp
from ripstop.wire import ip, membership

PROTOCOL = 58  # ICMPv6
QUERY, REPORT_V1, DONE, REPORT_V2 = 130, 131, 132, 143
ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_HEAD = struct.Struct("!BxHHxx16s")  # type, checksum, response delay, group
_MILLISECONDS = 1000.0  # of a second: the unit of delays
_BITS = 12  # of their mantissa
_HOP_BY_HOP = 0
_ROUTER_ALERT = bytes([PROTOCOL, 0, 5, 2, 0, 0, 1, 0])  # a hop-by-hop header: RFC 2711, and two bytes of padding


def decode(packet: ip.Packet) -> Query | Report | None:
    """Return what a message says; None for ICMPv6 that is no MLD.

    Raises:
        ProtocolError: it is no message that may be sent.
    """
    body = packet.payload
    if not body or body[0] not in (QUERY, REPORT_V1, DONE, REPORT_V2):
        return None
    if packet.hops != 1:
        raise ProtocolError(f"MLD with a hop limit of {packet.hops}, so from elsewhere")
    is_link_local = packet.source[0] == 0xFE and packet.source[1] & 0xC0 == 0x80
    # Who has no address yet may report, for switches to see: RFC 3810, section 5.2.13.
    if not is_link_local and (body[0] == QUERY or any(packet.source)):
        raise ProtocolError("MLD from an address that is not link-local")
    if ip.checksum(body, ip.pseudo_header(packet.source, packet.target, PROTOCOL, len(body))):
        raise ProtocolError("MLD with a wrong checksum")
    if body[0] == REPORT_V2:
        return Report(Version.V3, membership.decode_records(body, 16, _group))
    if len(body) < _HEAD.size:
        raise ProtocolError(f"MLD of {len(body)} bytes")
    kind, _, delay, group = _HEAD.unpack_from(body)
    if kind == QUERY:
        return _query(body, delay, group)
    return Report(Version.V2, (Record(Kind.TO_IN if kind == DONE else Kind.IS_EX, _group(group)),))


def encode_query(query: Query, source: bytes) -> bytes:
    """Return a query of version 2 as an IP packet; hosts of version 1 understand it, too.

    Args:
        query: what to ask.
        source: a link-local address of ours, as hosts listen to no other.
    """
    target = query.group or ALL_NODES
    delay = membership.encode_time(round(query.max_response * _MILLISECONDS), _BITS)
    tail = membership.encode_tail(query)
    bare = _HEAD.pack(QUERY, 0, delay, query.group or bytes(16)) + tail
    sum_ = ip.checksum(bare, ip.pseudo_header(source, target, PROTOCOL, len(bare)))
    body = _HEAD.pack(QUERY, sum_, delay, query.group or bytes(16)) + tail
    return ip.IPV6.pack(6 << 28, len(_ROUTER_ALERT) + len(body), _HOP_BY_HOP, 1, source, target) + _ROUTER_ALERT + body


def _query(body: bytes, delay: int, group: bytes) -> Query:
    about = _group(group) if any(group) else None
    if len(body) == _HEAD.size:
        return Query(Version.V2, about, max_response=delay / _MILLISECONDS)
    response = membership.decode_time(delay, _BITS) / _MILLISECONDS
    return membership.decode_tail(body[_HEAD.size :], about, 16, response)


def _group(address: bytes) -> MulticastIp:
    if address[0] != 0xFF:
        raise ProtocolError(f"MLD about {address.hex(':', 2)}, which is no group")
    return MulticastIp(address)
