import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.address import Range
from ripstop.core.ipam.messages import RingStart, Token
from ripstop.core.ipam.ring import FENCE, Owner, Ring, Stamped, first_tokens, ring_id
from ripstop.core.names import PeerName
from tests.core.ipam.world import peer_name

A, B, C = (Owner(peer_name(n), n * 11) for n in (1, 2, 3))
PEERS = (A, B, C)
START = RingStart(0, 32, (A.name, B.name), 7, (A.birth, B.birth))


def stamped(version: int, start: int, end: int, owner: Owner) -> Stamped:
    return Stamped(version, Token(start, owner.name, 0, end, owner.birth))


def free(run: Range) -> int:
    return len(run)


def owners(ring: Ring) -> list[PeerName | None]:
    return [ring.owner(address) for address in ring.universe]


def test_divides_the_universe_evenly_in_the_order_of_names() -> None:
    members = (C.name, A.name, B.name)
    tokens = first_tokens(RingStart(0, 32, members, births=(33, 11, 22)))
    assert [(one.token.start, one.token.end, one.token.owner, one.token.birth) for one in tokens] == [
        (0, 10, A.name, 11),
        (10, 21, B.name, 22),
        (21, 32, C.name, 33),
    ]
    assert first_tokens(RingStart(0, 32, tuple(sorted(members)), births=(11, 22, 33))) == tokens


def test_more_members_than_addresses() -> None:
    tokens = first_tokens(RingStart(0, 2, (A.name, B.name, C.name)))
    assert sum(one.token.end - one.token.start for one in tokens) == 2


def test_rings_with_another_beginning_have_another_id() -> None:
    others = [
        RingStart(0, 31, START.members, 7, START.births),
        RingStart(0, 32, START.members[:1], 7, START.births),
        RingStart(0, 32, START.members, 8, START.births),
        RingStart(0, 32, START.members, 7, (1, 2)),
    ]
    assert ring_id(START) not in {ring_id(other) for other in others}
    assert len(ring_id(START)) == 16


def test_grant_splits_a_token() -> None:
    ring = Ring(START)
    change = ring.grant(Range(4, 8), C, A, free)
    assert change.written == (stamped_free(2, 0, 4, A, A), stamped_free(2, 4, 8, C, A), stamped_free(2, 8, 16, A, A))
    assert ring.ranges(A) == [Range(0, 4), Range(8, 16)]
    assert ring.ranges(C) == [Range(4, 8)]


def stamped_free(version: int, start: int, end: int, owner: Owner, giver: Owner) -> Stamped:
    return Stamped(version, Token(start, owner.name, end - start, end, owner.birth, giver.birth))


def test_grant_of_what_is_not_ours_is_a_bug() -> None:
    ring = Ring(START)
    for given_away in (Range(10, 20), Range(20, 24)):
        with pytest.raises(AssertionError, match="not all owned"):
            ring.grant(given_away, C, A, free)


def test_a_peer_that_missed_the_news_of_its_neighbours_does_not_overreach() -> None:
    ring, late = Ring(START), Ring(START)
    ring.grant(Range(4, 8), C, A, free)
    handed = ring.grant(Range(12, 16), C, A, free)
    late.merge(handed.written[1:])
    assert late.ranges(C) == [Range(12, 16)]


def test_join_makes_one_token_of_neighbours() -> None:
    ring, other = Ring(START), Ring(START)
    other.merge(ring.grant(Range(12, 16), B, A, free).written)
    change = ring.join(B, free)
    assert change.written == (stamped_free(3, 12, 32, B, B),)
    assert change.dropped == (16,)
    other.merge(change.written)
    assert other.tokens == ring.tokens
    ring.merge([stamped(1, 16, 32, B)])  # late news of what is joined: nothing new
    assert other.tokens == ring.tokens
    regrant = ring.grant(Range(16, 20), C, B, free)
    other.merge(regrant.written)
    assert owners(other) == owners(ring)
    assert other.ranges(C) == [Range(16, 20)]


