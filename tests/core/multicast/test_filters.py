"""The union of filters is a semilattice, and passes what one of them passes."""

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.multicast.filters import EVERYTHING, NOTHING, Filter, union
from tests.core.multicast.filters import SOURCES, filters


@given(filters, filters)
def test_order_makes_no_difference(one: Filter, other: Filter) -> None:
    assert one | other == other | one


@given(filters, filters, filters)
def test_grouping_makes_no_difference(one: Filter, two: Filter, three: Filter) -> None:
    assert (one | two) | three == one | (two | three)


@given(filters)
def test_repetition_makes_no_difference(one: Filter) -> None:
    assert one | one == one


@given(filters)
def test_nothing_adds_nothing_and_everything_has_all(one: Filter) -> None:
    assert one | NOTHING == one
    assert one | EVERYTHING == EVERYTHING


@given(st.lists(filters, max_size=4))
def test_a_union_passes_what_one_of_its_parts_passes(parts: list[Filter]) -> None:
    for source in SOURCES:
        assert union(parts).passes(source) == any(part.passes(source) for part in parts)


@given(filters, filters)
def test_filters_that_pass_the_same_are_equal(one: Filter, other: Filter) -> None:
    same = one.mode == other.mode and all(one.passes(source) == other.passes(source) for source in SOURCES)
    assert (one == other) == same


@given(filters)
def test_the_order_of_a_list_makes_no_difference(one: Filter) -> None:
    assert Filter(one.mode, one.sources[::-1] + one.sources[:1]) == one
    assert list(one.sources) == sorted(set(one.sources))
