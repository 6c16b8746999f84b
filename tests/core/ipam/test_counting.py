"""Replicated tokens go once they count nowhere, and nobody who hears of the others misses them."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.address import Range
from ripstop.core.ipam.counting import Counting
from ripstop.core.ipam.messages import Ballot, RingStart, Token
from ripstop.core.ipam.ring import Owner, Ring, Stamped
from ripstop.core.mesh.messages import Entry
from ripstop.core.mesh.replica import Replica
from ripstop.core.names import PeerName
from tests.core.ipam.world import peer_name

SIZE = 32
PEERS = tuple(Owner(peer_name(n), n) for n in range(1, 4))
START = RingStart(0, SIZE, tuple(peer.name for peer in PEERS), 1, tuple(peer.birth for peer in PEERS))
RING = Ring(START)
BEGIN = Entry(f"ring-start/{RING.id}", 1, START)


def entry(one: Stamped) -> Entry:
    return Entry(f"ring/{RING.id}/{one.token.start}", one.version, one.token)


def token(version: int, start: int, end: int, owner: Owner = PEERS[0]) -> Entry:
    return entry(Stamped(version, Token(start, owner.name, 0, end, owner.birth)))


def replica(*entries: Entry) -> Replica:
    made = Replica(Counting().take)
    made.merge(entries)
    return made


gift = st.tuples(st.sampled_from(PEERS), st.sampled_from(PEERS), st.integers(0, SIZE - 1), st.integers(1, SIZE))


def story(gifts: list[tuple[Owner, Owner, int, int]]) -> tuple[Ring, list[Entry]]:
    """Return a ring after some gifts, and every entry that was ever written on the way."""
    ring, written = Ring(START), [BEGIN]
    for donor, to, start, length in gifts:
        for own in ring.ranges(donor):
            if donor != to and (given := own.intersection(Range(start, start + length))):
                written += map(entry, ring.grant(given, to, donor, len).written)
        written += map(entry, ring.join(donor, len).written)
    return ring, written


@given(st.lists(gift, max_size=10), st.randoms(use_true_random=False), st.integers(1, 5))
def test_replicas_keep_what_counts_and_are_equal_in_the_end(
    gifts: list[tuple[Owner, Owner, int, int]], rng: Random, size: int
) -> None:
    ring, written = story(gifts)
    counting = {entry(one) for one in ring.tokens if one.version > 1}
    mixed = written * 2
    rng.shuffle(mixed)
    late = Replica(Counting().take)
    for at in range(0, len(mixed), size):
        late.merge(mixed[at : at + size])
    assert set(late) == {*counting, BEGIN}
    assert late.digest() == replica(*written).digest()
    heard = Ring(START)
    heard.merge(Stamped(one.version, one.value) for one in late if isinstance(one.value, Token))
    assert heard.segments == ring.segments


def test_what_is_void_on_arrival_is_no_news() -> None:
    made = replica(BEGIN, token(5, 0, 16))
    assert made.merge([token(4, 2, 6)]) == ()
    assert made.merge([token(4, 12, 20)]) == (token(4, 12, 20),)
    assert made.get(f"ring/{RING.id}/2") is None
    assert len(made) == 3


def test_nothing_goes_as_long_as_the_start_of_the_ring_is_not_known() -> None:
    made = replica(token(5, 0, 16), token(4, 2, 6))
    assert len(made) == 2
    made.merge([BEGIN])
    assert set(made) == {BEGIN, token(5, 0, 16)}


@pytest.mark.parametrize("malformed", [token(9, 0, SIZE + 1), token(9, 4, 4), token(9, 20, 1)])
def test_a_malformed_token_makes_nothing_void(malformed: Entry) -> None:
    made = replica(BEGIN, token(5, 1, 3), token(5, 4, 8), token(5, 20, 24))
    made.merge([malformed])
    assert token(5, 1, 3) in set(made)
    assert malformed not in set(made)


def test_a_busy_ring_leaves_no_more_behind_than_its_ranges() -> None:
    rng = Random(1)
    ring, made = Ring(START), replica(BEGIN)
    for _ in range(500):
        donor, to = rng.sample(PEERS, 2)
        owned = ring.ranges(donor)
        if owned:
            run = rng.choice(owned)
            start = rng.randrange(run.start, run.end)
            given = Range(start, rng.randint(start + 1, run.end))
            made.merge(map(entry, ring.grant(given, to, donor, len).written))
        made.merge(map(entry, ring.join(donor, len).written))
        assert len(made) <= 1 + len(ring.tokens)


def ballot(owner: Owner, ring: str, version: int = 1) -> Entry:
    return Entry(f"paxos/{owner.name}", version, Ballot((0, PeerName("")), (0, PeerName("")), (), ring=ring))


def test_a_ring_goes_when_everybody_is_in_another() -> None:
    ballots = [ballot(peer, "another") for peer in PEERS]
    late = Owner(peer_name(9), 9)
    everything = [BEGIN, token(5, 0, 16), token(6, 16, 20, late), *ballots, ballot(late, "another")]
    for rng in map(Random, range(20)):
        rng.shuffle(everything)
        made = Replica(Counting().take)
        for one in everything:
            made.merge([one])
        made.merge(everything)  # as whoever still has all of it says it again
        assert {entry.key for entry in made} == {entry.key for entry in (*ballots, ballot(late, ""))}


@pytest.mark.parametrize(
    "last", [(), (ballot(PEERS[2], ""),), (ballot(PEERS[2], RING.id),), (ballot(PEERS[2], "another"),)]
)
def test_a_ring_stays_as_long_as_anybody_may_be_in_it(last: tuple[Entry, ...]) -> None:
    stranger = Owner(peer_name(9), 9)
    tokens = token(5, 0, 16), token(6, 16, 20, stranger)
    made = replica(BEGIN, *tokens, *(ballot(peer, "another") for peer in PEERS[:2]), *last)
    assert made.get(BEGIN.key) is not None
    made.merge([ballot(stranger, RING.id)])
    assert made.get(BEGIN.key) is not None
    assert len([entry for entry in made if entry.key.startswith("ring/")]) == 2
