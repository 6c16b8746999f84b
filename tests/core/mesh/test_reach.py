"""Good news of what we reach waits for company; bad news does not."""

import math

from ripstop.core.mesh.membership import Author
from ripstop.core.mesh.messages import Reach
from ripstop.core.mesh.reach import REACH_INTERVAL, ReachWriter
from ripstop.core.names import PeerName

OWN = PeerName("1" * 16)


def test_the_first_word_is_said_even_if_it_is_nothing() -> None:
    entry = ReachWriter(OWN, Author(1)).write(b"", b"", 0, 0.0)
    assert entry
    assert (entry.key, entry.value) == (f"reach/{OWN}", Reach(OWN, b"", b"", 0))


def test_good_news_is_batched() -> None:
    writer = ReachWriter(OWN, Author(1))
    assert writer.write(b"\2", b"", 1450, 0.0)
    assert writer.write(b"\2", b"", 1450, 0.01) is None
    assert writer.deadline == math.inf
    assert writer.write(b"\6", b"\2", 1450, 0.02) is None
    assert writer.deadline == REACH_INTERVAL
    assert writer.write(b"\6", b"\2", 1450, REACH_INTERVAL)
    assert writer.deadline == math.inf


def test_bad_news_is_not() -> None:
    writer = ReachWriter(OWN, Author(1))
    writer.write(b"\6", b"\6", 1450, 0.0)
    assert writer.write(b"\2", b"\6", 1450, 0.01)
    assert writer.write(b"\2", b"\6", 1280, 0.02)
    assert writer.write(b"\2", b"", 1280, 0.03) is None


def test_a_new_incarnation_says_it_again() -> None:
    author = Author(1)
    writer = ReachWriter(OWN, author)
    first = writer.write(b"\2", b"", 1450, 0.0)
    author.outdo(7 << 32)
    again = writer.write(b"\2", b"", 1450, 0.0)
    assert first
    assert again
    assert again.value == first.value
    assert again.version >> 32 == 8
