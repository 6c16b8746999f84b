"""Questions are read as dnspython writes them, answers as it reads them; whatever else comes is refused by name."""

from collections.abc import Callable

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.wire import dns as wire
from ripstop.wire.dns import NoQuestionError, Query, QuestionError, Rcode, Resource, Type

labels = st.lists(st.binary(min_size=1, max_size=20), max_size=6)
QUESTION = dns.message.make_query("Web.Ripstop.Local", "A", id=7)


def ask(name: str = "web.ripstop.local", kind: str = "A", payload: int | None = None) -> Query:
    """Return a question."""
    made = dns.message.make_query(name, kind, use_edns=-1 if payload is None else 0, payload=payload or 0)
    return wire.parse_query(made.to_wire())


def wire_of(name: dns.name.Name) -> bytes:
    """Return a name as on the wire, case kept."""
    encoded = name.to_wire()
    assert encoded is not None, "not written to a file"
    return encoded


def refused(message: bytes) -> Rcode:
    """Return how a message is refused."""
    with pytest.raises(QuestionError) as caught:
        wire.parse_query(message)
    refusal = dns.message.from_wire(wire.refusal(message, caught.value.rcode))
    assert refusal.id == int.from_bytes(message[:2], "big")
    assert refusal.flags & dns.flags.QR
    return caught.value.rcode


@given(labels, st.integers(0, 65535), st.integers(0, 65535), st.booleans(), st.booleans())
def test_questions_are_read(parts: list[bytes], kind: int, number: int, edns: bool, dnssec: bool) -> None:
    name = dns.name.Name([*parts, b""])
    message = dns.message.Message(id=number)
    message.flags = dns.flags.RD
    wanted = dns.rdatatype.RdataType.make(kind)
    message.find_rrset(message.question, name, dns.rdataclass.IN, wanted, create=True, force_unique=True)
    if edns:
        message.use_edns(0, dns.flags.DO if dnssec else 0, 4000)
    query = wire.parse_query(message.to_wire())
    assert (query.id, query.type, query.klass) == (number, kind, 1)
    assert query.labels == tuple(part.lower() for part in parts)
    assert query.question == wire_of(name) + kind.to_bytes(2, "big") + b"\0\1"
    assert (query.edns is not None) == edns
    assert query.limit == (wire.OUR_SIZE if edns else wire.MIN_SIZE)
    if query.edns is not None:
        assert (query.edns.dnssec, query.edns.version) == (dnssec, 0)


@given(st.binary(max_size=600))
def test_junk_is_refused_in_words(junk: bytes) -> None:
    try:
        wire.parse_query(junk)
    except (NoQuestionError, QuestionError):
        return


@given(st.integers(0, 80), st.integers(0, 255), st.integers(0, 80))
def test_a_damaged_question_is_refused_or_read(place: int, byte: int, end: int) -> None:
    message = bytearray(dns.message.make_query("db.prod.ripstop.local", "SRV", use_edns=0).to_wire())
    message[place % len(message)] = byte
    try:
        query = wire.parse_query(bytes(message[: max(end, 12)]))
    except (NoQuestionError, QuestionError):
        return
    dns.message.from_wire(wire.reply(query, Rcode.NXDOMAIN))


@pytest.mark.parametrize("size", range(12))
def test_less_than_a_header_is_not_answered(size: int) -> None:
    with pytest.raises(NoQuestionError):
        wire.parse_query(QUESTION.to_wire()[:size])


def test_an_answer_is_not_answered() -> None:
    with pytest.raises(NoQuestionError):
        wire.parse_query(dns.message.make_response(QUESTION).to_wire())


