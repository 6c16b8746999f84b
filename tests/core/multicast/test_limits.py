"""Token buckets and counts."""

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.multicast.limits import Refusal, Refusals, TokenBucket


def test_a_burst_passes_and_then_the_rate() -> None:
    bucket = TokenBucket(rate=10.0, burst=5, now=0.0)
    assert bucket.take(7, now=0.0) == 5
    assert bucket.take(1, now=0.05) == 0
    assert bucket.take(9, now=0.35) == 3
    assert bucket.take(9, now=100.0) == 5


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20)), max_size=30))
def test_never_more_than_the_burst_and_the_rate(asked: list[tuple[float, int]]) -> None:
    bucket, now, passed = TokenBucket(10.0, 5, 0.0), 0.0, 0
    for wait, count in asked:
        now += wait
        passed += bucket.take(count, now)
        assert passed <= 5 + 10 * now + 1e-6


def test_a_clock_that_stands_still_gives_nothing() -> None:
    bucket = TokenBucket(10.0, 1, now=5.0)
    assert bucket.take(1, now=5.0) == 1
    assert bucket.take(1, now=4.0) == 0


def test_counts_add_up() -> None:
    one, other = Refusals(), Refusals()
    one.count(Refusal.RATE)
    other.count(Refusal.RATE, 3)
    other.count(Refusal.GROUPS)
    one.add(other)
    assert one.all() == {Refusal.RATE: 4, Refusal.GROUPS: 1}
    assert other.all() == {Refusal.RATE: 3, Refusal.GROUPS: 1}
