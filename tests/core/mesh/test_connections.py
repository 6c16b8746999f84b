"""Greetings, heartbeats, duplicates: two ends that never talk about it keep the same connection."""

import pytest

from ripstop.core.effects import Close, Effect, Notice, Send
from ripstop.core.errors import ProtocolError
from ripstop.core.events import Accepted, Dialed, Endpoint
from ripstop.core.mesh.connection import HEARTBEAT_INTERVAL, SILENCE_LIMIT, Step
from ripstop.core.mesh.connections import CLONE_MEMORY, STALE_AFTER, Connections
from ripstop.core.mesh.messages import Goodbye, Heartbeat, Hello
from ripstop.core.names import ConnectionId, PeerName, UnderlayIp

LOW, HIGH = PeerName("1" * 16), PeerName("f" * 16)
HERE, THERE = UnderlayIp("192.0.2.1"), UnderlayIp("192.0.2.2")
ENDPOINT = Endpoint(THERE, 6783)


def hello(name: PeerName, instance: int = 1, protocol: int = 1) -> Hello:
    """Return what a peer says first."""
    return Hello(protocol, name, 1, "", 6783, "", instance)


class Side:
    """The connections of one peer."""

    def __init__(self, name: PeerName) -> None:
        self.name = name
        self.all = Connections(name, 1, self.greeting, 0.0)

    def greeting(self, seen_as: str) -> Hello:
        """Say hello to whom we see under an address."""
        return Hello(1, self.name, 1, "", 6783, seen_as, 1)

    def dial(self, number: int, now: float = 0.0) -> list[Effect]:
        """A dial got through."""
        return self.all.open(Dialed(ENDPOINT, ConnectionId(number), HERE, THERE), now)

    def accept(self, number: int, now: float = 0.0) -> list[Effect]:
        """Somebody dialed."""
        return self.all.open(Accepted(ConnectionId(number), HERE, THERE), now)

    def greet(self, number: int, message: Hello, now: float = 0.0) -> list[Effect]:
        """The other side says hello."""
        connection = self.all.get(ConnectionId(number))
        return self.all.greet(connection, message, now) if connection else []

    def kept(self) -> list[int]:
        """Return the connections in use."""
        return [connection.id for connection in self.all.current().values()]


def refused(number: int, reason: str) -> list[Effect]:
    """Return what closing with a reason looks like."""
    return [Send(ConnectionId(number), Goodbye(reason)), Close(ConnectionId(number), reason)]


def test_both_sides_greet_and_are_connected() -> None:
    side = Side(LOW)
    assert side.dial(1) == [Send(ConnectionId(1), Hello(1, LOW, 1, "", 6783, THERE, 1))]
    assert side.kept() == []
    (notice,) = side.greet(1, hello(HIGH))
    assert isinstance(notice, Notice)
    assert side.kept() == [1]
    found = side.all.to(HIGH)
    assert found
    assert found.is_outbound
    assert side.all.generation == 1


def test_a_second_hello_is_an_error() -> None:
    side = Side(LOW)
    side.dial(1)
    side.greet(1, hello(HIGH))
    with pytest.raises(ProtocolError):
        side.greet(1, hello(HIGH))


def test_another_protocol_is_refused_by_number() -> None:
    side = Side(LOW)
    side.accept(1)
    assert side.greet(1, hello(HIGH, protocol=2)) == refused(1, "speaks protocol 2, we speak 1")
    assert side.kept() == []


def test_ourselves_and_our_double_are_told_apart() -> None:
    side = Side(LOW)
    side.dial(1)
    assert side.greet(1, hello(LOW, instance=1)) == refused(1, "this is ourselves")
    side.dial(2)
    *effects, notice = side.greet(2, hello(LOW, instance=2))
    assert effects == refused(2, "both ends have the same name")
    assert isinstance(notice, Notice)
    assert notice.level == "error"
    assert LOW in notice.text
    side.accept(3)
    assert side.greet(3, hello(LOW, instance=2), now=9.0) == refused(3, "both ends have the same name")


def test_a_double_counts_as_there_as_long_as_it_dials() -> None:
    side = Side(LOW)
    assert side.all.clones(0.0) == ()
    for number, now in ((1, 0.0), (2, 60.0)):
        side.accept(number, now=now)
        side.greet(number, hello(LOW, instance=2), now=now)
    assert len(side.all.clones(60.0 + CLONE_MEMORY - 1.0)) == 1
    assert side.all.clones(60.0 + CLONE_MEMORY) == ()