@pytest.mark.parametrize("opcode", range(1, 16))
def test_other_opcodes_are_not_implemented(opcode: int) -> None:
    message = bytearray(QUESTION.to_wire())
    message[2] |= opcode << 3
    assert refused(bytes(message)) == Rcode.NOTIMP


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m[:4] + b"\0\0" + m[6:12],  # no question
        lambda m: m[:4] + b"\0\2" + m[6:] + m[12:],  # two
        lambda m: m[:6] + b"\0\1" + m[8:],  # an answer that is not there
        lambda m: m[:8] + b"\0\1" + m[10:],
        lambda m: m[:10] + b"\0\1" + m[12:],
        lambda m: m[:12] + b"\xc0\x0c" + m[-4:],  # a name that is itself
        lambda m: m[:12] + b"\xc0\x00" + m[-4:],
        lambda m: m[:12] + b"\x41" + m[13:],  # a label of a kind that there is not
        lambda m: m[:12] + b"\x80" + m[13:],
        lambda m: m[:12] + b"\x3f" + m[13:],  # a label that is longer than the message
        lambda m: m[:12] + b"\x01a" * 128 + b"\0" + m[-4:],  # 257 bytes
        lambda m: m[:-1],
        lambda m: m[:-5],
        lambda m: m + b"\0",  # more than was announced
        lambda m: m[:10] + b"\0\1" + m[12:] + b"\0\0\x29\x04\xd0\0\0\0\0\xff\xff",  # options that are not there
        lambda m: m[:10] + b"\0\2" + m[12:] + 2 * b"\0\0\x29\x04\xd0\0\0\0\0\0\0",  # OPT twice
        lambda m: m[:10] + b"\0\1" + m[12:] + b"\xc0\x0c\0\x29\x04\xd0\0\0\0\0\0\0",  # OPT with a name
    ],
)
def test_what_cannot_be_read(change: Callable[[bytes], bytes]) -> None:
    assert refused(change(QUESTION.to_wire())) == Rcode.FORMERR


def test_the_longest_name_is_read() -> None:
    name = dns.name.Name([b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61, b""])
    assert wire.parse_query(dns.message.make_query(name, "A").to_wire()).question == wire_of(name) + b"\0\1\0\1"


@given(st.integers(0, 300), st.integers(0, 65535), st.booleans())
def test_an_answer_fits_and_says_if_it_does_not(number: int, payload: int, edns: bool) -> None:
    query = ask(payload=payload if edns else None)
    answers = tuple(Resource(wire.TO_QUESTION, Type.A, 1, i.to_bytes(4, "big")) for i in range(number))
    encoded = wire.reply(query, Rcode.NOERROR, wire.AA, answers, limit=query.limit)
    assert len(encoded) <= query.limit <= (max(512, min(payload, 1232)) if edns else 512)
    read = dns.message.from_wire(encoded)
    assert query.question[:-4] == read.question[0].name.to_wire()
    got = len(read.answer[0]) if read.answer else 0
    assert bool(read.flags & dns.flags.TC) == (got < number)
    assert got == number or len(encoded) + 16 > query.limit
    assert read.edns == (0 if edns else -1)


def test_additional_records_are_left_out_without_a_mark() -> None:
    query = ask()
    extra = tuple(Resource(wire.TO_QUESTION, Type.AAAA, 1, bytes(16)) for _ in range(40))
    read = dns.message.from_wire(wire.reply(query, Rcode.NOERROR, 0, extra[:1], (), extra, query.limit))
    assert (len(read.answer), read.flags & dns.flags.TC) == (1, 0)


def test_the_upper_bits_of_the_code_are_in_the_opt_record() -> None:
    read = dns.message.from_wire(wire.reply(ask(payload=1232), Rcode.BADVERS))
    assert read.rcode() == dns.rcode.BADVERS


def test_case_and_flags_are_as_asked() -> None:
    message = dns.message.make_query("wEb.rIPSTOP.local", "A", flags=dns.flags.RD | dns.flags.CD | dns.flags.AD)
    encoded = wire.reply(wire.parse_query(message.to_wire()), Rcode.NXDOMAIN)
    read = dns.message.from_wire(encoded)
    assert encoded[12:-4] == dns.name.from_text("wEb.rIPSTOP.local").to_wire()
    assert read.flags & 0xFFF0 == dns.flags.QR | dns.flags.RD | dns.flags.RA | dns.flags.CD
    assert read.id == message.id


def test_names() -> None:
    assert wire.name_of("db.Prod") == b"\x02db\x04Prod\0"
    assert wire.name_of("db.Prod.") == b"\x02db\x04Prod\0"
    assert wire.name_of("") == b"\0"
    assert wire.pointer_to((b"web",)) == b"\xc0\x10"
