"""Names by peer and by name; laws against a plain model."""

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.dns.messages import Binding, shard_of
from ripstop.core.dns.table import Table
from ripstop.core.names import PeerName

A, B = (PeerName(letter * 16) for letter in "ab")
names = st.sampled_from(["web", "Web", "db", "x1", "x2", "x3"])
wanted = st.lists(st.tuples(names, st.integers(1, 3)), max_size=6)


def shards(found: list[tuple[str, int]]) -> dict[int, tuple[Binding, ...]]:
    """Return bindings by shard."""
    by_shard: dict[int, tuple[Binding, ...]] = {}
    for name, last in dict.fromkeys(found):
        one = Binding(name, "c", bytes([10, 0, 0, last]))
        by_shard[shard_of(one.key)] = (*by_shard.get(shard_of(one.key), ()), one)
    return by_shard


def put(table: Table, peer: PeerName, new: dict[int, tuple[Binding, ...]]) -> set[str]:
    changed: set[str] = set()
    for shard in {**table.shards(peer), **new}:
        changed |= set(table.replace(peer, shard, new.get(shard, ())))
    return changed


@given(st.lists(st.tuples(st.sampled_from([A, B]), wanted), max_size=8))
def test_it_is_what_was_put_in_last(steps: list[tuple[PeerName, list[tuple[str, int]]]]) -> None:
    table = Table()
    model: dict[PeerName, set[Binding]] = {A: set(), B: set()}
    for peer, found in steps:
        new = shards(found)
        bindings = {one for its in new.values() for one in its}
        changed = put(table, peer, new)
        assert changed == {one.key for one in bindings ^ model[peer]}
        model[peer] = bindings
    keys = {one.key for its in model.values() for one in its}
    assert set(table.keys()) == keys and len(table) == len(keys)
    assert set(table.all()) == {(peer, one) for peer, its in model.items() for one in its}
    for key in keys:
        assert set(table.of(key)) == {(peer, one) for peer, its in model.items() for one in its if one.key == key}
    for peer, its in model.items():
        assert table.count(peer) == len(its)
        assert set(table.keys_of(peer)) == {one.key for one in its}
    assert table.peers() == tuple(peer for peer in (A, B) if model[peer])


def test_an_unknown_name_has_nobody() -> None:
    assert Table().of("web") == []
