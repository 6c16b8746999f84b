"""Whom we dial and when: targets, discovered peers, back-off, hope."""

import math
from itertools import pairwise
from random import Random

import pytest

from ripstop.core.events import Endpoint
from ripstop.core.mesh.connector import (
    COURTESY,
    FIRST_RETRY,
    FULL_MESH,
    JITTER,
    RETRY_GROWTH,
    RETRY_LIMIT,
    Connector,
    neighbors,
)
from ripstop.core.mesh.messages import PeerRecord
from ripstop.core.names import PeerName, ShortId, UnderlayIp

LOW, OWN, HIGH = PeerName("1" * 16), PeerName("5" * 16), PeerName("f" * 16)
TARGET = Endpoint("host.example", 6783)


def record(name: PeerName, *addresses: str, port: int = 6783) -> PeerRecord:
    """Return the record of some peer."""
    return PeerRecord(name, 1, "", tuple(map(UnderlayIp, addresses)), port, ShortId(1))


class Side:
    """A connector and who is connected."""

    def __init__(self, *, discovers: bool = True) -> None:
        self.connected: list[PeerName] = []
        self.connector = Connector(OWN, discovers, lambda peer: peer in self.connected, Random(1))

    def dials(self, now: float) -> list[Endpoint]:
        """Return what is dialed now."""
        return [dial.endpoint for dial in self.connector.tick(now)]

    def fail_until(self, end: float) -> list[float]:
        """Let every dial fail at once; return when there were any."""
        times: list[float] = []
        while self.connector.deadline <= end:
            now = self.connector.deadline
            for endpoint in self.dials(now):
                times.append(now)
                self.connector.fail(endpoint, "refused", now)
        return times


def test_a_target_is_dialed_at_once_and_then_ever_more_seldom() -> None:
    side = Side()
    side.connector.add([TARGET], 0.0)
    times = side.fail_until(1000.0)
    pauses = [after - before for before, after in pairwise(times)]
    expected = [min(FIRST_RETRY * RETRY_GROWTH**i, RETRY_LIMIT) for i in range(len(pauses))]
    assert times[0] == 0.0
    assert all(abs(pause - want) <= want * JITTER + 1e-9 for pause, want in zip(pauses, expected, strict=True))
    assert len({*pauses}) == len(pauses)
    (view,) = side.connector.view(1000.0)
    assert (view.state, view.error) == ("waiting", "refused")
    assert view.retry_in
    assert 0 < view.retry_in <= RETRY_LIMIT * (1 + JITTER)


def test_a_connected_target_is_left_alone_and_dialed_again_when_lost() -> None:
    side = Side()
    side.connector.add([TARGET], 0.0)
    assert side.dials(0.0) == [TARGET]
    assert side.connector.view(0.0)[0].state == "dialing"
    side.connector.dialed(TARGET)
    side.connected = [HIGH]
    side.connector.leads_to(TARGET, HIGH, 0.1)
    assert side.connector.deadline == math.inf
    assert side.connector.view(0.1)[0].state == "connected"
    side.connected = []
    side.connector.lost(HIGH, 10.0)
    assert 10.0 <= side.connector.deadline <= 10.0 + COURTESY
    assert side.dials(side.connector.deadline) == [TARGET]


def test_discovered_peers_are_dialed_by_the_lower_name_first() -> None:
    side = Side()
    side.connector.know((record(LOW, "192.0.2.1"), record(HIGH, "192.0.2.2", port=7000)), 5.0)
    assert side.dials(5.0) == [Endpoint("192.0.2.2", 7000)]
    assert side.connector.deadline == 5.0 + COURTESY
    assert side.dials(5.0 + COURTESY) == [Endpoint("192.0.2.1", 6783)]
    assert side.connector.is_dialing(HIGH)


def test_all_addresses_are_tried_before_any_wait() -> None:
    side = Side()
    side.connector.know((record(HIGH, "192.0.2.1", "192.0.2.2", "192.0.2.3"),), 0.0)
    for last in (1, 2, 3):
        assert side.dials(0.0) == [Endpoint(f"192.0.2.{last}", 6783)]
        side.connector.fail(Endpoint(f"192.0.2.{last}", 6783), "no answer", 0.0)
    assert side.dials(0.0) == []
    assert FIRST_RETRY * (1 - JITTER) <= side.connector.deadline <= FIRST_RETRY * (1 + JITTER)
    assert side.connector.error(HIGH) == "no answer"


