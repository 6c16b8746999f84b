"""Frames on control connections: round trips, in any pieces; rubbish raises ProtocolError and nothing else."""

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ripstop.core.dns.messages import MAX_CONTAINER, Binding, Bindings, Service, shard_of
from ripstop.core.errors import ProtocolError
from ripstop.core.ipam.messages import Ballot, RingStart, SpaceAnswer, SpaceWanted, Token, Word, WordWanted
from ripstop.core.mesh.limits import BUCKETS, MAX_VERSION
from ripstop.core.mesh.messages import (
    Digest,
    Entry,
    Goodbye,
    Gossip,
    Heartbeat,
    Hello,
    Message,
    PeerRecord,
    Reach,
    Routed,
    Versions,
    Want,
)
from ripstop.core.multicast.messages import Want as GroupWant
from ripstop.core.multicast.messages import Wants
from ripstop.core.names import PeerName, ShortId, UnderlayIp
from ripstop.wire.control import FRAME_LIMIT, MAGIC, Decoder, decode_body, encode, preamble

names = st.integers(0, 2**64 - 1).map(lambda number: PeerName(f"{number:016x}"))
addresses = st.ip_addresses(v=4).map(lambda address: UnderlayIp(str(address)))
texts = st.text("abc äöü-._", max_size=20)
positive = st.integers(1, 2**30)
tokens = st.builds(Token, st.integers(0, 2**32 - 1), names, st.integers(0, 2**32), st.integers(0, 2**32))
bitmaps = st.binary(max_size=200)
records = st.builds(
    PeerRecord,
    names,
    positive,
    texts,
    st.lists(addresses, max_size=4).map(tuple),
    st.integers(1, 65535),
    st.integers(1, 65535).map(ShortId),
    st.binary(max_size=32),
    texts,
    st.booleans(),
)
owners = st.lists(st.tuples(names, positive, positive), max_size=3).map(tuple)
versions = st.integers(1, MAX_VERSION)
entries = st.one_of(
    st.builds(lambda version, record: Entry(f"peer/{record.name}", version, record), versions, records),
    st.builds(
        lambda version, reach: Entry(f"reach/{reach.name}", version, reach),
        versions,
        st.builds(Reach, names, bitmaps, bitmaps, st.integers(0, 65535)),
    ),
    st.builds(lambda version, token: Entry(f"ring/r1/{token.start}", version, token), versions, tokens),
    st.builds(
        lambda version, name, ballot: Entry(f"paxos/{name}", version, ballot),
        versions,
        names,
        st.builds(
            Ballot, st.tuples(positive, names), st.just((0, PeerName(""))), st.lists(names, max_size=3).map(tuple)
        ),
    ),
    st.builds(
        lambda version, name: Entry("ring-start/r1", version, RingStart(0, 5, (name,))),
        versions,
        names,
    ),
    st.builds(
        lambda version, name, one: Entry(f"dns/{name}/{shard_of(one.key)}", version, Bindings((one,))),
        versions,
        names,
        st.builds(
            Binding,
            st.sampled_from(["web", "Db.prod", "_sip"]),
            texts.filter(lambda text: len(text) <= MAX_CONTAINER),
            st.sampled_from([bytes(4), bytes(16)]),
            st.sampled_from([(), (Service("http", "tcp", 80),)]),
        ),
    ),
    st.builds(
        lambda version, name, wants: Entry(f"mcast/{name}/7", version, Wants(wants)),
        versions,
        names,
        st.lists(st.builds(GroupWant, st.just(b"\xef\1\1\1"), st.just(True)), max_size=3).map(tuple),
    ),
)
keys = names.map(lambda name: f"peer/{name}")
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Hello,
        st.integers(1, 9),
        names,
        positive,
        texts,
        st.integers(1, 65535),
        st.one_of(st.just(""), addresses),
        st.integers(0, 2**64 - 1),
    ),
    st.just(Heartbeat()),
    st.builds(Gossip, st.lists(entries, max_size=4).map(tuple)),
    st.builds(Digest, st.lists(st.integers(0, 2**64 - 1), min_size=BUCKETS, max_size=BUCKETS).map(tuple)),
    st.builds(
        Versions,
        st.lists(st.integers(0, BUCKETS - 1), max_size=4).map(tuple),
        st.lists(st.tuples(keys, versions), max_size=4).map(tuple),
    ),
    st.builds(Want, st.lists(keys, max_size=4).map(tuple)),
    st.builds(
        Routed,
        names,
        names,
        st.integers(0, 64),
        st.one_of(
            st.builds(SpaceWanted, st.just(1), st.integers(2, 2**32)),
            st.builds(SpaceAnswer, st.just(1), st.just(2), st.integers(0, 2**32)),
            st.builds(WordWanted, texts, positive, positive, positive, owners, names),
            st.builds(
                Word,
                texts,
                positive,
                texts,
                owners,
                st.lists(st.tuples(names, positive, positive, names), max_size=3).map(tuple),
                st.lists(st.tuples(positive, tokens), max_size=3).map(tuple),
                st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple),
                st.lists(st.tuples(names, positive), max_size=3).map(tuple),
            ),
        ),
    ),
    st.builds(Goodbye, texts),
)


