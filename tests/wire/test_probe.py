"""Probes: what is encoded is decoded, at any size, and nothing but a probe is."""

import contextlib
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.errors import ProtocolError
from ripstop.core.mesh.messages import Probe
from ripstop.core.names import PeerName, UnderlayIp
from ripstop.wire.probe import PROBE_MAC, decode, encode

LOCAL, REMOTE = UnderlayIp("192.0.2.1"), UnderlayIp("192.0.2.2")
ETHERNET = 14
UPCALL_FRAME = 256  # bytes that reach the daemon of a frame, however large

names = st.text("0123456789abcdef", min_size=16, max_size=16).map(PeerName)
probes = st.builds(
    Probe,
    ack=st.booleans(),
    sender=names,
    target=st.one_of(st.just(PeerName("")), names),
    nonce=st.integers(0, 2**63),
    mtu=st.integers(576, 0xFFFF),
)
PROBE = Probe(False, PeerName("a" * 16), PeerName("b" * 16), 7, 1450)


@given(probes)
def test_round_trip_from_what_an_upcall_carries(probe: Probe) -> None:
    assert decode(encode(probe, LOCAL, REMOTE)[:UPCALL_FRAME]) == probe


@given(probes)
def test_probe_has_the_size_under_test_and_ack_is_small(probe: Probe) -> None:
    packet = encode(probe, LOCAL, REMOTE)[ETHERNET:]
    assert int.from_bytes(packet[2:4]) == len(packet)
    if probe.ack:
        assert len(packet) <= UPCALL_FRAME - ETHERNET
    else:
        assert len(packet) == probe.mtu


def test_addresses_are_the_outer_ones() -> None:
    packet = encode(PROBE, LOCAL, REMOTE)[ETHERNET:]
    assert packet[12:16] == IPv4Address(LOCAL).packed
    assert packet[16:20] == IPv4Address(REMOTE).packed


def test_header_sums_to_zero() -> None:
    header = encode(PROBE, LOCAL, REMOTE)[ETHERNET : ETHERNET + 20]
    total = sum(int.from_bytes(header[at : at + 2]) for at in range(0, 20, 2))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


@pytest.mark.parametrize("mtu", [0, 60, 0x10000])
def test_impossible_size_is_refused(mtu: int) -> None:
    with pytest.raises(ValueError, match="cannot be made"):
        encode(Probe(False, PROBE.sender, PROBE.target, 1, mtu), LOCAL, REMOTE)


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(data)


@given(st.binary(max_size=200))
def test_random_message_is_a_probe_or_refused(data: bytes) -> None:
    frame = encode(PROBE, LOCAL, REMOTE)[: ETHERNET + 28] + b"RpP1" + len(data).to_bytes(2) + data
    with contextlib.suppress(ProtocolError):
        assert isinstance(decode(frame), Probe)


@given(st.integers(0, 150))
def test_truncated_probe_is_refused_or_whole(length: int) -> None:
    frame = encode(PROBE, LOCAL, REMOTE)
    try:
        assert decode(frame[:length]) == PROBE
    except ProtocolError:
        assert length < 150


def test_a_nest_of_arrays_without_end_is_refused() -> None:
    frame = encode(PROBE, LOCAL, REMOTE)
    at = frame.index(b"RpP1") + 6
    length = int.from_bytes(frame[at - 2 : at])
    message = bytes([frame[at] + 1]) + frame[at + 1 : at + length] + b"\x91" * 5000 + b"\x00"
    with pytest.raises(ProtocolError, match="probe"):
        decode(frame[: at - 2] + len(message).to_bytes(2) + message)


def test_other_destination_is_no_probe() -> None:
    frame = encode(PROBE, LOCAL, REMOTE)
    with pytest.raises(ProtocolError, match="no probe"):
        decode(PROBE_MAC[::-1] + frame[6:])