def test_without_discovery_only_targets_are_dialed() -> None:
    side = Side(discovers=False)
    side.connector.know((record(HIGH, "192.0.2.1"),), 0.0)
    side.connector.add([TARGET], 0.0)
    assert side.dials(10.0) == [TARGET]


def test_news_of_a_peer_ends_the_wait() -> None:
    side = Side()
    side.connector.know((record(HIGH, "192.0.2.1"),), 0.0)
    side.fail_until(100.0)
    assert side.dials(100.0) == []
    side.connector.urge(HIGH, 100.0)
    assert side.dials(100.0) == [Endpoint("192.0.2.1", 6783)]
    side.connector.urge(HIGH, 100.1)
    assert side.dials(100.1) == []


def test_a_changed_address_is_tried_at_once() -> None:
    side = Side()
    side.connector.know((record(LOW, "192.0.2.1"),), 0.0)
    side.fail_until(100.0)
    side.connector.know((record(LOW, "192.0.2.9"),), 100.0)
    assert side.dials(100.0) == [Endpoint("192.0.2.9", 6783)]


def test_new_addresses_of_our_own_give_hope_for_all() -> None:
    side = Side()
    side.connector.add([TARGET], 0.0)
    side.connector.know((record(HIGH, "192.0.2.1"),), 0.0)
    side.fail_until(100.0)
    side.connector.urge_all(100.0)
    assert side.dials(100.0) == [TARGET, Endpoint("192.0.2.1", 6783)]


def test_ourselves_are_dialed_once() -> None:
    side = Side()
    side.connector.add([TARGET], 0.0)
    assert side.dials(0.0) == [TARGET]
    side.connector.dialed(TARGET)
    side.connector.leads_to(TARGET, OWN, 0.1)
    assert side.fail_until(1000.0) == []
    assert side.connector.view(1000.0)[0].state == "connected"
    side.connector.urge_all(1000.0)
    assert side.dials(1000.0) == [TARGET]


def test_an_address_that_is_somebody_else_is_passed_over() -> None:
    side = Side()
    side.connector.know((record(HIGH, "192.0.2.1", "192.0.2.2"),), 0.0)
    assert side.dials(0.0) == [Endpoint("192.0.2.1", 6783)]
    side.connector.dialed(Endpoint("192.0.2.1", 6783))
    side.connector.leads_to(Endpoint("192.0.2.1", 6783), LOW, 0.1)
    assert side.connector.error(HIGH) == f"this is {LOW}"
    assert side.dials(0.1) == [Endpoint("192.0.2.2", 6783)]


def test_an_address_that_is_ourselves_is_passed_over() -> None:
    side = Side()
    own = Endpoint("172.17.0.1", 6783)
    side.connector.leads_to(own, OWN, 0.0)
    side.connector.know((record(HIGH, "172.17.0.1", "192.0.2.2"),), 0.0)
    assert side.dials(0.0) == []
    assert side.dials(0.0) == [Endpoint("192.0.2.2", 6783)]


def test_one_endpoint_is_never_dialed_twice_at_a_time() -> None:
    side = Side()
    side.connector.add([Endpoint("192.0.2.1", 6783)], 0.0)
    side.connector.know((record(HIGH, "192.0.2.1"),), 0.0)
    assert side.dials(0.0) == [Endpoint("192.0.2.1", 6783)]
    side.connector.fail(Endpoint("192.0.2.1", 6783), "refused", 1.0)
    assert side.connector.error(HIGH) == "refused"
    assert side.connector.view(1.0)[0].error == "refused"


def test_targets_come_and_go() -> None:
    side = Side()
    other = Endpoint("192.0.2.7", 6783)
    side.connector.add([TARGET, other], 0.0)
    side.connector.forget([TARGET, TARGET])
    assert side.connector.targets == (other,)
    assert side.dials(0.0) == [other]


@pytest.mark.parametrize("count", [1, 2, FULL_MESH])
def test_in_a_small_mesh_everyone_is_a_neighbor(count: int) -> None:
    others = tuple(PeerName(f"{i:016x}") for i in range(1, count))
    assert tuple(neighbors(PeerName("0" * 16), others)) == others


def test_in_a_large_mesh_neighbors_are_few_and_connect_it() -> None:
    everyone = [PeerName(f"{i:016x}") for i in range(1000)]
    chosen = {one: neighbors(one, tuple(other for other in everyone if other != one)) for one in everyone}
    assert max(len(few) for few in chosen.values()) <= 10
    reached = {everyone[0]}
    for _ in range(10):
        reached |= {other for one in reached for other in chosen[one]}
    assert len(reached) == 1000
