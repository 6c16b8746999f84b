"""What was kept is said as it would be made."""

from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network
from random import Random

import dns.flags
import dns.message
import dns.rcode
from hypothesis import given
from hypothesis import strategies as st

from ripstop.dns.fast import ID, MAX_FORMS, Fast
from ripstop.dns.responder import Responder, Send
from ripstop.dns.zone import Zone
from ripstop.wire.dns import Query
from ripstop.wire.dns_feed import NameRow, Record, Rows, Service

NAMES = ("web.ripstop.local", "one.ripstop.local", "one", "_http._tcp.web.ripstop.local", "2.0.32.10.in-addr.arpa",
         "nobody.ripstop.local", "localhost")  # fmt: skip
ROWS = (
    NameRow("Web", tuple(Record(bytes([10, 32, 0, i]), (Service("http", "tcp", 80),)) for i in range(3))),
    NameRow("one", (Record(bytes([10, 32, 0, 9])),)),
)


def responder() -> Responder:
    """Return what answers for two names."""

    def nobody(query: Query, client: str, limit: int, send: Send) -> None:
        raise AssertionError(f"{client} asked about others with {query}, {limit}, {send}")

    zone = Zone("Ripstop.local", 1, IPv4Network("10.32.0.0/12"))
    zone.apply(Rows(ROWS))
    return Responder(zone, nobody, Random(1), Counter())


def ignore(_answer: bytes) -> None:
    """Hear an answer that comes later."""


def kept(fast: Fast, message: bytes) -> bytes | None:
    """Return the answer that is kept, as the server finds it."""
    found = fast.kept.get(message[ID:]) or fast.find(message)
    return None if found is None else message[:ID] + (found if isinstance(found, bytes) else found[-1])


def question(name: str, kind: str, size: int | None, flags: int, upper: Sequence[bool]) -> bytes:
    """Return a question whose letters are in any case."""
    drawn = "".join(c.upper() if up else c for c, up in zip(name, (*upper, *[False] * len(name)), strict=False))
    return dns.message.make_query(
        drawn, kind, flags=flags, use_edns=-1 if size is None else 0, payload=size or 0
    ).to_wire()


questions = st.builds(
    question,
    st.sampled_from(NAMES),
    st.sampled_from(("A", "AAAA", "SRV", "PTR", "HTTPS", "MX", "ANY")),
    st.sampled_from((None, 0, 511, 512, 1232, 1360, 1392, 4096)),  # two of them are one in lower case
    st.sampled_from((dns.flags.RD, dns.flags.RD | dns.flags.AD, dns.flags.RD | dns.flags.CD, 0)),
    st.lists(st.booleans(), max_size=20),
)


def told(answer: bytes) -> tuple[object, ...]:
    """Return what an answer says, whatever its order."""
    read = dns.message.from_wire(answer, one_rr_per_rrset=True)
    sections = [sorted(str(rrset) for rrset in section) for section in (read.answer, read.authority, read.additional)]
    return read.id, int(read.flags), answer[12 : 12 + len(read.question[0].name) + 4], read.edns, read.payload, sections


@given(st.lists(questions, min_size=1, max_size=30))
def test_what_is_kept_is_what_would_be_made(asked: list[bytes]) -> None:
    server, fresh = responder(), responder()
    for message in asked:
        found = kept(server.fast, message)
        made = fresh.respond(message, "127.0.0.1", ignore)
        assert made is not None
        if found is not None:
            assert told(found) == told(made)
        else:
            server.respond(message, "127.0.0.1", ignore)


def test_what_people_ask_is_kept() -> None:
    server = responder()
    for name, kind in (("web.ripstop.local", "A"), ("one", "AAAA"), ("web.ripstop.local", "HTTPS"),
                       ("_http._tcp.web.ripstop.local", "SRV"), ("2.0.32.10.in-addr.arpa", "PTR")):  # fmt: skip
        for size in (None, 1232, 4096):
            message = question(name, kind, size, dns.flags.RD, ())
            assert kept(server.fast, message) is None
            server.respond(message, "127.0.0.1", ignore)
            assert kept(server.fast, message) is not None
            again = kept(server.fast, question(name.upper(), kind, size, dns.flags.RD, ()))
            assert again is not None or kind == "HTTPS"  # whose number is a letter, so only lower case finds it
    server.apply(Rows((NameRow("WEB", ()), NameRow("one", ()))))
    assert len(server.fast) == 0


def test_what_does_not_exist_is_not_kept_so_that_nobody_can_fill_the_table() -> None:
    server = responder()
    for i in range(100):
        server.respond(question(f"nobody-{i}.ripstop.local", "A", None, dns.flags.RD, ()), "127.0.0.1", ignore)
    for size in range(512, 512 + 2 * MAX_FORMS):
        server.respond(question("one", "A", size, dns.flags.RD, ()), "127.0.0.1", ignore)
    assert len(server.fast) == MAX_FORMS


def test_each_address_comes_first_as_often() -> None:
    server = responder()
    message = question("web.ripstop.local", "A", None, dns.flags.RD, ())
    server.respond(message, "127.0.0.1", ignore)
    orders = server.fast.kept[message[ID:]]
    assert isinstance(orders, tuple)
    firsts = Counter(order[len(message) - ID :][12:16] for order in orders)
    assert len(firsts) == 3
    assert len(set(firsts.values())) == 1
