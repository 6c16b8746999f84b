"""Frames that are about groups: what the switch hands up, and what it is to send."""

from ripstop.core.errors import ProtocolError
from ripstop.core.multicast.messages import Family, Message, Query
from ripstop.core.names import SourceIp
from ripstop.wire import igmp, ip, mld, pim

_ETHERNET = 14  # bytes of header
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"
_V4_PREFIX = bytes.fromhex("01005e")  # and 23 bits of the group: RFC 1112, section 6.4
_V6_PREFIX = bytes.fromhex("3333")  # and 32 bits of it: RFC 2464, section 7


def decode(frame: bytes) -> tuple[SourceIp, Message | None]:
    """Return who says what in a frame; None if it concerns nobody here.

    Raises:
        ProtocolError: nobody may send that.
    """
    match frame[12:_ETHERNET]:
        case b"\x08\x00":
            packet = ip.decode_v4(frame[_ETHERNET:])
            listened = igmp.decode if packet.protocol == igmp.PROTOCOL else None
        case b"\x86\xdd":
            packet = ip.decode_v6(frame[_ETHERNET:])
            listened = mld.decode if packet.protocol == mld.PROTOCOL else None
        case kind:
            raise ProtocolError(f"frame of type {kind.hex()} in place of IP")
    if listened:
        return SourceIp(packet.source), listened(packet)
    return SourceIp(packet.source), pim.decode(packet) if packet.protocol == pim.PROTOCOL else None


def encode(family: Family, query: Query, mac: bytes) -> bytes:
    """Return a query as a frame from `mac`: from no address in IPv4, and in IPv6 from the one that the MAC makes."""
    if family is Family.IPV4:
        packet = igmp.encode_query(query, bytes(4))
        target = packet[16:20]
        group = _V4_PREFIX + bytes([target[1] & 0x7F]) + target[2:]
        return group + mac + _IPV4 + packet
    packet = mld.encode_query(query, link_local(mac))
    return _V6_PREFIX + packet[36:40] + mac + _IPV6 + packet


def link_local(mac: bytes) -> bytes:
    """Return the link-local address that a MAC makes.

    Source: RFC 4291, appendix A.
    """
    return bytes.fromhex("fe80000000000000") + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
