"""News goes where it is new, in batches; comparisons find the rest, also what versions do not show."""

from collections.abc import Container
from random import Random

from ripstop.core.effects import Effect, Send
from ripstop.core.mesh.gossip import BATCH_INTERVAL, BATCH_KEYS, EXCHANGE_INTERVAL, URGENT_INTERVAL, Spreader
from ripstop.core.mesh.messages import Digest, Entry, Gossip, Reach, Versions, Want
from ripstop.core.mesh.replica import Replica
from ripstop.core.names import ConnectionId, PeerName

A, B, C = ConnectionId(1), ConnectionId(2), ConnectionId(3)


def entry(number: int, version: int = 1, data: bytes = b"") -> Entry:
    """Return an entry of some peer."""
    name = PeerName(f"{number:016x}")
    return Entry(f"reach/{name}", version, Reach(name, data, b"", 0))


def covers_nobody(_source: ConnectionId) -> Container[ConnectionId]:
    """No neighbor passes anything on."""
    return ()


class Side:
    """One replica and its spreader."""

    def __init__(self, *entries: Entry) -> None:
        self.replica = Replica()
        self.replica.merge(entries)
        self.spreader = Spreader(self.replica, covers_nobody, 0.0, Random(1))

    def learn(self, *entries: Entry, source: ConnectionId | None = None, now: float = 0.0) -> None:
        """Merge these, pass on what is news."""
        self.spreader.spread(self.replica.merge(entries), source, now)
        if source is not None:
            self.spreader.note(entries, source, now)


def gossip(effects: list[Effect]) -> dict[ConnectionId, list[Entry]]:
    """Return which entries go where."""
    found: dict[ConnectionId, list[Entry]] = {}
    for effect in effects:
        if isinstance(effect, Send) and isinstance(effect.message, Gossip):
            found.setdefault(effect.connection, []).extend(effect.message.entries)
    return found


def test_news_goes_at_once_to_all_but_its_source() -> None:
    side = Side()
    side.learn(entry(1), source=A)
    assert side.spreader.deadline == 0.0
    assert gossip(side.spreader.tick((A, B, C), 0.0)) == {B: [entry(1)], C: [entry(1)]}
    assert side.spreader.deadline == EXCHANGE_INTERVAL


def test_more_news_waits_for_the_next_batch_and_goes_in_one() -> None:
    side = Side()
    side.learn(entry(1))
    side.spreader.tick((A,), 0.0)
    side.learn(entry(2), now=0.01)
    side.learn(entry(3), now=0.02)
    side.learn(entry(2, version=2), now=0.03)
    assert side.spreader.deadline == BATCH_INTERVAL
    assert gossip(side.spreader.tick((A,), 0.03)) == {}
    effects = side.spreader.tick((A,), BATCH_INTERVAL)
    assert len(effects) == 1
    assert gossip(effects) == {A: [entry(2, version=2), entry(3)]}


def test_what_traffic_waits_for_hurries_a_batch() -> None:
    side = Side()
    side.learn(entry(1))
    side.spreader.tick((A,), 0.0)
    side.learn(entry(2), now=0.001)
    assert side.spreader.deadline == BATCH_INTERVAL
    side.spreader.spread(side.replica.merge((entry(3),)), None, 0.002, urgent=True)
    assert side.spreader.deadline == URGENT_INTERVAL
    assert gossip(side.spreader.tick((A,), URGENT_INTERVAL)) == {A: [entry(2), entry(3)]}


def test_whoever_sends_the_same_is_not_sent_it() -> None:
    side = Side()
    side.learn(entry(1), source=A)
    side.learn(entry(1), source=B)
    assert gossip(side.spreader.tick((A, B, C), 0.0)) == {C: [entry(1)]}


def test_whom_the_source_tells_itself_is_not_told_again() -> None:
    replica = Replica()
    spreader = Spreader(replica, lambda source: (B,) if source == A else (), 0.0, Random(1))
    spreader.spread(replica.merge([entry(1)]), A, 0.0)
    assert gossip(spreader.tick((A, B, C), 0.0)) == {C: [entry(1)]}


def test_of_two_values_of_one_version_the_greater_goes_back() -> None:
    side = Side(entry(1, data=b"\2"))
    side.learn(entry(1, data=b"\1"), source=A)
    assert gossip(side.spreader.tick((A,), 0.0)) == {A: [entry(1, data=b"\2")]}


def exchange(left: Side, right: Side) -> int:
    """Let `left` begin a comparison over one connection; return the number of messages."""
    waiting = [(right, effect) for effect in left.spreader.compare(A)]
    count = 0
    while waiting:
        side, effect = waiting.pop(0)
        count += 1
        assert isinstance(effect, Send)
        other = left if side is right else right
        match effect.message:
            case Gossip(entries):
                side.learn(*entries, source=A)
                waiting += [(other, answer) for answer in side.spreader.tick((A,), 1.0, at_once=True)]
            case Digest() | Versions() | Want():
                waiting += [(other, answer) for answer in side.spreader.answer(effect.message, A)]
            case _:
                raise AssertionError(effect)
    return count


def test_a_comparison_makes_both_sides_equal() -> None:
    left = Side(entry(1, 5), entry(2), entry(4, data=b"\1"), entry(5, data=b"\2"), entry(6))
    right = Side(entry(1, 4), entry(3), entry(4, data=b"\2"), entry(5, data=b"\1"), entry(6))
    exchange(left, right)
    assert left.replica.digest() == right.replica.digest()
    assert left.replica.get(entry(4).key) == entry(4, data=b"\2")


def test_a_comparison_of_equals_is_two_short_messages() -> None:
    left, right = Side(entry(1)), Side(entry(1))
    assert exchange(left, right) == 2
    assert right.spreader.answer(Digest(left.replica.digest()), A) == [Send(A, Versions((), ()))]


def test_large_replicas_are_compared_in_parts() -> None:
    full, empty = Side(*(entry(i) for i in range(2 * BATCH_KEYS))), Side()
    answers = full.spreader.answer(Digest(empty.replica.digest()), A)
    assert len(answers) > 1
    exchange(empty, full)
    assert len(empty.replica) == 2 * BATCH_KEYS


def test_now_and_then_somebody_is_asked() -> None:
    side = Side(entry(1))
    asked: dict[ConnectionId, None] = {}
    for i in range(1, 20):
        (effect,) = side.spreader.tick((A, B, C), i * EXCHANGE_INTERVAL)
        assert isinstance(effect, Send)
        assert isinstance(effect.message, Digest)
        asked[effect.connection] = None
    assert sorted(asked) == [A, B, C]
    assert side.spreader.tick((), 100 * EXCHANGE_INTERVAL) == []
