"""IPv4 and IPv6 headers."""

import pytest

from ripstop.core.errors import ProtocolError
from ripstop.wire import ip

V4 = bytes.fromhex("46c0002800004000010200000a200001e000001694040000")
SUM = ip.checksum(V4)
GOOD = V4[:10] + SUM.to_bytes(2, "big") + V4[12:] + bytes(16)
V6 = bytes.fromhex("6000000000100001") + bytes(15) + b"\1" + bytes.fromhex("ff02") + bytes(14)


def test_the_example_of_rfc_1071() -> None:
    assert ip.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


def test_ipv4_with_options_and_padding() -> None:
    packet = ip.decode_v4(GOOD + b"padding")
    assert (packet.protocol, packet.hops, packet.payload) == (2, 1, bytes(16))
    assert packet.source == bytes([10, 32, 0, 1])


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        GOOD[:19],
        GOOD[:-1],
        b"\x65" + GOOD[1:],
        b"\x44" + GOOD[1:],
        GOOD[:8] + b"\x02" + GOOD[9:],
        V4[:6] + b"\x20\0" + V4[8:] + bytes(16),
    ],
)
def test_ipv4_that_is_none(packet: bytes) -> None:
    with pytest.raises(ProtocolError):
        ip.decode_v4(packet)


def test_ipv6_behind_extension_headers() -> None:
    packet = ip.decode_v6(V6 + bytes.fromhex("3a00050200000100") + b"12345678")
    assert (packet.protocol, packet.payload) == (58, b"12345678")


@pytest.mark.parametrize(
    "packet", [b"", V6[:39], V6 + bytes(15), b"\x40" + V6[1:] + bytes(16), V6 + b"\x3a\x09" + bytes(14)]
)
def test_ipv6_that_is_none(packet: bytes) -> None:
    with pytest.raises(ProtocolError):
        ip.decode_v6(packet)
