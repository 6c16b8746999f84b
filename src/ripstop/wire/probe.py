"""Probes as frames: what the daemon sends by `ripstop0`, and what an upcall brings.

A probe is an Ethernet frame to a MAC that only the switch's programs know, with an IPv4/UDP packet inside whose
addresses are the outer ones to use: Ethernet (14), IPv4 (20), UDP (8), magic, length, message, zeros up to the size
under test.  The last two bytes of the source MAC are the short id of the peer that is meant: its datapath returns the
probe by itself, with the message's first field, `ack`, turned from msgpack's false into true (bpf/lib/probe.h).
"""

import struct
from ipaddress import IPv4Address

import msgspec

from ripstop.core.errors import ProtocolError
from ripstop.core.mesh.limits import check_probe
from ripstop.core.mesh.messages import Probe
from ripstop.core.names import NO_PEER, ShortId, UnderlayIp

PROBE_MAC = bytes.fromhex("027269705042")  # locally administered; bpf/abi.h has the same
_SOURCE_MAC = bytes.fromhex("02726970")  # and the target's short id; never learnt: probes end before learning
_MAGIC = b"RpP1"
_PORT = 6785  # inner UDP port, either way; for people with packet dumps, nothing listens there
_TTL = 64
_DONT_FRAGMENT = 0x4000
_UDP = 17
_ETHERTYPE_IPV4 = 0x0800

_ETHERNET = struct.Struct("!6s6sH")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP_HEADER = struct.Struct("!HHHH")
_HEAD = struct.Struct("!4sH")  # magic, bytes of the message
_HEADERS = _ETHERNET.size + _IPV4.size + _UDP_HEADER.size

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Probe)


def encode(probe: Probe, local: UnderlayIp, remote: UnderlayIp, target: ShortId = NO_PEER) -> bytes:
    """Return the frame that makes the switch send `probe` from `local` to `remote`.

    With a `target`, the datapath of that peer answers; without one, only its daemon does.

    The inner IP packet has exactly `probe.mtu` bytes, or as few as it needs for an ack.

    Raises:
        ValueError: `probe.mtu` is too small for the message, or more than an IPv4 packet can have.
    """
    message = _encoder.encode(probe)
    payload = _HEAD.pack(_MAGIC, len(message)) + message
    size = _IPV4.size + _UDP_HEADER.size + len(payload)
    if not probe.ack:
        if not size <= probe.mtu <= 0xFFFF:
            raise ValueError(f"a probe of {probe.mtu} bytes cannot be made: {size} to 65535 can")
        payload += bytes(probe.mtu - size)
        size = probe.mtu
    addresses = IPv4Address(local).packed, IPv4Address(remote).packed
    bare = _IPV4.pack(0x45, 0, size, 0, _DONT_FRAGMENT, _TTL, _UDP, 0, *addresses)
    header = _IPV4.pack(0x45, 0, size, 0, _DONT_FRAGMENT, _TTL, _UDP, _checksum(bare), *addresses)
    return (
        _ETHERNET.pack(PROBE_MAC, _SOURCE_MAC + target.to_bytes(2, "big"), _ETHERTYPE_IPV4)
        + header
        + _UDP_HEADER.pack(_PORT, _PORT, size - _IPV4.size, 0)  # 0: no checksum (RFC 768)
        + payload
    )


def decode(frame: bytes) -> Probe:
    """Return the probe in a frame, of which the first bytes up to the message's end are enough.

    Raises:
        ProtocolError: it is no probe, or not a whole one.
    """
    if len(frame) < _HEADERS + _HEAD.size:
        raise ProtocolError(f"probe of {len(frame)} bytes, want at least {_HEADERS + _HEAD.size}")
    mac, _, ethertype = _ETHERNET.unpack_from(frame)
    version, *_, protocol, _, _, _ = _IPV4.unpack_from(frame, _ETHERNET.size)
    magic, length = _HEAD.unpack_from(frame, _HEADERS)
    if (mac, ethertype, version, protocol, magic) != (PROBE_MAC, _ETHERTYPE_IPV4, 0x45, _UDP, _MAGIC):
        raise ProtocolError("no probe")
    message = frame[_HEADERS + _HEAD.size :][:length]
    if len(message) != length:
        raise ProtocolError(f"probe with {len(message)} bytes of message, want {length}")
    try:
        probe = _decoder.decode(message)
    except (msgspec.DecodeError, RecursionError) as error:  # ValidationError is one of the first
        raise ProtocolError(f"probe: {error}") from None
    check_probe(probe)
    return probe


def _checksum(header: bytes) -> int:
    """Return the IPv4 header checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
