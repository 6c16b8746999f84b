"""The simulated world keeps the promises of a real one: streams in order, refused dials, silence of the dead."""

import math
from collections.abc import Mapping, Sequence
from random import Random

import pytest

from ripstop.core.effects import Close, Dial, Effect, Internal, Save, Send, SendProbe
from ripstop.core.events import Accepted, Closed, Dialed, DialFailed, Endpoint, Probed, Received, UnderlayChanged
from ripstop.core.mesh.messages import Goodbye, Message, Probe
from ripstop.core.names import ConnectionId, PeerName, ShortId, UnderlayIp
from ripstop.core.overlay.forwarding import ForwardingTables
from ripstop.sim.world import DIAL_TIMEOUT, PORT, World, WorldEvent

A, B = PeerName("a" * 16), PeerName("b" * 16)
HERE, THERE = UnderlayIp("192.0.2.1"), UnderlayIp("192.0.2.2")


class Recorder:
    """A core that does nothing but remember."""

    def __init__(self, disk: Mapping[str, bytes]) -> None:
        self.disk = disk
        self.deadline = math.inf
        self.events: list[WorldEvent] = []
        self.ticks: list[float] = []

    def receive(self, event: WorldEvent, now: float) -> Sequence[Effect | Internal]:
        """Remember."""
        del now
        self.events.append(event)
        return []

    def tick(self, now: float) -> Sequence[Effect | Internal]:
        """Remember; stay idle afterwards."""
        self.ticks.append(now)
        self.deadline = math.inf
        return []


class Pair:
    """Two hosts whose cores remember."""

    def __init__(self) -> None:
        self.core: dict[PeerName, Recorder] = {}
        self.world = World(self._make, 1)
        for name, address in ((A, HERE), (B, THERE)):
            self.world.add(name, address)
            self.world.start(name)
            assert self.core[name].events == [UnderlayChanged((address,), 1500)]
            self.core[name].events.clear()

    def _make(self, name: PeerName, disk: Mapping[str, bytes], now: float, rng: Random) -> Recorder:
        del now, rng
        self.core[name] = Recorder(disk)
        return self.core[name]

    def connect(self) -> None:
        """Let A dial B."""
        self.world.perform(A, [Dial(Endpoint(THERE, PORT))])
        self.world.run(0.1)
        assert self.core[A].events == [Dialed(Endpoint(THERE, PORT), ConnectionId(1), HERE, THERE)]
        assert self.core[B].events == [Accepted(ConnectionId(1), THERE, HERE)]
        self.core[A].events.clear()
        self.core[B].events.clear()

    def say(self, *texts: str) -> None:
        """Let A send B these."""
        self.world.perform(A, [Send(ConnectionId(1), Goodbye(text)) for text in texts])


def received(*texts: str) -> list[WorldEvent]:
    """Return what coming in looks like."""
    messages: list[Message] = [Goodbye(text) for text in texts]
    return [Received(ConnectionId(1), message) for message in messages]


def test_streams_are_in_order_also_through_loss_and_cuts() -> None:
    pair = Pair()
    pair.connect()
    pair.world.underlay.loss, pair.world.underlay.delay = 0.5, (0.001, 0.1)
    texts = [str(i) for i in range(50)]
    pair.say(*texts[:20])
    pair.world.underlay.cut(A, B)
    pair.world.run(1.0)
    assert pair.core[B].events == []
    pair.say(*texts[20:])
    pair.world.run(1.0)
    pair.world.underlay.heal_all()
    pair.world.run(30.0)
    assert pair.core[B].events == received(*texts)


def test_what_was_sent_before_closing_still_arrives() -> None:
    pair = Pair()
    pair.connect()
    pair.world.perform(A, [Send(ConnectionId(1), Goodbye("x")), Close(ConnectionId(1), "done")])
    pair.world.run(1.0)
    assert pair.core[B].events == [*received("x"), Closed(ConnectionId(1), "closed by the peer")]
    assert pair.core[A].events == []


def test_a_killed_daemon_closes_its_streams_a_dead_host_is_silent() -> None:
    pair = Pair()
    pair.connect()
    pair.world.kill(A)
    pair.world.run(1.0)
    assert pair.core[B].events == [Closed(ConnectionId(1), "closed by the peer")]
    pair.world.start(A)
    pair.core[A].events.clear()
    pair.core[B].events.clear()
    pair.world.perform(A, [Dial(Endpoint(THERE, PORT))])
    pair.world.run(1.0)
    pair.world.crash(B)
    pair.say("into the dark")
    pair.world.run(60.0)
    assert len(pair.core[A].events) == 1


def test_dials_are_refused_or_time_out() -> None:
    pair = Pair()
    dial = Dial(Endpoint(THERE, PORT))
    pair.world.kill(B)
    pair.world.perform(A, [dial])
    pair.world.run(0.1)
    assert pair.core[A].events == [DialFailed(dial.endpoint, "connection refused")]
    pair.world.crash(B)
    pair.world.perform(A, [dial])
    pair.world.run(DIAL_TIMEOUT / 2)
    assert len(pair.core[A].events) == 1
    pair.world.run(DIAL_TIMEOUT)
    assert pair.core[A].events[1:] == [DialFailed(dial.endpoint, "no answer")]


def test_probes_are_answered_by_kernels_that_know_the_sender() -> None:
    pair = Pair()
    probe = Probe(False, A, B, 7, 1450)
    pair.world.perform(A, [SendProbe(THERE, probe)])
    pair.world.run(1.0)
    assert pair.core[A].events == []
    pair.world.hosts[B].kernel.tables = ForwardingTables(ShortId(2), {HERE: ShortId(1)})
    pair.world.kill(B)
    pair.world.perform(A, [SendProbe(THERE, probe)])
    pair.world.run(1.0)
    assert pair.core[A].events == [Probed(THERE, HERE, Probe(True, A, B, 7, 1450))]


@pytest.mark.parametrize(("narrow", "arrives"), [(1500, True), (1499, False)])
def test_probes_larger_than_the_path_are_lost(narrow: int, arrives: bool) -> None:
    pair = Pair()
    pair.world.hosts[B].kernel.tables = ForwardingTables(ShortId(2), {HERE: ShortId(1)})
    pair.world.underlay.mtus[A, B] = narrow
    pair.world.perform(A, [SendProbe(THERE, Probe(False, A, B, 7, 1450))])
    pair.world.run(1.0)
    assert bool(pair.core[A].events) == arrives


def test_disks_outlive_daemons_and_may_be_lost_with_their_host() -> None:
    pair = Pair()
    pair.world.perform(A, [Save((("a", b"1"), ("b", b"2"))), Save((("b", None),))])
    pair.world.kill(A)
    pair.world.start(A)
    assert pair.core[A].disk == {"a": b"1"}
    pair.world.crash(A, lose_disk=True)
    pair.world.start(A)
    assert pair.core[A].disk == {}


def test_a_core_is_ticked_at_its_deadline() -> None:
    pair = Pair()
    pair.core[A].deadline = 5.0
    pair.world.perform(A, [])
    pair.world.run(4.9)
    assert pair.core[A].ticks == []
    pair.world.run(5.0)
    assert pair.core[A].ticks == [5.0]


def test_time_stops_when_what_was_waited_for_is_true() -> None:
    pair = Pair()
    assert pair.world.run(10.0, lambda: pair.world.now >= 3.0)
    assert pair.world.now < 3.2
    assert not pair.world.run(1.0, lambda: False)
