"""PIM hellos."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.errors import ProtocolError
from ripstop.core.multicast.messages import PimHello
from ripstop.wire import ip, pim


def packet(body: str, size: int = 4) -> ip.Packet:
    """Return a packet with this message, whose checksum is filled in."""
    plain, ends = bytes.fromhex(body), (bytes(range(size)), bytes(size))
    sum_ = ip.checksum(plain, 0 if size == 4 else ip.pseudo_header(*ends, pim.PROTOCOL, len(plain)))
    return ip.Packet(*ends, pim.PROTOCOL, 1, plain[:2] + sum_.to_bytes(2, "big") + plain[4:])


@pytest.mark.parametrize("size", [4, 16])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("20000000 00010002 0069", PimHello(105.0)),
        ("20000000 00130004 00000001 00010002 ffff", PimHello(math.inf)),
        ("20000000 00010002 0000", PimHello(0.0)),
        ("20000000", PimHello(105.0)),
        ("23000000 0102", None),
    ],
)
def test_messages(body: str, message: PimHello | None, size: int) -> None:
    assert pim.decode(packet(body, size)) == message


@pytest.mark.parametrize("body", ["", "20000000 0001", "20000000 00010002 00"])
def test_messages_that_nobody_may_send(body: str) -> None:
    with pytest.raises(ProtocolError):
        pim.decode(ip.Packet(bytes(4), bytes(4), pim.PROTOCOL, 1, packet(body).payload[: len(bytes.fromhex(body))]))


def test_damage() -> None:
    with pytest.raises(ProtocolError):
        pim.decode(ip.Packet(bytes(4), bytes(4), pim.PROTOCOL, 1, bytes.fromhex("2000000100010002ffff")))


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_an_error(rest: bytes) -> None:
    try:
        pim.decode(packet((b"\x20\0\0\0" + rest).hex()))
    except ProtocolError:
        return
