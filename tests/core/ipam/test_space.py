from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.address import Range
from ripstop.core.ipam.space import Space, subtract, usable

SIZE = 40
runs = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(lambda pair: Range(min(pair), max(pair)))
steps = st.lists(st.tuples(st.booleans(), runs), max_size=12)


def test_gives_the_lowest_address_first() -> None:
    space = Space([Range(5, 8), Range(10, 12)])
    assert space.lowest(Range(0, 40)) == 5
    assert space.lowest(Range(6, 40)) == 6
    assert space.lowest(Range(8, 40)) == 10
    assert space.lowest(Range(8, 10)) is None


def test_keeps_back_first_and_last_address_of_a_subnet() -> None:
    assert usable(Range(16, 20)) == Range(17, 19)
    assert not usable(Range(16, 18))
    assert not usable(Range(16, 17))


def test_donates_the_upper_half_of_the_largest_run_at_a_round_address() -> None:
    assert Space([Range(1, 3), Range(5, 32)]).donation(Range(0, 40)) == Range(16, 32)
    assert Space([Range(0, 40)]).donation(Range(10, 14)) == Range(12, 14)
    assert Space([Range(7, 8)]).donation(Range(0, 40)) == Range(7, 8)
    assert not Space().donation(Range(0, 40))


@given(steps, runs)
def test_is_a_set_of_addresses(history: list[tuple[bool, Range]], within: Range) -> None:
    space, model = Space(), set[int]()
    for add, run in history:
        if add:
            space.add(run)
            model |= set(run)
        else:
            space.remove(run)
            model -= set(run)
    assert [address for run in space for address in run] == sorted(model)
    assert all(before.end < after.start for before, after in zip(list(space), list(space)[1:], strict=False))
    assert space.lowest(within) == min(model & set(within), default=None)
    assert space.count(within) == len(model & set(within))
    assert all((address in space) == (address in model) for address in range(SIZE))


@given(steps, runs)
def test_donation_is_free_and_leaves_about_half(history: list[tuple[bool, Range]], within: Range) -> None:
    space = Space()
    for add, run in history:
        (space.add if add else space.remove)(run)
    given_away = space.donation(within)
    free = [run.intersection(within) for run in space]
    largest = max(map(len, free), default=0)
    assert all(address in space and address in within for address in given_away)
    assert -(-largest // 4) <= len(given_away) <= largest - largest // 4


@given(st.lists(runs, max_size=5), st.lists(runs, max_size=5))
def test_subtract_takes_away(ones: list[Range], others: list[Range]) -> None:
    left, right = list(Space(ones)), list(Space(others))
    rest = subtract(left, right)
    assert {a for run in rest for a in run} == {a for run in left for a in run} - {a for run in right for a in run}
