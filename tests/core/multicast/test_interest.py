"""What peers tell each other of groups."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.effects import Announce
from ripstop.core.mesh.limits import check_entry
from ripstop.core.mesh.messages import Entry
from ripstop.core.mesh.replica import Replica
from ripstop.core.multicast.filters import EVERYTHING, NOTHING, Filter, Mode
from ripstop.core.multicast.interest import BUCKETS, Interest
from ripstop.core.multicast.messages import ANY_GROUP, Family
from ripstop.core.names import MulticastIp, PeerName, SourceIp

A, B = (PeerName(letter * 16) for letter in "ab")
GROUP = MulticastIp(bytes([239, 1, 1, 1]))
SOURCE = SourceIp(bytes([10, 32, 0, 1]))
SOME = Filter(Mode.INCLUDE, (SOURCE,))


def entries(announced: list[Announce]) -> list[Entry]:
    return [entry for one in announced for entry in one.entries]


def test_a_wish_reaches_another_peer() -> None:
    one, other = Interest(A), Interest(B)
    (entry,) = entries(one.set(GROUP, SOME))
    check_entry(entry)
    assert other.learn([entry]) == ([GROUP], [])
    assert other.peers(GROUP) == {A: SOME}
    assert list(other.groups()) == [GROUP]
    assert other.learn([entry]) == ([], [])


def test_memberships_of_others_are_counted_and_routers_apart() -> None:
    one, other = Interest(A), Interest(B)
    other.learn(entries([*one.set(GROUP, SOME), *one.set(MulticastIp(bytes([239, 1, 1, 2])), EVERYTHING)]))
    assert other.memberships() == {"peer": 2, "router": 0}
    other.learn(entries(one.set(ANY_GROUP[Family.IPV6], EVERYTHING)))
    assert other.memberships() == {"peer": 2, "router": 1}
    assert one.memberships() == {"peer": 0, "router": 0}


def test_what_is_the_same_is_not_said_again() -> None:
    one = Interest(A)
    assert one.set(GROUP, NOTHING) == []
    one.set(GROUP, EVERYTHING)
    assert one.set(GROUP, EVERYTHING) == []


def test_a_leave_leaves_nothing_behind() -> None:
    one, other = Interest(A), Interest(B)
    other.learn(entries(one.set(GROUP, EVERYTHING)))
    assert other.learn(entries(one.set(GROUP, NOTHING))) == ([GROUP], [])
    assert list(other.groups()) == []


def test_our_own_words_are_not_somebody_elses_wish() -> None:
    one = Interest(A)
    assert one.learn(entries(one.set(GROUP, EVERYTHING))) == ([], [])
    assert one.peers(GROUP) == {}


def test_a_former_life_is_outdone() -> None:
    former, again, other = Interest(A), Interest(A), Interest(B)
    for _ in range(5):
        former.set(GROUP, EVERYTHING)
        old = entries(former.set(GROUP, NOTHING))
    old = entries(former.set(GROUP, EVERYTHING))
    other.learn(old)
    changed, answers = again.learn(old)
    assert changed == []
    (entry,) = entries(answers)
    assert entry.version > old[0].version
    assert other.learn([entry]) == ([GROUP], [])
    assert other.peers(GROUP) == {}


def test_a_former_life_that_wanted_the_same_is_left_alone() -> None:
    former, again = Interest(A), Interest(A)
    former.set(GROUP, EVERYTHING)
    former.set(GROUP, NOTHING)
    old = entries(former.set(GROUP, EVERYTHING))
    again.set(GROUP, EVERYTHING)
    assert again.learn(old) == ([], [])
    (entry,) = entries(again.set(GROUP, NOTHING))
    assert entry.version > old[0].version


groups = st.integers(0, 2000).map(lambda number: MulticastIp(bytes([239, 1]) + number.to_bytes(2, "big")))
filters = st.one_of(st.just(NOTHING), st.just(EVERYTHING), st.just(SOME))


@given(st.lists(st.tuples(groups, filters)), st.randoms(use_true_random=False))
def test_however_much_is_lost_the_entries_that_remain_say_it_all(
    wishes: list[tuple[MulticastIp, Filter]], rng: Random
) -> None:
    """Gossip carries the newest entry of each key in any order: that is enough, and there are at most so many keys."""
    one, other, replica = Interest(A), Interest(B), Replica()
    wanted: dict[MulticastIp, Filter] = {}
    for group, filter_ in wishes:
        news = replica.merge(entries(one.set(group, filter_)))
        if rng.random() < 0.5:
            other.learn(news)
        wanted[group] = filter_
    rest = list(replica)
    rng.shuffle(rest)
    other.learn(rest)
    assert len(rest) <= BUCKETS
    found = {group: other.peers(group)[A] for group in other.groups()}
    assert found == {group: filter_ for group, filter_ in wanted.items() if filter_ != NOTHING}