@given(st.lists(messages, max_size=5), st.lists(st.integers(0, 400), max_size=20))
@settings(max_examples=150)
def test_messages_come_out_as_they_went_in_however_the_bytes_are_cut(some: list[Message], cuts: list[int]) -> None:
    stream = preamble() + b"".join(map(encode, some))
    decoder, found, at = Decoder(), [], 0
    for end in [*sorted(cut for cut in cuts if cut < len(stream)), len(stream)]:
        found += decoder.feed(stream[at:end])
        at = end
    assert found == some


@given(st.binary(max_size=200))
@example(b"RIPSTOP\n\x02")
@example(b"GET / HTTP/1.1\r\n\r\n")
@example(b"\x16\x03\x01\x02\x00\x01")
def test_rubbish_raises_protocol_errors_only(rubbish: bytes) -> None:
    for start in (b"", preamble()):
        try:
            Decoder().feed(start + rubbish)
        except ProtocolError as error:
            assert "\n" not in str(error)


@given(st.binary(max_size=100))
def test_a_frame_of_rubbish_raises_protocol_errors_only(rubbish: bytes) -> None:
    try:
        decode_body(rubbish)
    except ProtocolError:
        return


@given(messages, st.data())
@settings(max_examples=300)
def test_a_damaged_message_is_another_one_or_an_error(message: Message, draw: st.DataObject) -> None:
    body = bytearray(encode(message)[4:])
    body[draw.draw(st.integers(0, len(body) - 1))] ^= draw.draw(st.integers(1, 255))
    try:
        found = decode_body(bytes(body))
    except ProtocolError:
        return
    assert encode(found)


@given(messages)
def test_a_truncated_message_is_an_error(message: Message) -> None:
    body = encode(message)[4:]
    with pytest.raises(ProtocolError):
        decode_body(body[:-1])


@pytest.mark.parametrize("stranger", [b"G", b"RIPSTOQ", b"\0", b"SSH-2.0-OpenSSH", b"ripstop\n"])
def test_a_stranger_is_recognised_at_the_first_wrong_byte(stranger: bytes) -> None:
    with pytest.raises(ProtocolError, match="a stranger"):
        Decoder().feed(stranger)


def test_another_version_is_named() -> None:
    with pytest.raises(ProtocolError, match="speaks version 9 of the protocol, we speak 1"):
        Decoder().feed(MAGIC + b"\x09")


def test_a_preamble_may_come_byte_by_byte() -> None:
    decoder = Decoder()
    for i in range(len(preamble())):
        assert decoder.feed(preamble()[i : i + 1]) == []
    assert decoder.feed(encode(Heartbeat())) == [Heartbeat()]


def test_a_frame_too_long_is_refused_before_it_is_there() -> None:
    with pytest.raises(ProtocolError, match=f"limit {FRAME_LIMIT}"):
        Decoder().feed(preamble() + (FRAME_LIMIT + 1).to_bytes(4, "big"))
    with pytest.raises(ValueError, match=f"limit {FRAME_LIMIT}"):
        encode(Want(("k/" + "x" * 100,) * 20000))


def test_fields_that_a_newer_peer_appends_are_passed_over() -> None:
    longer = msgspec.msgpack.encode([2, "something", "new"])
    assert decode_body(longer) == Heartbeat()


def test_a_nest_of_arrays_without_end_raises_protocol_errors_only() -> None:
    appended = b"\x92\x02" + b"\x91" * 100_000 + b"\x00"
    with pytest.raises(ProtocolError):
        decode_body(appended)


def test_an_entry_under_a_key_that_is_not_its_own_is_refused() -> None:
    name = PeerName("0" * 16)
    entry = Entry("peer/" + "f" * 16, 1, PeerRecord(name, 1, "", (), 1, ShortId(1)))
    with pytest.raises(ProtocolError, match="not its own"):
        decode_body(encode(Gossip((entry,)))[4:])
