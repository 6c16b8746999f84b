"""What CPUs have counted of streams, added up.  No kernel is asked; with one, tests/kernel/test_groups.py does."""

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.multicast.tables import Selector
from ripstop.kernel import abi
from ripstop.kernel.selectors import pack_selector
from ripstop.kernel.streams import RECENT, Numbers, busiest, totals

CPUS = 3
SECOND = 1_000_000_000  # ns
NOTHING = (0,) * 6


def key(number: int) -> bytes:
    return abi.STREAM_KEY.packer.pack(pack_selector(Selector(bytes([239, 1, 1, number]))), 7, 0)


def value(*cpus: Numbers) -> bytes:
    """Return a stream's values on all CPUs."""
    return b"".join(abi.STREAM.packer.pack(*numbers) for numbers in cpus)


def tail(cpu: int, stream: bytes, numbers: Numbers) -> bytes:
    """Return an entry of `tails` that only one CPU uses."""
    unused = bytes(abi.TAIL.packer.size)
    used = abi.TAIL.packer.pack(stream, abi.STREAM.packer.pack(*numbers))
    return unused * cpu + used + unused * (CPUS - cpu - 1)


numbers = st.one_of(st.just(NOTHING), st.tuples(*[st.integers(0, 2**40)] * 6))


@given(st.dictionaries(st.integers(1, 9).map(key), st.tuples(*[numbers] * CPUS), max_size=5))
def test_cpus_are_added_up_and_what_nobody_saw_is_left_out(found: dict[bytes, tuple[Numbers, ...]]) -> None:
    read = {stream: value(*cpus) for stream, cpus in found.items()}
    expected = {
        stream: (*(sum(column) for column in list(zip(*cpus, strict=True))[:-1]), max(one[-1] for one in cpus))
        for stream, cpus in found.items()
    }
    assert totals(read, [], read) == {stream: sums for stream, sums in expected.items() if any(sums)}


def test_a_tail_counts_unless_it_was_just_added() -> None:
    one, two = (3, 300, 3, 0, 0, 10), (2, 200, 0, 2, 0, 20)
    read = {key(1): value(one, NOTHING, one)}
    assert totals(read, [tail(1, key(1), two)], read) == {key(1): (8, 800, 6, 2, 0, 20)}
    added = {key(1): value(one, two, one)}
    assert totals(read, [tail(1, key(1), two)], added) == {key(1): (8, 800, 6, 2, 0, 20)}
    other = {key(1): value(one, NOTHING, two)}  # another CPU added something meanwhile
    assert totals(read, [tail(1, key(1), two)], other) == {key(1): (7, 700, 3, 4, 0, 20)}


def test_a_stream_may_have_nothing_but_a_tail() -> None:
    assert totals({}, [tail(2, key(1), (1, 60, 0, 0, 1, 5))], {}) == {key(1): (1, 60, 0, 0, 1, 5)}


def test_the_busiest_are_told_and_the_silent_come_last() -> None:
    now = 1000 * SECOND
    silent = now - int((RECENT + 1) * SECOND)
    found = {
        key(1): (10, 0, 0, 0, 0, now),
        key(2): (99, 0, 0, 0, 0, silent),
        key(3): (30, 0, 0, 0, 0, now - SECOND),
        key(4): (10, 0, 0, 0, 0, now),
    }
    assert busiest(found, 9, now) == [key(3), key(1), key(4), key(2)]
    assert busiest(found, 2, now) == [key(3), key(1)]
