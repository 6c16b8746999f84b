"""Our own names: what others read of them, and from which version on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.dns.messages import MAX_BINDINGS, Binding, Bindings, shard_of
from ripstop.core.dns.ours import Ours
from ripstop.core.errors import ExhaustedError
from ripstop.core.names import Holder, PeerName

NAME = PeerName("a" * 16)
X, Y = Holder("c1/eth0"), Holder("c2/eth0")
WEB, DB = Binding("web", "c1", bytes(4)), Binding("db", "c1", bytes(4))
SHARD = shard_of("web")


def test_what_two_have_alike_is_written_once_and_stays_while_one_has_it() -> None:
    ours = Ours(NAME)
    assert ours.replace({X: (WEB,)}) == (SHARD,)
    assert ours.replace({Y: (WEB,)}) == ()
    assert ours.value(SHARD) == Bindings((WEB,))
    assert ours.replace({X: ()}) == ()
    assert ours.replace({Y: ()}) == (SHARD,)
    assert ours.count == 0


def test_versions_grow_and_are_above_what_anybody_has_seen() -> None:
    ours = Ours(NAME)
    ours.replace({X: (WEB,)})
    assert [ours.write(SHARD).version for _ in range(2)] == [1, 2]
    assert ours.outdo(SHARD, 1, Bindings(())) is None  # older than ours: others drop it themselves
    answer = ours.outdo(SHARD, 41, Bindings(()))
    assert answer is not None and answer.version == 42 and answer.value == Bindings((WEB,))
    assert ours.outdo(SHARD, 50, Bindings((WEB,))) is None  # it is right
    assert ours.write(SHARD).version == 51


def test_room_is_checked_and_nothing_is_changed_by_it() -> None:
    ours = Ours(NAME)
    ours.replace({X: (WEB,)})
    with pytest.raises(ExhaustedError):
        ours.check({Y: tuple(Binding(f"n{number}", "c", bytes(4)) for number in range(MAX_BINDINGS))})
    ours.check({X: (DB,)})
    assert ours.get(X) == (WEB,) and ours.get(Y) == ()


bindings = st.lists(st.sampled_from([WEB, DB, Binding("Web", "c2", bytes(4)), Binding("x", "", bytes(16))]), max_size=3)


@given(st.lists(st.dictionaries(st.sampled_from([X, Y]), bindings.map(tuple), max_size=2), max_size=5))
def test_all_at_once_is_the_same_as_one_after_the_other(
    steps: list[dict[Holder, tuple[Binding, ...]]],
) -> None:
    one, other = Ours(NAME), Ours(NAME)
    for step in steps:
        one.replace_all(step)
        for holder in (X, Y):
            other.replace({holder: step.get(holder, ())})
        for key in ("web", "db", "x"):
            assert one.value(shard_of(key)) == other.value(shard_of(key))
        assert one.count == other.count == sum(map(len, step.values()))
