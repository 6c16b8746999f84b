"""Flows that the host forwards for a container: their answers are turned to the host, and nothing else is."""

from collections.abc import Iterator

import pytest

from tests.bpf.packets import BROADCAST, ICMP, ethernet, ipv4, mac, tcp, udp
from tests.bpf.switch import HOST_PORT, OTHER_PORT, PORT, UNDERLAY, Switch
from tests.bpf.tables import LOCAL_MAC, OTHER_MAC, OWN, PEER, REMOTE_MAC, arrival

TCP, SCTP = 6, 132
HOST_MAC = "02:aa:bb:cc:dd:ee"
POD, MEMBER, FAR_MEMBER = "10.32.0.1", "10.32.0.2", "10.40.0.2"  # behind PORT, behind OTHER_PORT, on PEER


@pytest.fixture
def town(switch: Switch) -> Iterator[Switch]:
    """Everybody's MAC address is known, and returns are on."""
    for port, address in ((PORT, LOCAL_MAC), (OTHER_PORT, OTHER_MAC), (HOST_PORT, HOST_MAC)):
        switch.run(port, ethernet(BROADCAST, address, ipv4("10.32.0.9", "10.32.0.9", udp(1, 1))))
    far = ethernet(LOCAL_MAC, REMOTE_MAC, ipv4(FAR_MEMBER, POD, udp(9, 9)))
    switch.run(UNDERLAY, arrival(PEER, OWN, far))
    switch.datapath.use_returns(True)
    yield switch
    switch.datapath.use_returns(False)


def forwarded(switch: Switch, packet: bytes, to: str = OTHER_MAC) -> None:
    """Have the host send a packet on, whose source is the pod."""
    assert switch.run(HOST_PORT, ethernet(to, HOST_MAC, packet)).dropped == ()


def answer(switch: Switch, packet: bytes) -> bytes:
    """Have the local member send a packet to the pod's MAC address; return what comes out."""
    result = switch.run(OTHER_PORT, ethernet(LOCAL_MAC, OTHER_MAC, packet))
    assert (result.dropped, result.counted) == ((), ("delivered",))
    return result.packet


def is_turned(packet: bytes) -> bool:
    return packet.startswith(mac(HOST_MAC))


@pytest.mark.parametrize(("protocol", "transport"), [(17, udp), (TCP, tcp), (SCTP, udp)])
def test_answers_to_what_the_host_forwarded_go_to_the_host(town: Switch, protocol: int, transport: type) -> None:
    forwarded(town, ipv4(POD, MEMBER, transport(40000, 80), protocol=protocol))
    assert is_turned(answer(town, ipv4(MEMBER, POD, transport(80, 40000), protocol=protocol)))
    assert not is_turned(answer(town, ipv4(MEMBER, POD, transport(80, 40001), protocol=protocol)))
    assert not is_turned(answer(town, ipv4(MEMBER, POD, transport(81, 40000), protocol=protocol)))


def test_answers_from_another_host_go_to_the_host(town: Switch) -> None:
    forwarded(town, ipv4(POD, FAR_MEMBER, tcp(40000, 80), protocol=TCP), to=REMOTE_MAC)
    frame = ethernet(LOCAL_MAC, REMOTE_MAC, ipv4(FAR_MEMBER, POD, tcp(80, 40000), protocol=TCP))
    for _ in range(3):  # once decided, the decision is remembered; the flow is looked up all the same
        assert is_turned(town.run(UNDERLAY, arrival(PEER, OWN, frame)).packet)
    other = ethernet(LOCAL_MAC, REMOTE_MAC, ipv4(FAR_MEMBER, POD, tcp(80, 40001), protocol=TCP))
    assert not is_turned(town.run(UNDERLAY, arrival(PEER, OWN, other)).packet)


def test_later_fragments_of_an_answer_follow_the_first(town: Switch) -> None:
    forwarded(town, ipv4(POD, MEMBER, udp(40000, 53)))
    assert not is_turned(answer(town, ipv4(MEMBER, POD, bytes(16), fragment=0x0010)))
    assert is_turned(answer(town, ipv4(MEMBER, POD, udp(53, 40000), fragment=0x2000)))
    assert is_turned(answer(town, ipv4(MEMBER, POD, bytes(16), fragment=0x2010)))
    assert is_turned(answer(town, ipv4(MEMBER, POD, bytes(16), fragment=0x0020)))


@pytest.mark.parametrize(("kind", "turned"), [(3, True), (11, True), (12, True), (0, False), (8, False), (5, False)])
def test_an_icmp_error_goes_where_what_it_quotes_came_from(town: Switch, kind: int, turned: bool) -> None:
    asked = ipv4(POD, MEMBER, udp(40000, 53))
    forwarded(town, asked)
    error = bytes([kind, 3, 0, 0, 0, 0, 0, 0]) + asked
    assert is_turned(answer(town, ipv4(MEMBER, POD, error, protocol=ICMP))) is turned
    other = bytes([kind, 3, 0, 0, 0, 0, 0, 0]) + ipv4(POD, MEMBER, udp(40001, 53))
    assert not is_turned(answer(town, ipv4(MEMBER, POD, other, protocol=ICMP)))
    cut = bytes([kind, 3, 0, 0, 0, 0, 0, 0]) + asked[:22]
    assert not is_turned(answer(town, ipv4(MEMBER, POD, cut, protocol=ICMP)))


def test_a_flow_that_the_container_begins_itself_is_its_own(town: Switch) -> None:
    begin = bytearray(tcp(40000, 80))
    begin[13] = 0x02  # SYN
    forwarded(town, ipv4(POD, MEMBER, tcp(40000, 80), protocol=TCP))
    town.run(PORT, ethernet(OTHER_MAC, LOCAL_MAC, ipv4(POD, MEMBER, tcp(40000, 80), protocol=TCP)))
    assert is_turned(answer(town, ipv4(MEMBER, POD, tcp(80, 40000), protocol=TCP)))  # that was no beginning
    town.run(PORT, ethernet(OTHER_MAC, LOCAL_MAC, ipv4(POD, MEMBER, bytes(begin), protocol=TCP)))
    assert not is_turned(answer(town, ipv4(MEMBER, POD, tcp(80, 40000), protocol=TCP)))
    forwarded(town, ipv4(POD, MEMBER, udp(40000, 53)))
    town.run(PORT, ethernet(OTHER_MAC, LOCAL_MAC, ipv4(POD, MEMBER, udp(40000, 53))))
    assert not is_turned(answer(town, ipv4(MEMBER, POD, udp(53, 40000))))


def test_nothing_is_noted_or_turned_without_the_flag(town: Switch) -> None:
    forwarded(town, ipv4(POD, MEMBER, udp(40000, 99)))
    town.datapath.use_returns(False)
    assert not is_turned(answer(town, ipv4(MEMBER, POD, udp(99, 40000))))
    forwarded(town, ipv4(POD, MEMBER, udp(40000, 98)))
    town.datapath.use_returns(True)
    assert is_turned(answer(town, ipv4(MEMBER, POD, udp(99, 40000))))
    assert not is_turned(answer(town, ipv4(MEMBER, POD, udp(98, 40000))))


@pytest.mark.parametrize("cut", [20, 22, 23])
def test_a_header_that_is_cut_short_is_handed_over_as_it_is(town: Switch, cut: int) -> None:
    forwarded(town, ipv4(POD, MEMBER, udp(40000, 53))[:cut])
    assert not is_turned(answer(town, ipv4(MEMBER, POD, udp(53, 40000))[:cut]))
