"""Laws of the replica: merging commutes, associates and repeats; comparing finds every difference."""

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from ripstop.core.mesh.limits import BUCKETS
from ripstop.core.mesh.messages import Entry, Reach
from ripstop.core.mesh.replica import Replica, bucket_of
from ripstop.core.names import PeerName

names = st.sampled_from([PeerName(f"{i:016x}") for i in range(6)])


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Few keys, few versions, so that they meet; also two values of one version."""
    name = draw(names)
    return Entry(f"reach/{name}", draw(st.integers(1, 3)), Reach(name, draw(st.binary(max_size=1)), b"", 0))


batches = st.lists(entries(), max_size=12)


def replica(*merged: list[Entry]) -> Replica:
    """Return a replica that took these batches in order."""
    made = Replica()
    for batch in merged:
        made.merge(batch)
    return made


def contents(of: Replica) -> list[Entry]:
    """Return everything, by key."""
    return sorted(of, key=lambda entry: entry.key)


@given(batches, batches, batches)
def test_order_and_grouping_do_not_matter(a: list[Entry], b: list[Entry], c: list[Entry]) -> None:
    one = replica(a, b, c)
    for order in permutations((a, b, c)):
        other = replica(*order)
        assert contents(other) == contents(one)
        assert other.digest() == one.digest()
    assert contents(replica(a + b + c)) == contents(one)


@given(batches, batches)
def test_what_is_known_is_no_news(a: list[Entry], b: list[Entry]) -> None:
    one = replica(a, b)
    before = one.digest()
    assert one.merge([*b, *a]) == ()
    assert one.digest() == before


@given(batches, batches)
def test_news_are_exactly_what_changed(a: list[Entry], b: list[Entry]) -> None:
    one = replica(a)
    before = {entry.key: entry for entry in one}
    news = {entry.key: entry for entry in one.merge(b)}
    assert {entry.key: entry for entry in one} == before | news
    assert all(before.get(key) != entry for key, entry in news.items())


@given(batches, batches)
@settings(max_examples=200)
def test_one_comparison_makes_two_replicas_equal(a: list[Entry], b: list[Entry]) -> None:
    left, right = replica(a), replica(b)
    buckets = right.differing(left.digest())
    found = left.compare(buckets, right.versions(buckets))
    right.merge(found.newer)
    left.merge(entry for key in found.wanted if (entry := right.get(key)))
    if left.digest() != right.digest():  # two values of one version, of which the other side had the greater
        left.merge(right)
    assert contents(left) == contents(right)


@given(batches, batches)
def test_digests_differ_when_and_where_the_contents_do(a: list[Entry], b: list[Entry]) -> None:
    left, right = replica(a), replica(b)
    only = {entry.key for entry in {*left} ^ {*right}}
    assert set(left.differing(right.digest())) == {bucket_of(key) for key in only}


def test_of_two_values_with_one_version_the_greater_bytes_win() -> None:
    name = PeerName("0" * 16)
    small, great = (Entry(f"reach/{name}", 5, Reach(name, data, b"", 0)) for data in (b"\1", b"\2"))
    assert replica([small]).merge([great]) == (great,)
    assert replica([great]).merge([small]) == ()


def test_keys_spread_over_buckets() -> None:
    used = {bucket_of(f"peer/{i:016x}") for i in range(1000)}
    assert used == set(range(BUCKETS))


def test_sizes_are_about_those_on_the_wire() -> None:
    name = PeerName("0" * 16)
    one = replica([Entry(f"reach/{name}", 5, Reach(name, b"\1" * 100, b"", 0))])
    assert 120 < one.size(f"reach/{name}") < 200
    assert one.size("reach/nobody") == 0
    assert len(one) == 1
