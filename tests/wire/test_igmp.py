"""IGMP: bytes as in the RFCs and from a real kernel, there and back, and anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.errors import ProtocolError
from ripstop.core.multicast.messages import Kind, Query, Record, Report, Version
from ripstop.core.names import MulticastIp, SourceIp
from ripstop.wire import igmp, ip

GROUP = MulticastIp(bytes([239, 1, 2, 3]))
ONE, TWO = SourceIp(bytes([10, 0, 0, 1])), SourceIp(bytes([10, 0, 0, 2]))


def packet(body: str, ttl: int = 1) -> ip.Packet:
    """Return a packet with this message, whose checksum is filled in."""
    plain = bytes.fromhex(body)
    sum_ = ip.checksum(plain)
    return ip.Packet(
        bytes([10, 0, 0, 9]), bytes([224, 0, 0, 1]), 2, ttl, plain[:2] + sum_.to_bytes(2, "big") + plain[4:]
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1200 0000 ef010203", Report(Version.V1, (Record(Kind.IS_EX, GROUP),))),
        ("1600 0000 ef010203", Report(Version.V2, (Record(Kind.IS_EX, GROUP),))),
        ("1700 0000 ef010203", Report(Version.V2, (Record(Kind.TO_IN, GROUP),))),
        ("1100 0000 00000000", Query(Version.V1, None, max_response=10.0)),
        ("110a 0000 ef010203", Query(Version.V2, GROUP, max_response=1.0)),
        ("1101 0000 ef010203 0a7d 0001 0a000001", Query(Version.V3, GROUP, (ONE,), 0.1, 2, 125.0, suppress=True)),
        ("1190 0000 00000000 02a0 0000", Query(Version.V3, None, (), 25.6, 2, 512.0)),
        ("2200 0000 0000 0001 0400 0000 ef010203", Report(Version.V3, (Record(Kind.TO_EX, GROUP),))),
        (
            "2200 0000 0000 0002 0101 0002 ef010203 0a000001 0a000002 deadbeef 0600 0001 ef010203 0a000002",
            Report(Version.V3, (Record(Kind.IS_IN, GROUP, (ONE, TWO)), Record(Kind.BLOCK, GROUP, (TWO,)))),
        ),
        ("2200 0000 0000 0002 0900 0000 ef010203 0200 0000 ef010203", Report(Version.V3, (Record(Kind.IS_EX, GROUP),))),
        ("1300 0000 00000000", None),
    ],
)
def test_messages(body: str, message: Query | Report | None) -> None:
    assert igmp.decode(packet(body)) == message


@pytest.mark.parametrize(
    "body",
    [
        "16000000ef0102",
        "160000000a000001",
        "110a0000ef01020302",
        "110a0000ef010203027d00020a000001",
        "2200000000000001",
        "220000000000000104000001ef010203",
        "220000000000000104010000ef010203",
        "2200000000000001040000000a010203",
    ],
)
def test_messages_that_nobody_may_send(body: str) -> None:
    with pytest.raises(ProtocolError):
        igmp.decode(packet(body))


def test_what_comes_from_elsewhere_or_is_damaged() -> None:
    with pytest.raises(ProtocolError):
        igmp.decode(packet("16000000ef010203", ttl=2))
    good = packet("16000000ef010203")
    with pytest.raises(ProtocolError):
        igmp.decode(ip.Packet(good.source, good.target, 2, 1, good.payload[:-1] + b"\4"))


groups = st.binary(min_size=3, max_size=3).map(lambda rest: MulticastIp(b"\xef" + rest))
sources = st.lists(st.binary(min_size=4, max_size=4).map(SourceIp), max_size=5).map(tuple)
queries = st.builds(
    Query,
    st.just(Version.V3),
    st.one_of(st.none(), groups),
    sources,
    st.integers(0, 127).map(lambda tenths: tenths / 10),
    st.integers(0, 7),
    st.integers(0, 127).map(float),
    st.booleans(),
)


@given(queries)
def test_queries_there_and_back(query: Query) -> None:
    packet_ = ip.decode_v4(igmp.encode_query(query, bytes(4)))
    assert (packet_.hops, packet_.protocol) == (1, igmp.PROTOCOL)
    assert packet_.target == (query.group or igmp.ALL_HOSTS)
    assert igmp.decode(packet_) == query


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_an_error(body: bytes) -> None:
    checked = body[:2] + ip.checksum(body[:2] + bytes(2) + body[4:]).to_bytes(2, "big") + body[4:]
    try:
        igmp.decode(ip.Packet(bytes(4), bytes(4), 2, 1, checked))
    except ProtocolError:
        return