@pytest.mark.parametrize("order_low", [(1, 2), (2, 1)])
@pytest.mark.parametrize("order_high", [(1, 2), (2, 1)])
def test_of_two_that_cross_both_ends_keep_what_the_lower_name_dialed(
    order_low: tuple[int, ...], order_high: tuple[int, ...]
) -> None:
    low, high = Side(LOW), Side(HIGH)
    low.dial(1)
    low.accept(2)
    high.accept(1)
    high.dial(2)
    for number in order_low:
        low.greet(number, hello(HIGH))
    for number in order_high:
        high.greet(number, hello(LOW))
    assert low.kept() == high.kept() == [1]
    assert low.all.get(ConnectionId(2)) is None
    assert high.all.get(ConnectionId(2)) is None


def test_of_two_that_we_dialed_we_keep_the_older() -> None:
    dialer, acceptor = Side(HIGH), Side(LOW)
    for number in (1, 2):
        dialer.dial(number)
        acceptor.accept(number)
        acceptor.greet(number, hello(HIGH))
    dialer.greet(1, hello(LOW))
    assert dialer.greet(2, hello(LOW)) == refused(2, "duplicate")
    assert dialer.kept() == [1]
    assert acceptor.kept() == [2]  # until it hears that it is a duplicate
    second = acceptor.all.get(ConnectionId(2))
    assert second
    acceptor.all.end(second, Step.GOODBYE, "duplicate")
    assert acceptor.kept() == [1]
    assert acceptor.all.ended == {}


def test_who_is_dialed_again_uses_the_new_connection_as_the_old_may_be_dead() -> None:
    side = Side(LOW)
    for number in (1, 2):
        side.accept(number)
        side.greet(number, hello(HIGH))
    assert side.kept() == [2]
    first = side.all.get(ConnectionId(1))
    assert first
    side.all.end(first, Step.STREAM_CLOSED, "reset")
    assert side.kept() == [2]
    assert side.all.ended == {}


def test_a_peer_that_restarted_makes_its_old_connection_void() -> None:
    side = Side(LOW)
    side.dial(1)
    side.greet(1, hello(HIGH, instance=1))
    side.accept(2)
    effects = side.greet(2, hello(HIGH, instance=2))
    assert effects[:2] == refused(1, "the peer has restarted")
    assert side.kept() == [2]


def test_a_silent_connection_gives_way() -> None:
    side = Side(LOW)
    side.dial(1)
    side.greet(1, hello(HIGH))
    side.accept(2, now=STALE_AFTER + 1)
    effects = side.greet(2, hello(HIGH), now=STALE_AFTER + 1)
    assert effects[:2] == refused(1, "silent, and there is a new one")
    assert side.kept() == [2]


def test_heartbeats_go_out_and_silence_ends_a_connection() -> None:
    side = Side(LOW)
    side.dial(1)
    side.greet(1, hello(HIGH))
    side.accept(2)
    now, beats = 0.0, 0
    while side.kept():
        now = side.all.deadline
        effects = side.all.tick(now)
        beats += effects.count(Send(ConnectionId(1), Heartbeat()))
        assert Send(ConnectionId(2), Heartbeat()) not in effects
    assert now == SILENCE_LIMIT
    assert beats == SILENCE_LIMIT / HEARTBEAT_INTERVAL - 1
    assert side.all.ended[HIGH].reason == "silent for 8 s"
    assert side.all.take_failed() == []


def test_a_stall_of_ours_is_not_their_silence() -> None:
    side = Side(LOW)
    side.dial(1)
    side.greet(1, hello(HIGH))
    side.all.tick(2.0)
    side.all.tick(100.0)
    assert side.kept() == [1]
    side.all.tick(side.all.deadline)
    side.all.tick(side.all.deadline)
    assert side.kept() == []


def test_a_dial_that_nobody_answered_is_told() -> None:
    side = Side(LOW)
    side.dial(1)
    connection = side.all.get(ConnectionId(1))
    assert connection
    assert side.all.end(connection, Step.GOODBYE, "full") == [Close(ConnectionId(1), "full")]
    assert side.all.take_failed() == [(ENDPOINT, "full")]
    assert side.all.take_failed() == []


def test_leaving_says_goodbye_to_everyone() -> None:
    side = Side(LOW)
    side.dial(1)
    side.accept(2)
    assert side.all.leave("left the mesh") == refused(1, "left the mesh") + refused(2, "left the mesh")
