"""Frames about groups: each kind to its own codec, and queries as frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.errors import ProtocolError
from ripstop.core.multicast.messages import Family, Kind, PimHello, Query, Record, Report, Version
from ripstop.core.names import MulticastIp, SourceIp
from ripstop.wire import ip
from ripstop.wire.snoop import decode, encode, link_local

MAC = bytes.fromhex("02aabbccddee")
GROUP_V4 = MulticastIp(bytes([239, 129, 2, 3]))
GROUP_V6 = MulticastIp(bytes.fromhex("ff150000000000000000000012345678"))
# joins as Linux 6.18 sends them
LINUX_V4 = bytes.fromhex(
    "01005e00001602aabbccddee080046c00028000040000102f9d70a200002e0000016940400002200e9fb0000000104000000ef010101"
)
LINUX_V6 = bytes.fromhex(
    "33330000001602aabbccddee86dd" "6000000000240001fe8000000000000000aabbfffeccddeeff020000000000000000000000000016"
    "3a00050200000100" "8f00d68b0000000104000000ff150000000000000000000000000007"
)  # fmt: skip


def test_joins_of_a_real_kernel() -> None:
    group = MulticastIp(bytes([239, 1, 1, 1]))
    said = SourceIp(bytes([10, 32, 0, 2])), Report(Version.V3, (Record(Kind.TO_EX, group),))
    assert decode(LINUX_V4 + bytes(6)) == said
    group = MulticastIp(bytes.fromhex("ff150000000000000000000000000007"))
    assert decode(LINUX_V6) == (SourceIp(link_local(MAC)), Report(Version.V3, (Record(Kind.TO_EX, group),)))


@pytest.mark.parametrize(
    ("family", "group", "mac"),
    [
        (Family.IPV4, None, "01005e000001"),
        (Family.IPV4, GROUP_V4, "01005e010203"),
        (Family.IPV6, None, "333300000001"),
        (Family.IPV6, GROUP_V6, "333312345678"),
    ],
)
def test_queries(family: Family, group: MulticastIp | None, mac: str) -> None:
    query = Query(Version.V3, group, max_response=1.0, robustness=2, interval=10.0)
    frame = encode(family, query, MAC)
    assert frame[:12] == bytes.fromhex(mac) + MAC
    sender = bytes(4) if family is Family.IPV4 else link_local(MAC)
    assert decode(frame) == (SourceIp(sender), query)


def test_the_link_local_address_of_a_mac() -> None:
    assert link_local(MAC).hex(":", 2) == "fe80:0000:0000:0000:00aa:bbff:fecc:ddee"


def test_a_router() -> None:
    body = bytes.fromhex("2000df9500010002 0069".replace(" ", ""))
    body = body[:2] + ip.checksum(body[:2] + bytes(2) + body[4:]).to_bytes(2, "big") + body[4:]
    bare = ip.IPV4.pack(0x45, 0, 20 + len(body), 0, 0, 1, 103, 0, bytes([10, 0, 0, 9]), bytes([224, 0, 0, 13]))
    header = bare[:10] + ip.checksum(bare).to_bytes(2, "big") + bare[12:]
    frame = bytes(12) + b"\x08\x00" + header + body
    assert decode(frame) == (SourceIp(bytes([10, 0, 0, 9])), PimHello(105.0))


@given(st.one_of(st.binary(max_size=90), st.binary(max_size=90).map(lambda rest: bytes(12) + b"\x86\xdd\x60" + rest)))
def test_any_bytes_are_a_message_or_an_error(frame: bytes) -> None:
    try:
        decode(frame)
    except ProtocolError:
        return
