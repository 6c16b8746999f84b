"""What is said to questions about names, services and addresses of ours."""

from ipaddress import IPv4Network, ip_address

import dns.message
import dns.reversename
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripstop.dns.zone import Answer, Zone
from ripstop.wire import dns as wire
from ripstop.wire.dns import AA, Rcode
from ripstop.wire.dns_feed import NameRow, Record, Rows, Service

HTTP, ALT = Service("http", "tcp", 80), Service("http", "tcp", 8080)


def record(address: str, *services: Service) -> Record:
    """Return an address of a name."""
    return Record(ip_address(address).packed, services)


WEB = NameRow("Web", (record("10.32.0.1", HTTP), record("10.32.0.2", HTTP)))
MIXED = NameRow("mixed", (record("10.32.0.3", HTTP), record("10.32.0.4", ALT), record("10.32.0.5")))
DB = NameRow("db.Prod", (record("10.32.0.6"), record("fd00::6", Service("sql", "tcp", 5432))))
ROWS = (WEB, MIXED, DB)


def zone(*rows: NameRow, universe: str = "10.32.0.0/12", domain: str = "Ripstop.local") -> Zone:
    """Return a zone that knows some names."""
    made = Zone(domain, 1, IPv4Network(universe))
    made.apply(Rows(rows or ROWS))
    return made


def parse(name: str, kind: str) -> wire.Query:
    """Return a question; `name` may be an address, for its reverse name."""
    asked = dns.reversename.from_address(name) if kind == "PTR" and not name.endswith("arpa") else name
    return wire.parse_query(dns.message.make_query(asked, kind).to_wire())


def read(query: wire.Query, answer: Answer) -> dns.message.Message:
    """Return an answer as others read it."""
    return dns.message.from_wire(
        wire.reply(query, answer.rcode, AA, answer.answers, answer.authority, answer.additional)
    )


def ask(name: str, kind: str = "A", of: Zone | None = None) -> dns.message.Message | None:
    """Return what is said to a question; None: it is not ours."""
    query = parse(name, kind)
    answer = (of or zone()).answer(query)
    return None if answer is None else read(query, answer)


def said(name: str, kind: str = "A", of: Zone | None = None) -> list[str]:
    """Return the code and what is in the answers, in order."""
    message = ask(name, kind, of)
    assert message is not None, "not ours"
    return [Rcode(message.rcode()).name, *sorted(str(item) for rrset in message.answer for item in rrset)]


