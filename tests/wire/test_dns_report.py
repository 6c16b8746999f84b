"""Messages between the daemon and its name server arrive whole, however they are cut."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.errors import ProtocolError
from ripstop.wire.dns_feed import Listen, NameRow, Record, Rows, Service
from ripstop.wire.dns_report import FRAME_LIMIT, Frames, encode

_decoder: msgspec.msgpack.Decoder[Rows | Listen] = msgspec.msgpack.Decoder(Rows | Listen)
services = st.builds(Service, st.text(max_size=9), st.sampled_from(("tcp", "udp")), st.integers(0, 65535))
records = st.builds(Record, st.binary(min_size=4, max_size=16), st.lists(services, max_size=2).map(tuple))
rows = st.builds(NameRow, st.text(max_size=9), st.lists(records, max_size=3).map(tuple))
messages = st.one_of(
    st.builds(Rows, st.lists(rows, max_size=3).map(tuple), st.booleans()),
    st.builds(Listen, st.lists(st.tuples(st.text(max_size=9), st.integers(0, 65535)), max_size=3).map(tuple)),
)


@given(st.lists(messages, max_size=5), st.integers(1, 50))
def test_messages_arrive_however_they_are_cut(sent: list[Rows | Listen], size: int) -> None:
    stream = b"".join(map(encode, sent))
    frames = Frames(_decoder)
    got = [message for i in range(0, len(stream), size) for message in frames.feed(stream[i : i + size])]
    assert got == sent


@given(st.binary(max_size=100))
def test_junk_is_refused(junk: bytes) -> None:
    try:
        list(Frames(_decoder).feed(junk))
    except ProtocolError:
        return


def test_too_long_a_message_is_refused_before_it_is_there() -> None:
    with pytest.raises(ProtocolError, match="limit"):
        list(Frames(_decoder).feed(FRAME_LIMIT.to_bytes(4, "big")))
