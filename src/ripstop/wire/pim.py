"""PIM: nothing but its hello, by which routers are known.

Source: RFC 7761, sections 4.3.1 and 4.9.2.
"""

import math
import struct

from ripstop.core.errors import ProtocolError
from ripstop.core.multicast.messages import PimHello
from ripstop.wire import ip

PROTOCOL = 103
_HELLO = 0x20  # version 2, type 0
_DEFAULT_HOLDTIME = 105.0  # seconds
_FOREVER = 0xFFFF
_OPTION = struct.Struct("!HH")  # type, length
_HOLDTIME = 1


def decode(packet: ip.Packet) -> PimHello | None:
    """Return a hello; None for everything else that routers say.

    Raises:
        ProtocolError: it is cut off or damaged.
    """
    body = packet.payload
    if len(body) < 4:
        raise ProtocolError(f"PIM of {len(body)} bytes")
    if body[0] != _HELLO:
        return None
    start = 0 if len(packet.source) == 4 else ip.pseudo_header(packet.source, packet.target, PROTOCOL, len(body))
    if ip.checksum(body, start):
        raise ProtocolError("PIM with a wrong checksum")
    at = 4
    while len(body) >= at + _OPTION.size:
        kind, length = _OPTION.unpack_from(body, at)
        value = body[at + _OPTION.size :][:length]
        if len(value) < length:
            break
        if kind == _HOLDTIME and length == 2:
            seconds = int.from_bytes(value, "big")
            return PimHello(math.inf if seconds == _FOREVER else float(seconds))
        at += _OPTION.size + length
    if at != len(body):
        raise ProtocolError("PIM hello that is cut off")
    return PimHello(_DEFAULT_HOLDTIME)