@pytest.mark.parametrize(
    ("name", "kind", "answer"),
    [
        ("web.ripstop.local", "A", ["NOERROR", "10.32.0.1", "10.32.0.2"]),
        ("WEB.RIPSTOP.LOCAL", "A", ["NOERROR", "10.32.0.1", "10.32.0.2"]),
        ("web", "A", ["NOERROR", "10.32.0.1", "10.32.0.2"]),
        ("web.ripstop.local", "AAAA", ["NOERROR"]),
        ("web.ripstop.local", "MX", ["NOERROR"]),
        ("web.ripstop.local", "ANY", ["NOERROR", "10.32.0.1", "10.32.0.2"]),
        ("db.prod.ripstop.local", "A", ["NOERROR", "10.32.0.6"]),
        ("db.prod.ripstop.local", "AAAA", ["NOERROR", "fd00::6"]),
        ("db.prod.ripstop.local", "ANY", ["NOERROR", "10.32.0.6", "fd00::6"]),
        ("prod.ripstop.local", "A", ["NOERROR"]),  # only a name below it
        ("prod", "A", ["NOERROR"]),
        ("nobody.ripstop.local", "A", ["NXDOMAIN"]),
        ("nobody.ripstop.local", "MX", ["NXDOMAIN"]),
        ("below.web.ripstop.local", "A", ["NXDOMAIN"]),
        ("nobody", "A", ["NXDOMAIN"]),
        ("ripstop.local", "A", ["NOERROR"]),
        ("ripstop.local", "SOA", ["NOERROR", "Ripstop.local. hostmaster.Ripstop.local. 1 3600 600 86400 1"]),
        ("10-32-0-2.web.ripstop.local", "A", ["NOERROR", "10.32.0.2"]),
        ("10-32-0-3.web.ripstop.local", "A", ["NXDOMAIN"]),
        ("fd00-0-0-0-0-0-0-6.db.prod.ripstop.local", "AAAA", ["NOERROR", "fd00::6"]),
        ("localhost", "A", ["NOERROR", "127.0.0.1"]),
        ("a.localhost", "AAAA", ["NOERROR", "::1"]),
        ("localhost", "MX", ["NOERROR"]),
        ("10.32.0.1", "PTR", ["NOERROR", "Web.Ripstop.local."]),
        ("fd00::6", "PTR", ["NOERROR", "db.Prod.Ripstop.local."]),
        ("10.32.0.99", "PTR", ["NXDOMAIN"]),  # the overlay's, so nobody else knows it
        ("0.32.10.in-addr.arpa", "PTR", ["NOERROR"]),
        ("1.0.32.010.in-addr.arpa", "PTR", ["NXDOMAIN"]),  # no way to write an address of ours
        ("9.32.10.in-addr.arpa", "PTR", ["NXDOMAIN"]),
        ("32.10.in-addr.arpa", "PTR", ["NOERROR"]),
        ("_http._tcp.web.ripstop.local", "SRV", ["NOERROR", "0 0 80 Web.Ripstop.local."]),
        ("_HTTP._TCP.web.ripstop.local", "SRV", ["NOERROR", "0 0 80 Web.Ripstop.local."]),
        ("_http._tcp.web.ripstop.local", "A", ["NOERROR"]),
        ("_tcp.web.ripstop.local", "SRV", ["NOERROR"]),
        ("_udp.web.ripstop.local", "SRV", ["NXDOMAIN"]),
        ("_http._udp.web.ripstop.local", "SRV", ["NXDOMAIN"]),
        ("_sql._tcp.web.ripstop.local", "SRV", ["NXDOMAIN"]),
        ("_http._tcp.nobody.ripstop.local", "SRV", ["NXDOMAIN"]),
    ],
)
def test_what_is_said(name: str, kind: str, answer: list[str]) -> None:
    assert said(name, kind) == answer


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("example.com", "A"),
        ("ripstop.local.example.com", "A"),
        ("xripstop.local", "A"),
        ("local", "NS"),
        (".", "NS"),
        ("10.48.0.1", "PTR"),
        ("192.0.2.1", "PTR"),
        ("10.in-addr.arpa", "PTR"),
        ("256.0.32.10.in-addr.arpa", "PTR"),
        ("1.1.0.32.10.in-addr.arpa", "PTR"),
        ("fd00::7", "PTR"),
        ("in-addr.arpa", "SOA"),
        ("arpa", "SOA"),
    ],
)
def test_what_is_not_ours(name: str, kind: str) -> None:
    assert ask(name, kind) is None


def test_a_label_that_looks_like_our_domain_is_not() -> None:
    query = wire.parse_query(
        bytes.fromhex("000001000001000000000000") + b"\x11x\x07ripstop\x05local\x00\x00" + b"\0\0\1\0\1"
    )
    assert query.labels == (b"x\x07ripstop\x05local\x00\x00",)
    answer = zone().answer(query)
    assert answer is not None
    assert answer.rcode == Rcode.NXDOMAIN


