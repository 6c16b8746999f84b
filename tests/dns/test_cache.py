"""Answers of others are kept as long as they hold, and not too many of them."""

from ripstop.dns.cache import Cache, Key
from ripstop.wire.dns_answer import Stored


def stored(ttl: int, size: int = 100) -> Stored:
    """Return an answer."""
    return Stored(0, (1, 0, 0), bytes(size), size, (), ttl)


def key(number: int) -> Key:
    """Return one of many questions."""
    return Key(number.to_bytes(4, "big"), False, False)


def test_an_answer_holds_for_its_time() -> None:
    cache = Cache()
    cache.put(key(1), stored(2), 10.0)
    assert cache.get(key(1), 10.9) == (stored(2), 0)
    assert cache.get(key(1), 11.9) == (stored(2), 1)
    assert cache.get(key(1), 12.0) is None
    assert len(cache) == 0


def test_what_holds_for_no_time_is_not_kept_and_replaces_what_was() -> None:
    cache = Cache()
    cache.put(key(1), stored(2), 0.0)
    cache.put(key(1), stored(0), 0.0)
    assert (cache.get(key(1), 0.0), len(cache)) == (None, 0)


def test_signatures_make_another_answer() -> None:
    cache = Cache()
    cache.put(Key(b"q", True, False), stored(2), 0.0)
    assert cache.get(Key(b"q", False, False), 0.0) is None


def test_the_oldest_go_when_there_are_too_many_bytes() -> None:
    cache = Cache(max_bytes=10_000)
    for number in range(100):
        cache.put(key(number), stored(60), 0.0)
    assert 0 < len(cache) <= 10_000 // 700
    assert cache.get(key(99), 0.0) is not None
    assert cache.get(key(0), 0.0) is None
    cache.put(key(1), stored(60, 20_000), 0.0)
    assert len(cache) == 0
