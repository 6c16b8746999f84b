"""MLD: bytes as in the RFCs, there and back, and anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.errors import ProtocolError
from ripstop.core.multicast.messages import Kind, Query, Record, Report, Version
from ripstop.core.names import MulticastIp, SourceIp
from ripstop.wire import ip, mld

GROUP = MulticastIp(bytes.fromhex("ff150000000000000000000000000007"))
HOST = SourceIp(bytes.fromhex("fe80000000000000000000000000000a"))
ONE = SourceIp(bytes.fromhex("fd000000000000000000000000000001"))
G, S = GROUP.hex(), ONE.hex()


def packet(body: str, source: bytes = HOST, hops: int = 1) -> ip.Packet:
    """Return a packet with this message, whose checksum is filled in."""
    plain = bytes.fromhex(body)
    sum_ = ip.checksum(plain, ip.pseudo_header(source, mld.ALL_NODES, mld.PROTOCOL, len(plain)))
    return ip.Packet(source, mld.ALL_NODES, mld.PROTOCOL, hops, plain[:2] + sum_.to_bytes(2, "big") + plain[4:])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (f"8300 0000 0000 0000 {G}", Report(Version.V2, (Record(Kind.IS_EX, GROUP),))),
        (f"8400 0000 0000 0000 {G}", Report(Version.V2, (Record(Kind.TO_IN, GROUP),))),
        (f"8200 0000 03e8 0000 {'00' * 16}", Query(Version.V2, None, max_response=1.0)),
        (f"8200 0000 03e8 0000 {G} 0a7d 0001 {S}", Query(Version.V3, GROUP, (ONE,), 1.0, 2, 125.0, suppress=True)),
        (f"8200 0000 8000 0000 {'00' * 16} 0280 0000", Query(Version.V3, None, (), 32.768, 2, 128.0)),
        (f"8f00 0000 0000 0001 0400 0000 {G}", Report(Version.V3, (Record(Kind.TO_EX, GROUP),))),
        (f"8f00 0000 0000 0001 0301 0001 {G} {S} deadbeef", Report(Version.V3, (Record(Kind.TO_IN, GROUP, (ONE,)),))),
        ("8700 0000 0000 0000", None),
        ("", None),
    ],
)
def test_messages(body: str, message: Query | Report | None) -> None:
    assert mld.decode(packet(body)) == message


@pytest.mark.parametrize(
    "body",
    [
        "83000000",
        f"8300000000000000{'fe' * 16}",
        f"8200000003e80000{G}02",
        f"8200000003e80000{G}027d0001",
        "8f00",
        "8f00000000000001",
        f"8f0000000000000104000001{G}",
        f"8f0000000000000104010000{G}",
        f"8f0000000000000104000000{S}",
    ],
)
def test_messages_that_nobody_may_send(body: str) -> None:
    with pytest.raises(ProtocolError):
        mld.decode(packet(body))


def test_who_may_say_what() -> None:
    report, query = f"8300000000000000{G}", f"8200000003e80000{'00' * 16}"
    assert mld.decode(packet(report, source=bytes(16)))
    for body, source, hops in ((query, bytes(16), 1), (report, ONE, 1), (query, ONE, 1), (report, HOST, 64)):
        with pytest.raises(ProtocolError):
            mld.decode(packet(body, source, hops))
    good = packet(report)
    with pytest.raises(ProtocolError):
        mld.decode(ip.Packet(good.source, good.target, mld.PROTOCOL, 1, good.payload[:-1] + b"\x99"))


groups = st.binary(min_size=14, max_size=14).map(lambda rest: MulticastIp(b"\xff\x15" + rest))
sources = st.lists(st.binary(min_size=16, max_size=16).map(SourceIp), max_size=5).map(tuple)
queries = st.builds(
    Query,
    st.just(Version.V3),
    st.one_of(st.none(), groups),
    sources,
    st.integers(0, 32767).map(lambda milliseconds: milliseconds / 1000),
    st.integers(0, 7),
    st.integers(0, 127).map(float),
    st.booleans(),
)


@given(queries)
def test_queries_there_and_back(query: Query) -> None:
    packet_ = ip.decode_v6(mld.encode_query(query, HOST))
    assert (packet_.hops, packet_.protocol, packet_.source) == (1, mld.PROTOCOL, HOST)
    assert packet_.target == (query.group or mld.ALL_NODES)
    assert mld.decode(packet_) == query


@given(st.sampled_from((130, 131, 132, 143)), st.binary(max_size=80))
def test_any_bytes_are_a_message_or_an_error(kind: int, rest: bytes) -> None:
    try:
        mld.decode(packet((bytes([kind, 0, 0, 0]) + rest).hex()))
    except ProtocolError:
        return
