"""One path through its life: found, checked, doubted, lost, sized, moved."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.effects import SendProbe
from ripstop.core.events import Probed
from ripstop.core.mesh.messages import Probe
from ripstop.core.mesh.path import CHECK_INTERVAL, FULL_INTERVAL, LOST_AFTER, SMALL, Path, PathMonitor
from ripstop.core.names import PeerName, UnderlayIp

OWN, PEER = PeerName("1" * 16), PeerName("2" * 16)
HERE, FIRST, SECOND = (UnderlayIp(f"192.0.2.{i}") for i in (1, 2, 3))
RTT = 0.004  # seconds


class Line:
    """A monitor, a clock, and a line whose quality is a function: which probes come back."""

    def __init__(self, path: Path | None = None, mtu: int = 1500, addresses: tuple[UnderlayIp, ...] = (FIRST,)) -> None:
        self.now = 0.0
        self.monitor = PathMonitor(OWN, PEER, 100, 0.0, path)
        self.answers: Callable[[SendProbe], bool] = lambda probe: probe.probe.mtu <= mtu - 50
        self.sent: list[tuple[float, SendProbe]] = []
        self.local = HERE
        self._coming: list[tuple[float, Probed]] = []
        self.monitor.use(addresses, mtu, 0.0)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while (soonest := min([self.monitor.deadline, *(when for when, _ in self._coming)])) <= end:
            self.now = max(self.now, soonest)
            if self._coming and self._coming[0][0] <= self.now:
                self.monitor.receive(self._coming.pop(0)[1], self.now)
                continue
            for probe in self.monitor.tick(self.now):
                self.sent.append((self.now, probe))
                if self.answers(probe):
                    ack = Probe(True, OWN, PEER, probe.probe.nonce, probe.probe.mtu)
                    self._coming.append((self.now + RTT, Probed(probe.remote, self.local, ack)))
        self.now = end

    def works(self) -> bool:
        """Return whether there is a path."""
        return self.monitor.path is not None

    def is_confirmed(self) -> bool:
        """Return whether the peer has answered."""
        return self.monitor.is_confirmed

    def sizes(self, since: float = 0.0) -> list[int]:
        """Return the sizes of what was sent."""
        return [probe.probe.mtu for when, probe in self.sent if when >= since]


def nothing(_probe: SendProbe) -> bool:
    """Nothing comes back."""
    return False


def test_a_search_sends_all_sizes_to_all_addresses_at_once() -> None:
    line = Line(addresses=(FIRST, SECOND))
    line.answers = nothing
    line.run(0.0)
    assert line.sizes() == [size for size in (1450, 1410, 1370, 1350, 1280, SMALL) for _ in range(2)]
    assert {probe.remote for _, probe in line.sent} == {FIRST, SECOND}
    line.run(CHECK_INTERVAL)
    assert len(line.sent) == 24


def test_the_largest_size_that_is_answered_is_used_within_a_round_trip() -> None:
    line = Line()
    line.run(RTT)
    assert line.monitor.path == Path(FIRST, HERE, 1450)
    assert line.monitor.rtt == pytest.approx(RTT)
    assert line.monitor.is_confirmed


@pytest.mark.parametrize(("carries", "found"), [(1400, 1370), (1280, 1280), (8000, 1450), (8950, 8950)])
def test_a_narrower_path_than_our_link_is_found_soon(carries: int, found: int) -> None:
    line = Line(mtu=9000)
    line.answers = lambda probe: probe.probe.mtu <= carries
    line.run(0.1)
    assert line.monitor.path == Path(FIRST, HERE, found)


def test_the_first_address_that_answers_is_used() -> None:
    line = Line(addresses=(FIRST, SECOND))
    line.answers = lambda probe: probe.remote == SECOND
    line.run(0.1)
    assert line.monitor.path == Path(SECOND, HERE, 1450)


def test_a_path_that_carries_too_little_is_none() -> None:
    line = Line()
    line.answers = lambda probe: probe.probe.mtu < 1280
    line.run(5.0)
    assert not line.works()
    assert line.monitor.reason == "192.0.2.2 answers, but no packets of 1280 bytes"


def test_a_working_path_costs_two_small_probes_a_second_and_a_full_one_every_five() -> None:
    line = Line()
    line.run(1.0)
    since = line.now
    line.run(60.0)
    sizes = line.sizes(since)
    assert 110 <= sizes.count(SMALL) <= 135
    assert sizes.count(1450) == 60 / FULL_INTERVAL
    assert len(sizes) == sizes.count(SMALL) + sizes.count(1450)


@pytest.mark.parametrize("phase", [0.0, 0.1, 0.2, 0.3, 0.4, 4.3, 4.6])
def test_a_dead_path_is_lost_within_two_seconds_and_never_before_one(phase: float) -> None:
    line = Line()
    line.run(2.0 + phase)
    line.answers = nothing
    line.run(LOST_AFTER - CHECK_INTERVAL)
    assert line.works()
    line.run(0.9)
    assert not line.works()
    assert line.monitor.reason.startswith("no answer from 192.0.2.2 for 1.")


def test_a_lost_path_must_answer_two_rounds() -> None:
    line = Line()
    line.run(1.0)
    line.answers = nothing
    line.run(2.0)
    answered: list[int] = []

    def once(probe: SendProbe) -> bool:
        answered.append(probe.probe.mtu)
        return len(answered) <= 6

    line.answers = once
    line.run(3.0)
    assert not line.works()
    line.answers = lambda probe: True
    line.run(0.8)
    assert line.monitor.path == Path(FIRST, HERE, 1450)


def test_a_lost_path_is_searched_ever_more_slowly_until_there_is_hope() -> None:
    line = Line()
    line.answers = nothing
    line.run(30.0)
    since = line.now
    line.run(20.0)
    assert len(line.sizes(since)) == 10 * 6
    line.answers = lambda probe: True
    line.monitor.hurry(line.now)
    line.run(0.1)
    assert line.works()


def test_half_the_probes_lost_is_still_a_path() -> None:
    line = Line()
    line.run(1.0)
    counter: list[int] = []

    def every_other(probe: SendProbe) -> bool:
        counter.append(1)
        return probe.probe.mtu <= 1450 and len(counter) % 2 == 0

    line.answers = every_other
    for _ in range(60):
        line.run(0.5)
        assert line.monitor.path == Path(FIRST, HERE, 1450)


def test_a_stall_of_ours_loses_no_path() -> None:
    line = Line()
    line.run(1.0)
    line.monitor.tick(line.now + 30.0)
    line.now += 30.0
    line.run(1.0)
    assert line.monitor.path == Path(FIRST, HERE, 1450)


def test_a_path_that_becomes_narrow_shrinks_and_one_that_widens_grows() -> None:
    line = Line(mtu=9000)
    line.run(1.0)
    line.answers = lambda probe: probe.probe.mtu <= 1400
    line.run(FULL_INTERVAL + 1.0)
    assert line.monitor.path == Path(FIRST, HERE, 1370)
    line.answers = lambda probe: True
    line.run(6 * FULL_INTERVAL)
    assert line.monitor.path == Path(FIRST, HERE, 8950)


def test_a_path_that_becomes_too_narrow_is_lost() -> None:
    line = Line()
    line.run(1.0)
    line.answers = lambda probe: probe.probe.mtu <= 1000
    line.run(FULL_INTERVAL + 1.5)
    assert not line.works()
    assert "1280" in line.monitor.reason


def test_a_restored_path_counts_until_it_proves_dead() -> None:
    path = Path(FIRST, HERE, 1450)
    alive = Line(path)
    assert alive.monitor.path == path
    alive.run(RTT / 2)
    assert not alive.is_confirmed()
    alive.run(RTT / 2)
    assert alive.is_confirmed()
    alive.run(20.0)
    assert alive.monitor.path == path
    dead = Line(path)
    dead.answers = nothing
    dead.run(0.9)
    assert dead.works()
    dead.run(0.4)
    assert not dead.works()


def test_another_address_takes_over_without_a_gap() -> None:
    line = Line(addresses=(FIRST, SECOND))
    line.run(1.0)
    line.answers = lambda probe: probe.remote == SECOND
    for _ in range(30):
        line.run(0.1)
        assert line.works()
    assert line.monitor.path == Path(SECOND, HERE, 1450)


def test_a_peer_that_moves_is_followed_at_once() -> None:
    line = Line()
    line.run(1.0)
    line.answers = lambda probe: True
    line.monitor.use((SECOND,), 1500, line.now)
    line.run(RTT)
    assert line.monitor.path == Path(SECOND, HERE, 1450)


def test_an_address_that_is_given_up_is_left_even_if_it_answers() -> None:
    line = Line()
    line.run(1.0)
    line.monitor.use((SECOND,), 1500, line.now)
    line.answers = lambda probe: probe.remote == FIRST
    line.run(3.0)
    assert not line.works()
    assert line.monitor.reason == "the peer has 192.0.2.2 no more"


def test_our_own_link_sets_the_limit() -> None:
    line = Line(mtu=9000)
    line.run(1.0)
    line.monitor.use((FIRST,), 1500, line.now)
    assert line.works()
    line.monitor.use((FIRST,), 1300, line.now)
    assert not line.works()
    assert "our own links" in line.monitor.reason


def test_our_own_address_on_the_path_is_the_one_that_was_answered() -> None:
    line = Line()
    line.run(1.0)
    line.local = UnderlayIp("192.0.2.9")
    line.run(1.0)
    assert line.monitor.path == Path(FIRST, line.local, 1450)


@given(st.integers(0, 2**62), st.integers(1, 9000), st.sampled_from([FIRST, SECOND]))
def test_answers_to_nothing_prove_nothing(nonce: int, mtu: int, remote: UnderlayIp) -> None:
    line = Line(addresses=(FIRST, SECOND))
    line.answers = nothing
    line.run(0.0)
    asked = {probe.probe.nonce: probe for _, probe in line.sent}
    known = asked.get(nonce)
    line.monitor.receive(Probed(remote, HERE, Probe(True, OWN, PEER, nonce, mtu)), 0.01)
    assert line.monitor.is_confirmed == (known is not None and (known.remote, known.probe.mtu) == (remote, mtu))
    for probe in asked.values():
        elsewhere = SECOND if probe.remote == FIRST else FIRST
        line.monitor.receive(Probed(elsewhere, HERE, Probe(True, OWN, PEER, probe.probe.nonce, probe.probe.mtu)), 0.01)
    assert not line.works()
