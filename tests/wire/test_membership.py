"""What IGMP and MLD have in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.wire.membership import decode_time, encode_time


@pytest.mark.parametrize(
    ("value", "bits", "code"),
    [
        (0, 4, 0),
        (127, 4, 127),
        (128, 4, 0x80),
        (31744, 4, 0xFF),
        (10**9, 4, 0xFF),
        (32767, 12, 32767),
        (32768, 12, 0x8000),
        (8387584, 12, 0xFFFF),
        (10**9, 12, 0xFFFF),
    ],
)
def test_times_at_the_edges(value: int, bits: int, code: int) -> None:
    """Source: RFC 3376, section 4.1.1; RFC 3810, section 5.1.3."""
    assert encode_time(value, bits) == code


@given(st.integers(0, 31744))
def test_short_times_lose_no_more_than_a_seventeenth(value: int) -> None:
    got = decode_time(encode_time(value, 4), 4)
    assert value - value / 17 <= got <= value


@given(st.sampled_from((4, 12)), st.data())
def test_every_code_stands_for_itself(bits: int, data: st.DataObject) -> None:
    code = data.draw(st.integers(0, (1 << (bits + 4)) - 1))
    assert encode_time(decode_time(code, bits), bits) == code
