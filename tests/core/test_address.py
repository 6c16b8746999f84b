import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.address import Range, format_address, parse_interface
from ripstop.core.errors import RequestError

ranges = st.tuples(st.integers(0, 2**32), st.integers(0, 2**32)).map(lambda pair: Range(min(pair), max(pair)))


def test_reads_and_writes_a_block() -> None:
    block = Range.parse("10.32.0.0/12")
    assert (len(block), str(block)) == (2**20, "10.32.0.0/12")
    assert 0x0A200000 in block
    assert 0x0A300000 not in block
    assert "10.32.0.0" not in block


@pytest.mark.parametrize("text", ["", "10.32.0.1/12", "10.32.0.0/33", "10.32.0.0/-1", "fd00::/64", "10.32.0/12", "x"])
def test_refuses_what_is_no_block(text: str) -> None:
    with pytest.raises(RequestError, match="write it as"):
        Range.parse(text)


def test_writes_what_is_no_block_as_first_and_last() -> None:
    assert str(Range(0x0A200001, 0x0A200004)) == "10.32.0.1-10.32.0.3"
    assert str(Range(0x0A200001, 0x0A200002)) == "10.32.0.1/32"
    assert str(Range(0, 2**32)) == "0.0.0.0/0"


@given(ranges, ranges)
def test_intersection_is_what_both_have(one: Range, other: Range) -> None:
    both = one.intersection(other)
    assert bool(both) == one.overlaps(other) or not one or not other
    assert not both or (one.covers(both) and other.covers(both))
    assert len(both) == max(0, min(one.end, other.end) - max(one.start, other.start))


def test_reads_an_interface() -> None:
    assert parse_interface("10.32.0.5/12") == (0x0A200005, 12)
    assert parse_interface("10.32.0.0/31") == (0x0A200000, 31)
    assert format_address(0x0A200005) == "10.32.0.5"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.32.0.5", "no prefix length"),
        ("10.32.0.5/33", "write it as"),
        ("10.32.0.0/16", "network or broadcast"),
        ("10.32.255.255/16", "network or broadcast"),
        ("fd00::1/64", "write it as"),
    ],
)
def test_refuses_what_is_no_interface(text: str, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        parse_interface(text)
