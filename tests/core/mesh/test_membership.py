"""Our own record, short ids, and whose addresses are whose."""

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.mesh.limits import MAX_INCARNATION
from ripstop.core.mesh.membership import (
    FIRST_CHOICES,
    MAX_SEEN_AS,
    Author,
    Identity,
    Membership,
    choices,
    first_choice,
    short_ids,
    vteps,
)
from ripstop.core.mesh.messages import Entry, PeerRecord, Reach
from ripstop.core.mesh.replica import Replica
from ripstop.core.names import MAX_SHORT_ID, PeerName, ShortId, UnderlayIp

LOW, OWN, HIGH = PeerName("1" * 16), PeerName("5" * 16), PeerName("f" * 16)
NIC, OTHER = UnderlayIp("192.0.2.1"), UnderlayIp("198.51.100.1")


def record(name: PeerName, short_id: int, *addresses: str, left: bool = False) -> PeerRecord:
    """Return the record of some peer."""
    return PeerRecord(name, 1, "", tuple(map(UnderlayIp, addresses)), 6783, ShortId(short_id), left=left)


def member(*others: PeerRecord, advertise: tuple[UnderlayIp, ...] = ()) -> tuple[Membership, Replica]:
    """Return the membership of `OWN` in a mesh with these others."""
    replica = Replica()
    replica.merge(Entry(f"peer/{other.name}", 1 << 32, other) for other in others)
    return Membership(Identity(OWN, 3, "me", "here"), 6783, advertise, replica), replica


def written(membership: Membership, replica: Replica) -> PeerRecord:
    """Write our record and return it."""
    entry = membership.write_record()
    assert entry
    replica.merge([entry])
    found = membership.record(OWN)
    assert found
    return found


def test_our_record_says_who_we_are() -> None:
    membership, replica = member()
    membership.use_underlay((NIC,))
    assert written(membership, replica) == PeerRecord(
        OWN, 3, "me", (NIC,), 6783, first_choice(OWN), site="here", left=False
    )
    assert membership.write_record() is None
    membership.use_underlay((NIC, OTHER))
    assert written(membership, replica).addresses == (NIC, OTHER)
    membership.left = True
    assert written(membership, replica).left
    assert membership.present() == ()
    assert [one.name for one in membership.all()] == [OWN]


def test_addresses_behind_nat_come_after_those_of_nics_and_are_few() -> None:
    membership, _ = member()
    membership.use_underlay((NIC,))
    for address in ("203.0.113.1", "203.0.113.1", NIC, "127.0.0.1", "", "host"):
        membership.use_seen_as(UnderlayIp(address))
    assert membership.addresses() == (NIC, "203.0.113.1")
    for i in range(2, 9):
        membership.use_seen_as(UnderlayIp(f"203.0.113.{i}"))
    assert membership.addresses() == (NIC, *(f"203.0.113.{i}" for i in range(8, 8 - MAX_SEEN_AS, -1)))
    assert membership.own_vteps() == dict.fromkeys(membership.addresses(), membership.short_id)


def test_advertised_addresses_stand_for_all_others() -> None:
    membership, _ = member(advertise=(OTHER,))
    membership.use_underlay((NIC,))
    membership.use_seen_as(UnderlayIp("203.0.113.1"))
    assert membership.addresses() == (OTHER,)
    assert sorted(membership.own_vteps()) == [NIC, OTHER]


def test_addresses_of_the_former_life_are_kept_for_a_while() -> None:
    membership, _ = member(record(OWN, 77, NIC, "203.0.113.1"))
    membership.use_underlay((NIC,))
    assert membership.short_id == 77
    assert membership.addresses() == (NIC, "203.0.113.1")
    membership.forget_former_life()
    assert membership.addresses() == (NIC,)


def test_a_contested_short_id_is_the_lower_names() -> None:
    mine = first_choice(OWN)
    kept, replica = member(record(HIGH, mine), record(OWN, mine))
    assert written(kept, replica).short_id == mine
    moved, replica = member(record(LOW, mine), record(HIGH, mine % FIRST_CHOICES + 1))
    assert written(moved, replica).short_id == [*choices(OWN)][2]
    new, replica = member(record(HIGH, mine))
    assert written(new, replica).short_id == [*choices(OWN)][1]
    stayed, replica = member(record(LOW, mine, left=True))
    assert written(stayed, replica).short_id == mine


def test_choices_are_all_ids_once_small_ones_first() -> None:
    tried = list(choices(OWN))
    assert sorted(tried) == list(range(1, MAX_SHORT_ID + 1))
    assert max(tried[:FIRST_CHOICES]) == FIRST_CHOICES
    assert tried[0] == first_choice(OWN)


names = st.sampled_from([PeerName(f"{i:016x}") for i in range(8)])
records = st.lists(
    st.builds(
        lambda name, short_id, address, left: record(name, short_id, f"192.0.2.{address}", left=left),
        names,
        st.integers(1, 5),
        st.integers(1, 5),
        st.booleans(),
    ),
    unique_by=lambda one: one.name,
)


@given(records)
def test_ids_and_addresses_have_one_holder_each_the_lowest_name(some: list[PeerRecord]) -> None:
    ids = short_ids(some)
    assert len({*ids.values()}) == len(ids)
    assert list(ids) == sorted(ids)
    for one in some:
        rivals = [other.name for other in some if other.short_id == one.short_id and not other.left]
        assert (one.name in ids) == (not one.left and one.name == min(rivals))
    holders = vteps(some, ids)
    for one in some:
        if one.name in ids:
            rivals = [other.name for other in some if other.addresses == one.addresses and other.name in ids]
            assert holders[one.addresses[0]] == ids[min(rivals)]
    assert vteps(some[::-1], short_ids(some[::-1])) == holders


def test_an_author_outdoes_whoever_wrote_under_its_name() -> None:
    author = Author(3)
    first, second = (author.write(f"reach/{OWN}", Reach(OWN, b"", b"", 0)) for _ in range(2))
    assert 3 << 32 < first.version < second.version < 4 << 32
    assert author.outdo(9 << 32 | 5)
    assert author.incarnation == 10
    assert author.outdo(4 << 32)
    assert author.incarnation == 10
    assert not author.outdo(MAX_INCARNATION << 32)


def test_only_two_entries_are_ours() -> None:
    membership, _ = member()
    assert membership.is_ours(Entry(f"reach/{OWN}", 1, Reach(OWN, b"", b"", 0)))
    assert not membership.is_ours(Entry(f"reach/{LOW}", 1, Reach(LOW, b"", b"", 0)))
    assert membership.reach(LOW) is None
    assert membership.record(LOW) is None
