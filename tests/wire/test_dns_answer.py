"""Answers of others, as dnspython writes and reads them, and damaged ones."""

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.errors import ProtocolError
from ripstop.wire import dns as wire
from ripstop.wire.dns_answer import MAX_NEGATIVE_TTL, MAX_TTL, question_of, read_answer, relay

QUERY = dns.message.make_query("www.Example.com", "A", use_edns=0)
SOA = "ns.example.com. hostmaster.example.com. 1 2 3 4 {}"


def answer(
    *records: tuple[str, int, str, str],
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
    authority: tuple[tuple[str, int, str, str], ...] = (),
    additional: tuple[tuple[str, int, str, str], ...] = (),
) -> dns.message.Message:
    """Return an answer to `QUERY` with an OPT record, made of (name, ttl, type, data)."""
    made = dns.message.make_response(QUERY)
    made.set_rcode(rcode)
    for section, wanted in ((made.answer, records), (made.authority, authority), (made.additional, additional)):
        for name, ttl, kind, data in wanted:
            section.append(dns.rrset.from_text(name, ttl, "IN", kind, data))
    return made


WWW = ("www.example.com.", 60, "CNAME", "real.example.com.")
REAL = ("real.example.com.", 20, "A", "192.0.2.1")
FULL = answer(WWW, REAL, authority=(("example.com.", 90, "NS", "ns.example.com."),), additional=(REAL,))


def relayed(message: dns.message.Message, age: int = 0, limit: int = 1232, *, edns: bool = True) -> dns.message.Message:
    """Return what a client is told, `age` seconds later."""
    query = dns.message.make_query("wWw.eXample.com", "A", use_edns=0 if edns else -1)
    encoded = relay(wire.parse_query(query.to_wire()), read_answer(message.to_wire()), age, limit)
    assert len(encoded) <= limit
    read = dns.message.from_wire(encoded)
    assert read.id == query.id
    assert read.question[0].name.to_wire() == query.question[0].name.to_wire()
    assert read.edns == (0 if edns else -1)
    return read


@pytest.mark.parametrize("edns", [True, False])
def test_an_answer_is_handed_on_with_what_is_left_of_its_time(edns: bool) -> None:
    read = relayed(FULL, 15, edns=edns)
    assert [(rrset.ttl, str(rrset[0]).lower()) for rrset in read.answer] == [
        (45, "real.example.com."),
        (5, "192.0.2.1"),
    ]
    assert [rrset.ttl for rrset in read.authority + read.additional] == [75, 5]
    assert not read.flags & (dns.flags.AA | dns.flags.AD)


@pytest.mark.parametrize(
    ("message", "ttl"),
    [
        (FULL, 20),
        (answer(("www.example.com.", 0, "A", "192.0.2.1")), 0),
        (answer(("www.example.com.", 10**6, "A", "192.0.2.1")), MAX_TTL),
        (answer(), 0),
        (answer(rcode=dns.rcode.NXDOMAIN), 0),
        (answer(authority=(("example.com.", 60, "SOA", SOA.format(30)),)), 30),
        (answer(authority=(("example.com.", 20, "SOA", SOA.format(30)),)), 20),
        (answer(authority=(("example.com.", 9999, "SOA", SOA.format(9999)),)), MAX_NEGATIVE_TTL),
        (answer(WWW, rcode=dns.rcode.NXDOMAIN, authority=(("example.com.", 99, "SOA", SOA.format(99)),)), 60),
        (answer(rcode=dns.rcode.SERVFAIL), 0),
    ],
)
def test_how_long_an_answer_holds(message: dns.message.Message, ttl: int) -> None:
    assert read_answer(message.to_wire()).ttl == ttl


def test_too_long_an_answer_leaves_out_first_what_is_additional() -> None:
    many = answer(WWW, additional=tuple((f"h{i}.example.com.", 5, "A", "192.0.2.1") for i in range(40)))
    read = relayed(many, limit=512)
    assert (len(read.answer), len(read.additional), read.flags & dns.flags.TC) == (1, 0, 0)
    read = relayed(answer(*((f"h{i}.example.com.", 5, "A", "192.0.2.1") for i in range(40))), limit=512)
    assert (len(read.answer), bool(read.flags & dns.flags.TC)) == (0, True)


def test_the_code_has_all_its_bits() -> None:
    assert read_answer(answer(rcode=dns.rcode.BADVERS).to_wire()).rcode == wire.Rcode.BADVERS


@given(st.binary(max_size=300))
def test_junk_is_refused(junk: bytes) -> None:
    message = FULL.to_wire()[:12] + junk
    for reader in (question_of, read_answer):
        try:
            reader(message)
        except ProtocolError:
            continue


@given(st.lists(st.tuples(st.integers(2, 250), st.integers(0, 255)), max_size=4), st.integers(0, 300), st.data())
def test_a_damaged_answer_is_refused_or_handed_on_whole(
    damages: list[tuple[int, int]], end: int, data: st.DataObject
) -> None:
    message = bytearray(FULL.to_wire())
    for place, byte in damages:
        message[place % len(message)] = byte
    limit = data.draw(st.integers(512, 1232))
    query = wire.parse_query(QUERY.to_wire())
    try:
        stored = read_answer(bytes(message[: max(end, 12)] if end % 3 == 0 else message))
    except ProtocolError:
        return
    assert len(relay(query, stored, 7, limit)) <= limit