def test_the_token_of_a_former_self_is_not_ours() -> None:
    ring = Ring(START)
    assert ring.ranges(Owner(A.name, birth=99)) == []
    seeded = Ring(RingStart(0, 32, (A.name,)))
    assert seeded.ranges(Owner(A.name, birth=99)) == [Range(0, 32)]
    assert seeded.ranges(Owner(A.name, birth=99, reborn=True)) == []


def test_news_from_beyond_the_universe_is_refused_whole() -> None:
    ring = Ring(START)
    with pytest.raises(ValueError, match="not within"):
        ring.merge([stamped(5, 0, 8, C), stamped(2, 30, 33, C)])
    assert ring.owner(0) == A.name


def test_two_writers_at_one_version_are_rivals() -> None:
    ring = Ring(START)
    ring.grant(Range(8, 16), B, A, free)  # our token 0-8 is at version 2 now
    rival = stamped(2, 0, 4, C)
    assert ring.rivals(rival, A) == [Range(0, 4)]
    assert ring.rivals(stamped(3, 0, 4, C), A) == []
    assert ring.rivals(stamped(2, 0, 4, A), A) == []


def test_of_two_segments_of_one_token_none_is_lost_by_a_grant() -> None:
    ring = Ring(RingStart(0, 32, (A.name,), births=(A.birth,)))
    ring.merge([stamped(5, 8, 16, B)])  # taken out of the middle, by force
    ring.grant(Range(0, 4), C, A, free)
    assert ring.ranges(A) == [Range(4, 8), Range(16, 32)]


news = st.builds(
    lambda version, start, length, owner: stamped(version, start, min(32, start + length), owner),
    st.integers(1, 4),
    st.integers(0, 31),
    st.integers(1, 32),
    st.sampled_from(PEERS),
)


@given(st.lists(news, max_size=12), st.randoms(use_true_random=False), st.integers(0, 12))
def test_merge_commutes_associates_and_repeats(tokens: list[Stamped], rng: object, cut: int) -> None:
    one, other = Ring(START), Ring(START)
    one.merge(tokens)
    shuffled = list(tokens)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    other.merge(shuffled[:cut])
    other.merge(shuffled[cut:])
    other.merge(shuffled[:cut])
    said = [*first_tokens(START), *tokens]
    best = [max((one.rank[:2] for one in said if address in one.range), default=None) for address in range(32)]
    assert owners(one) == owners(other) == [rank and rank[1] for rank in best]


def test_where_a_shorter_token_replaces_another_the_rest_stays() -> None:
    ring = Ring(START)
    long, short = stamped(3, 4, 12, C), stamped(4, 4, 6, B)
    assert ring.merge([long]).written == (long,)
    change = ring.merge([short])
    assert change.written == (short, stamped(3, 6, 12, C))
    assert owners(ring)[2:14] == [A.name] * 2 + [B.name] * 2 + [C.name] * 6 + [A.name] * 2
    late = Ring(START)
    late.merge([short])
    late.merge([long])
    assert owners(late) == owners(ring)


gift = st.tuples(st.sampled_from(PEERS), st.sampled_from(PEERS), st.integers(0, 31), st.integers(1, 16))


@given(st.lists(gift, max_size=8), st.dictionaries(st.integers(0, 31), st.sampled_from(PEERS[1:]), max_size=6))
def test_an_heir_gets_all_but_what_containers_of_others_hold(
    gifts: list[tuple[Owner, Owner, int, int]], strays: dict[int, Owner]
) -> None:
    dead, heir = PEERS[0], PEERS[1]
    ring, other = Ring(START), Ring(START)
    for donor, to, start, length in gifts:
        for own in ring.ranges(donor):
            if donor != to and (given := own.intersection(Range(start, start + length))):
                other.merge(ring.grant(given, to, donor, free).written)
    before = owners(ring)
    other.merge(ring.inherit(heir, dead.owns, FENCE, strays, free).written)
    expected = [strays.get(one, heir).name if owner == dead.name else owner for one, owner in enumerate(before)]
    assert owners(ring) == owners(other) == expected