def test_negative_answers_name_the_zone_and_how_long_they_hold() -> None:
    for name, kind in (("nobody.ripstop.local", "A"), ("web.ripstop.local", "MX"), ("prod.ripstop.local", "A")):
        message = ask(name, kind)
        assert message is not None
        (soa,) = message.authority
        assert (str(soa.name).lower(), soa.ttl, soa[0].minimum) == ("ripstop.local.", 1, 1)
    message = ask("10.32.0.99", "PTR")
    assert message is not None
    assert str(message.authority[0].name) == "32.10.in-addr.arpa."
    assert said("10.32.9.9", "PTR", zone(universe="10.32.9.8/30")) == ["NXDOMAIN"]


def test_services_at_different_ports_have_targets_of_their_own() -> None:
    of = zone()
    assert said("_http._tcp.mixed.ripstop.local", "SRV", of) == [
        "NOERROR", "0 0 80 10-32-0-3.mixed.Ripstop.local.", "0 0 8080 10-32-0-4.mixed.Ripstop.local.",
    ]  # fmt: skip
    message = ask("_http._tcp.mixed.ripstop.local", "SRV", of)
    assert message is not None
    told = {str(rrset.name): str(rrset[0]) for rrset in message.additional}
    assert told == {"10-32-0-3.mixed.Ripstop.local.": "10.32.0.3", "10-32-0-4.mixed.Ripstop.local.": "10.32.0.4"}
    assert all(said(name, "A", of) == ["NOERROR", address] for name, address in told.items())


def test_an_address_with_several_names_has_them_all() -> None:
    of = zone(NameRow("a", (record("10.32.0.1"),)), NameRow("b", (record("10.32.0.1"),)))
    assert said("10.32.0.1", "PTR", of) == ["NOERROR", "a.Ripstop.local.", "b.Ripstop.local."]
    of.apply(Rows((NameRow("a", ()),)))
    assert said("10.32.0.1", "PTR", of) == ["NOERROR", "b.Ripstop.local."]


names = st.sampled_from(["a", "A", "b.a", "B.a", "c.b.a", "d.x"])
addresses = st.lists(st.sampled_from(["10.32.0.1", "10.32.0.2", "fd00::1"]), unique=True, max_size=3)
changes = st.lists(
    st.tuples(st.lists(st.tuples(names, addresses), max_size=4, unique_by=lambda r: r[0].lower()), st.booleans()),
    max_size=8,
)


@settings(max_examples=40)
@given(changes)
def test_what_is_known_is_what_was_said_last(said_so: list[tuple[list[tuple[str, list[str]]], bool]]) -> None:
    """A zone that changed answers as one that never knew anything else, and names all questions that changed."""
    changing, known = zone(NameRow("gone", ())), dict[str, NameRow]()
    asked = [
        parse(*question)
        for name in ("a", "b.a", "c.b.a", "d.x", "x")
        for question in ((f"{name}.ripstop.local", "A"), (f"{name}.ripstop.local", "AAAA"), (name, "A"))
    ] + [parse(address, "PTR") for address in ("10.32.0.1", "10.32.0.2", "fd00::1", "10.32.0.3")]
    for changed, complete in said_so:
        rows = tuple(NameRow(name, tuple(map(record, held))) for name, held in changed)
        before = {query: changing.answer(query) for query in asked}
        told = {question for row in changing.apply(Rows(rows, complete)) for question in changing.questions(row)}
        known = {} if complete else known
        known |= {row.name.lower(): row for row in rows}
        fresh = zone(*(known.values() or (NameRow("gone", ()),)))
        for query in asked:
            now, wanted = changing.answer(query), fresh.answer(query)
            assert _plain(now) == _plain(wanted)
            if _plain(before[query]) != _plain(now) and query.lower in _usual(changing, before[query]):
                assert query.lower in told
    assert len(changing) == sum(1 for row in known.values() if row.records)


def _plain(answer: Answer | None) -> object:
    return answer and (answer.rcode, sorted(answer.answers, key=repr), answer.authority, answer.additional)


def _usual(of: Zone, answer: Answer | None) -> set[bytes]:
    return set(of.questions(answer.row)) if answer is not None and answer.row is not None else set()
