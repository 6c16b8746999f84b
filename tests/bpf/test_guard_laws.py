"""Laws of guarded ports: however a frame is changed, cut or wrapped, nothing that must not gets through."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ripstop.kernel.abi import GuardFlags
from tests.bpf.packets import ARP, ICMPV6, IPV6, UDP, extension, ipv6, mac, udp
from tests.bpf.switch import PORT, Switch
from tests.bpf.tables import LOCAL_MAC
from tests.bpf.test_guard import (
    ADVERTISEMENT,
    ALL_NODES,
    ANY,
    DHCP6_CLIENT,
    DHCP6_SERVER,
    DHCP_CLIENT,
    DHCP_SERVER,
    ECHO,
    FRAGMENT,
    GUARD,
    HOP_BY_HOP,
    LEGAL,
    LINK,
    MORE,
    NOBODY,
    OPTIONS,
    OWN,
    OWN6,
    ROUTING,
    SECOND,
    frame,
    icmp6,
    piece,
    v4,
)

EACH = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
UPPER = {
    "router": (ICMPV6, ADVERTISEMENT + bytes(32)),
    "dhcp": (UDP, udp(DHCP6_SERVER, DHCP6_CLIENT, bytes(48))),
}
kinds = st.sampled_from([HOP_BY_HOP, ROUTING, OPTIONS])
sizes = st.sampled_from([8, 16, 24, 64])
headers = st.lists(st.tuples(kinds, sizes), max_size=5)
padding = st.sampled_from([b"", bytes(24), icmp6(ECHO, bytes(20)), extension(UDP, udp(1, 2))])


@pytest.fixture
def guarded(switch: Switch) -> Iterator[Switch]:
    """The switch, with a full guard on PORT."""
    with switch.guarded(GUARD):
        yield switch


@pytest.fixture
def watched(switch: Switch) -> Iterator[Switch]:
    """The switch, with PORT kept from nothing but being a router or a DHCP server."""
    with switch.guarded(replace(GUARD, flags=GuardFlags.ROUTER | GuardFlags.DHCP)):
        yield switch


def wrapped(protocol: int, payload: bytes, before: list[tuple[int, int]]) -> tuple[int, bytes]:
    """Put extension headers before a payload; return the first one's number and all of it."""
    for kind, size in reversed(before):
        protocol, payload = kind, extension(protocol, payload, size=size)
    return protocol, payload


def cut(protocol: int, payload: bytes, at: list[int]) -> Iterator[tuple[int, bytes]]:
    """Cut a payload into fragments at these multiples of 8 bytes."""
    places = sorted({0, *(8 * place for place in at if 8 * place < len(payload))})
    for start, end in pairwise([*places, len(payload)]):
        yield FRAGMENT, piece(protocol, payload[start:end], start, MORE if end < len(payload) else 0)


@EACH
@given(
    upper=st.sampled_from(list(UPPER.values())),
    outside=headers,
    inside=headers,
    places=st.lists(st.integers(1, 40), max_size=6),
    trailer=padding,
)
def test_nothing_rogue_is_put_together_from_what_passes(
    watched: Switch,
    upper: tuple[int, bytes],
    outside: list[tuple[int, int]],
    inside: list[tuple[int, int]],
    places: list[int],
    trailer: bytes,
) -> None:
    """A receiver needs every fragment: one that is stopped is enough."""
    assert not all(
        passes(watched, frame(ipv6(LINK, ALL_NODES, packet, next_header=first), IPV6) + trailer)
        for protocol, payload in cut(*wrapped(*upper, inside), places)
        for first, packet in [wrapped(protocol, payload, outside)]
    )


@EACH
@given(
    inside=headers.filter(lambda found: len(found) < 4),
    outside=headers.filter(lambda found: len(found) < 4),
    places=st.lists(st.integers(1, 40), max_size=6),
)
def test_what_is_legal_passes_in_fragments(
    guarded: Switch, inside: list[tuple[int, int]], outside: list[tuple[int, int]], places: list[int]
) -> None:
    """If only the first has all headers, as RFC 7112 wants it."""
    length = sum(size for _, size in inside) // 8 + 1
    fragments = cut(*wrapped(UDP, udp(1000, 2000, bytes(200)), inside), [at for at in places if at >= length])
    for protocol, payload in fragments:
        first, packet = wrapped(protocol, payload, outside)
        assert passes(guarded, frame(ipv6(OWN6, ALL_NODES, packet, next_header=first), IPV6))


@EACH
@given(
    options=st.integers(0, 10),
    places=st.lists(st.integers(1, 40), max_size=6),
    trailer=padding,
    source=st.sampled_from([OWN, SECOND, ANY]),
)
def test_no_dhcp_server_hides_in_fragments(
    watched: Switch, options: int, places: list[int], trailer: bytes, source: str
) -> None:
    offer = udp(DHCP_SERVER, DHCP_CLIENT, bytes(240))
    starts = sorted({0, *(8 * place for place in places if 8 * place < len(offer))})
    assert not all(
        passes(
            watched,
            v4(source, offer[start:end], fragment=start // 8 | (0x2000 if end < len(offer) else 0), options=4 * options)
            + trailer,
        )
        for start, end in pairwise([*starts, len(offer)])
    )


@EACH
@given(
    packet=st.sampled_from(list(LEGAL.values())),
    changes=st.dictionaries(st.integers(0, 79), st.integers(0, 255), max_size=3),
    size=st.integers(62, 400),
)
def test_whatever_passes_bears_its_own_addresses(
    guarded: Switch, packet: bytes, changes: dict[int, int], size: int
) -> None:
    """Frames of which any bytes were changed, or cut off."""
    found = bytearray(packet)
    for at, byte in changes.items():
        if at < len(found):
            found[at] = byte
    sent = bytes(found[:size])
    assert not passes(guarded, sent) or is_own(sent), sent.hex()


def passes(switch: Switch, packet: bytes) -> bool:
    port = switch.ifindex(PORT)
    before = switch.datapath.guards.stopped()[port]
    switch.run(PORT, packet)
    return switch.datapath.guards.stopped()[port] == before


def is_own(packet: bytes) -> bool:
    """Return whether a frame claims nothing that is not LOCAL_MAC's, as a receiver would read it."""
    ethertype = int.from_bytes(packet[12:14])
    if packet[6:12] != mac(LOCAL_MAC):
        return False
    if ethertype == ARP:
        return packet[22:28] == mac(LOCAL_MAC) and str(IPv4Address(packet[28:32])) in (OWN, SECOND, ANY)
    if ethertype == IPV6:
        return str(IPv6Address(packet[22:38])) in (OWN6, LINK, NOBODY)
    return str(IPv4Address(packet[26:30])) in (OWN, SECOND, ANY)
