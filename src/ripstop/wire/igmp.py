"""IGMP, versions 1 to 3: what hosts and routers say of IPv4 groups.

Source: RFC 1112, appendix I; RFC 2236, section 2; RFC 3376, section 4.
"""

import struct

from ripstop.core.errors import ProtocolError
from ripstop.core.multicast.messages import Kind, Query, Record, Report, Version
from ripstop.core.names import MulticastIp
from ripstop.wire import ip, membership

PROTOCOL = 2
QUERY, REPORT_V1, REPORT_V2, LEAVE, REPORT_V3 = 0x11, 0x12, 0x16, 0x17, 0x22
ALL_HOSTS = bytes([224, 0, 0, 1])
_HEAD = struct.Struct("!BBH4s")  # type, code, checksum, group
_TENTHS = 10.0  # of a second: the unit of codes
_BITS = 4  # of their mantissa
_ROUTER_ALERT = bytes([0x94, 4, 0, 0])  # RFC 2113
_PRECEDENCE = 0xC0  # internetwork control: RFC 3376, section 4
_V1_RESPONSE = 10.0  # seconds: RFC 2236, section 4


def decode(packet: ip.Packet) -> Query | Report | None:
    """Return what a message says; None for one of a kind that concerns nobody here.

    Raises:
        ProtocolError: it is no message that may be sent.
    """
    body = packet.payload
    if packet.hops != 1:
        raise ProtocolError(f"IGMP with a TTL of {packet.hops}, so from elsewhere")
    if len(body) < _HEAD.size:
        raise ProtocolError(f"IGMP of {len(body)} bytes")
    if ip.checksum(body):
        raise ProtocolError("IGMP with a wrong checksum")
    kind, code, _, group = _HEAD.unpack_from(body)
    if kind == QUERY:
        return _query(body, code, group)
    if kind == REPORT_V1:
        return Report(Version.V1, (Record(Kind.IS_EX, _group(group)),))
    if kind == REPORT_V2:
        return Report(Version.V2, (Record(Kind.IS_EX, _group(group)),))
    if kind == LEAVE:
        return Report(Version.V2, (Record(Kind.TO_IN, _group(group)),))
    if kind == REPORT_V3:
        return Report(Version.V3, membership.decode_records(body, 4, _group))
    return None


def encode_query(query: Query, source: bytes) -> bytes:
    """Return a query of version 3 as an IP packet; hosts of older versions understand it, too.

    Args:
        query: what to ask.
        source: our address; zeros, as a switch need not have one (RFC 4541, section 2.1.1).
    """
    code = membership.encode_time(round(query.max_response * _TENTHS), _BITS)
    tail = membership.encode_tail(query)
    bare = _HEAD.pack(QUERY, code, 0, query.group or bytes(4)) + tail
    body = _HEAD.pack(QUERY, code, ip.checksum(bare), query.group or bytes(4)) + tail
    length = ip.IPV4.size + len(_ROUTER_ALERT)
    start = (0x40 | length // 4, _PRECEDENCE, length + len(body), 0, 0, 1, PROTOCOL)
    end = (source, query.group or ALL_HOSTS)
    sum_ = ip.checksum(ip.IPV4.pack(*start, 0, *end) + _ROUTER_ALERT)
    return ip.IPV4.pack(*start, sum_, *end) + _ROUTER_ALERT + body


def _query(body: bytes, code: int, group: bytes) -> Query:
    about = _group(group) if any(group) else None
    if len(body) > _HEAD.size:
        response = membership.decode_time(code, _BITS) / _TENTHS
        return membership.decode_tail(body[_HEAD.size :], about, 4, response)
    if code == 0:
        return Query(Version.V1, about, max_response=_V1_RESPONSE)
    return Query(Version.V2, about, max_response=code / _TENTHS)


def _group(address: bytes) -> MulticastIp:
    if address[0] >> 4 != 0xE:
        raise ProtocolError(f"IGMP about {'.'.join(map(str, address))}, which is no group")
    return MulticastIp(address)
