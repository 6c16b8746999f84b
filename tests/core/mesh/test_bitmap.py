"""Laws of sets of short ids."""

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.mesh.bitmap import lowest, mask_of, members, pack, unpack
from ripstop.core.names import MAX_SHORT_ID, ShortId

ids = st.sets(st.integers(1, MAX_SHORT_ID).map(ShortId), max_size=40)


@given(ids)
def test_members_are_what_was_put_in_lowest_first(some: set[ShortId]) -> None:
    assert list(members(mask_of(some))) == sorted(some)
    if some:
        assert lowest(mask_of(some)) == min(some)


@given(ids)
def test_bytes_and_back(some: set[ShortId]) -> None:
    packed = pack(mask_of(some))
    assert unpack(packed) == mask_of(some)
    assert not packed.endswith(b"\0")


def test_a_thousand_ids_take_125_bytes() -> None:
    assert len(pack(mask_of(ShortId(i) for i in range(1, 1000)))) == 125
    assert pack(mask_of([ShortId(9)])) == b"\x00\x02"
