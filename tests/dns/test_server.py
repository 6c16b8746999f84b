"""The name server as its clients see it: `dig` and dnspython, over UDP and TCP, IPv4 and IPv6."""

import contextlib
import itertools
import os
import random
import signal
import socket
import struct
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import IO

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.reversename
import dns.rrset
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ripstop.wire.dns_feed import NameRow, Record, Service
from tests.dns.servers import PATIENCE, Server, dig, short
from tests.namespaces import inside

EVERYWHERE = (("127.0.0.1", 53), ("::1", 53))
HTTP = Service("http", "tcp", 80)


def row(name: str, *addresses: str) -> NameRow:
    """Return a name whose addresses all offer HTTP."""
    return NameRow(name, tuple(Record(ip_address(address).packed, (HTTP,)) for address in addresses))


WEB = row("Web", "10.32.0.1", "10.32.0.2", "10.32.0.3", "fd00::1")
DB = row("db.prod", "10.32.0.9")
MANY = row("many", *(f"10.33.0.{i}" for i in range(200)))


@pytest.fixture
def names(server: Server) -> Server:
    """Return a name server that knows some names and answers on loopback."""
    server.tell(WEB, DB, MANY)
    assert [at.problem for at in server.listen(*EVERYWHERE)] == ["", ""]
    return server


Send = Callable[[dns.message.Message, str], dns.message.Message]
WAYS: dict[str, Send] = {
    "udp": lambda message, where: dns.query.udp(message, where, PATIENCE),
    "tcp": lambda message, where: dns.query.tcp(message, where, PATIENCE),
}


QUESTIONS: tuple[tuple[str, str, list[str] | None], ...] = (
    ("wEB.ripstop.LOCAL.", "A", ["10.32.0.1", "10.32.0.2", "10.32.0.3"]),
    ("web.", "AAAA", ["fd00::1"]),
    ("db.prod.ripstop.local.", "AAAA", []),
    ("_http._tcp.db.prod.ripstop.local.", "SRV", ["0 0 80 db.prod.ripstop.local."]),
    ("1.0.32.10.in-addr.arpa.", "PTR", ["Web.ripstop.local."]),
    (str(dns.reversename.from_address("fd00::1")), "PTR", ["Web.ripstop.local."]),
    ("nobody.ripstop.local.", "A", None),
)


def test_every_way_to_ask(names: Server) -> None:
    ways = itertools.product(("127.0.0.1", "::1"), WAYS.values(), (None, 512, 1232, 4096), range(3), QUESTIONS)
    for where, send, edns, _, (name, kind, answers) in ways:  # what is asked again comes from what was kept
        message = dns.message.make_query(name, kind, use_edns=-1 if edns is None else 0, payload=edns or 0)
        read = send(message, where)
        assert read.question[0].name.to_wire() == message.question[0].name.to_wire()
        assert read.rcode() == (dns.rcode.NXDOMAIN if answers is None else dns.rcode.NOERROR)
        assert sorted(str(item) for rrset in read.answer for item in rrset) == (answers or [])
        assert all(rrset.ttl == 1 for rrset in read.answer + read.authority + read.additional)
        assert bool(read.authority) == (not answers)
        assert read.flags & (dns.flags.AA | dns.flags.TC) == dns.flags.AA
        assert read.edns == (-1 if edns is None else 0)


def test_dig_with_all_it_sends_by_itself(names: Server) -> None:
    assert short("web.ripstop.local") == ["10.32.0.1", "10.32.0.2", "10.32.0.3"]
    assert short("WEB.RIPSTOP.LOCAL", "AAAA", server="::1") == ["fd00::1"]
    assert short("-x", "10.32.0.9") == ["db.prod.ripstop.local."]
    assert (
        short("+tcp", "db.prod") == short("+search", "+domain=ripstop.local", "db.prod") == []
    )  # two labels: not ours
    assert "status: NXDOMAIN" in dig("nobody.ripstop.local")
    assert "status: NOERROR" in dig("prod.ripstop.local")
    assert "status: NOTIMP" in dig("+opcode=STATUS", "web.ripstop.local")
    assert "status: BADVERS" in dig("+edns=1", "+noednsneg", "web.ripstop.local")
    assert "status: REFUSED" in dig("-c", "CH", "version.bind", "TXT")
    assert "flags: do" in dig("+dnssec", "web.ripstop.local")
    assert "Transfer failed" in dig("ripstop.local", "AXFR", check=False)


def test_many_addresses(names: Server) -> None:
    for words in (["+noedns"], ["+bufsize=700"], ["+bufsize=4096"], ["+tcp"], []):
        cut = dig("+ignore", *words, "many.ripstop.local")
        assert ("flags: qr aa tc" in cut) == ("+tcp" not in words)
        assert len(short(*words, "many.ripstop.local")) == 200  # by TCP, as they are many


def test_addresses_come_in_every_order_and_each_first_as_often(names: Server) -> None:
    firsts: Counter[str] = Counter()
    orders: Counter[tuple[str, ...]] = Counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(("127.0.0.1", 53))
        asker.settimeout(PATIENCE)
        for _ in range(1200):
            asker.send(dns.message.make_query("web.ripstop.local", "A").to_wire())
            got = [str(item) for item in dns.message.from_wire(asker.recv(4096), one_rr_per_rrset=True).answer]
            order = tuple(text.rsplit(" ", 1)[1] for text in got)
            firsts[order[0]] += 1
            orders[order] += 1
    assert min(firsts.values()) > 300  # of 400; by chance once in 10^9 runs
    assert len(firsts) == 3
    assert len(orders) >= 4


def test_what_changes_is_answered_at_once_and_what_was_kept_is_forgotten(names: Server) -> None:
    asked = ("web.ripstop.local", "web", "WEB.ripstop.local")
    for words in ([], ["+noedns"], ["+tcp"]):
        for name in asked:
            assert len(short(*words, name)) == 3
    names.tell(row("wEb", "10.32.0.2"))
    names.report()
    for words in ([], ["+noedns"], ["+tcp"]):
        for name in asked:
            assert short(*words, name) == ["10.32.0.2"]
    assert short("-x", "10.32.0.1") == []
    assert short("-x", "10.32.0.2") == ["wEb.ripstop.local."]
    assert short("_http._tcp.web.ripstop.local", "SRV") == ["0 0 80 wEb.ripstop.local."]
    names.tell(row("other", "10.32.0.5"), complete=True)
    names.report()
    assert "status: NXDOMAIN" in dig("web.ripstop.local")
    assert short("other.ripstop.local") == ["10.32.0.5"]


def test_answers_come_from_the_address_that_was_asked(host: Path, server: Server) -> None:
    inside(host, "ip", "address", "add", "198.51.100.7/32", "dev", "lo")
    inside(host, "ip", "address", "add", "2001:db8::7/128", "dev", "lo")
    server.tell(DB)
    server.listen(("198.51.100.7", 53), ("2001:db8::7", 53))
    places = (("198.51.100.7", 53), ("0.0.0.0", 53), ("::", 53), ("2001:db8::7", 53))  # two are within the others
    assert [at.problem for at in server.listen(*places)] == ["", "", "", ""]
    for where in ("127.0.0.9", "198.51.100.7", "::1", "2001:db8::7"):
        for _ in range(2):
            assert short("+noedns", "db.prod.ripstop.local", server=where) == ["10.32.0.9"]
        assert short("-x", "8.8.8.8", server=where) == []  # also what comes later


def test_it_answers_on_addresses_that_come_later_and_says_who_has_one(host: Path, server: Server) -> None:
    server.tell(DB)
    assert [at.problem for at in server.listen(("10.32.0.1", 53), ("fd00::1", 53))] == ["", ""]
    inside(host, "ip", "address", "add", "10.32.0.1/32", "dev", "lo")
    inside(host, "ip", "address", "add", "fd00::1/128", "dev", "lo")
    assert short("db.prod.ripstop.local", server="fd00::1") == ["10.32.0.9"]
    assert short("db.prod.ripstop.local", server="10.32.0.1") == ["10.32.0.9"]
    with socket.create_server(("127.0.0.1", 53)):
        listening = server.listen(("127.0.0.1", 53), ("127.0.0.2", 53))
        assert "in use by another program" in listening[0].problem
        assert listening[1].problem == ""
        assert short("db.prod.ripstop.local", server="127.0.0.2") == ["10.32.0.9"]
    server.until(lambda report: not report.listening[0].problem)
    assert short("db.prod.ripstop.local") == ["10.32.0.9"]
    server.listen(("127.0.0.1", 53))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker, pytest.raises(ConnectionRefusedError):
        asker.connect(("127.0.0.2", 53))
        asker.send(b"?")
        asker.recv(1)


def test_several_questions_on_a_connection_answered_together(names: Server) -> None:
    questions = [
        dns.message.make_query(f"{name}.ripstop.local", "A") for name in ("web", "nobody", "db.prod", "many") * 40
    ]
    frames = b"".join(len(wire).to_bytes(2, "big") + wire for wire in (q.to_wire() for q in questions))
    with socket.create_connection(("127.0.0.1", 53), PATIENCE) as opened:
        sender = opened.makefile("rb")
        opened.sendall(frames[:1])
        opened.sendall(frames[1:45])
        ids = [_read(sender).id]
        opened.sendall(frames[45:])
        opened.shutdown(socket.SHUT_WR)  # it asks no more, but reads
        while len(ids) < len(questions):
            ids.append(_read(sender).id)
        assert sender.read(1) == b""
    assert sorted(ids) == sorted(question.id for question in questions)


def _read(file: IO[bytes]) -> dns.message.Message:
    return dns.message.from_wire(file.read(int.from_bytes(file.read(2), "big")))


def test_too_many_connections_close_those_that_are_silent(names: Server) -> None:
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", 53), PATIENCE)) for _ in range(40)]
        assert opened[0].recv(1) == b""  # 32 of one address
        assert short("+tcp", "db.prod.ripstop.local") == ["10.32.0.9"]
        assert names.report().counters["crowded"] >= 8


def test_what_may_not_be_answered_is_not(names: Server) -> None:
    for junk in (b"", b"x", bytes(11), struct.pack("!6H", 1, 0x8000, 1, 0, 0, 0)):
        with socket.create_connection(("127.0.0.1", 53), PATIENCE) as opened:
            opened.sendall(len(junk).to_bytes(2, "big") + junk)
            assert opened.recv(1) == b""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.connect(("127.0.0.1", 53))
            asker.settimeout(PATIENCE)
            asker.send(junk)
            asker.send(dns.message.make_query("db.prod.ripstop.local", "A", id=7).to_wire())
            assert dns.message.from_wire(asker.recv(4096)).id == 7


def test_who_cannot_be_answered_keeps_nobody_else_from_it(names: Server) -> None:
    """Port 0 is no port to send to, so the kernel refuses in the midst of many answers."""
    payload = dns.message.make_query("db.prod.ripstop.local", "A").to_wire()
    nowhere = struct.pack("!4H", 0, 53, 8 + len(payload), 0) + payload
    with (
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker,
    ):
        asker.connect(("127.0.0.1", 53))
        asker.settimeout(PATIENCE)
        os.kill(names.process.pid, signal.SIGSTOP)  # so that all come together
        for _ in range(20):
            raw.sendto(nowhere, ("127.0.0.1", 0))
            asker.send(payload)
            raw.sendto(nowhere, ("127.0.0.1", 0))
        os.kill(names.process.pid, signal.SIGCONT)
        assert len([asker.recv(4096) for _ in range(20)]) == 20
    assert names.until(lambda report: report.counters.get("udp", 0) >= 60).counters["unsent"] == 40


def test_a_datagram_that_is_too_long_is_refused(names: Server) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(("127.0.0.1", 53))
        asker.settimeout(PATIENCE)
        asker.send(dns.message.make_query("web", "A", pad=2000, use_edns=0).to_wire(max_size=4096))
        assert dns.message.from_wire(asker.recv(4096)).rcode() == dns.rcode.FORMERR


def mutated(rng: random.Random) -> bytes:
    """Return a question with damage, or junk."""
    if rng.random() < 0.2:
        return rng.randbytes(rng.randrange(600))
    name = rng.choice(["web.ripstop.local", "_http._tcp.web", "1.0.32.10.in-addr.arpa", "nx.db.prod.ripstop.local"])
    message = bytearray(dns.message.make_query(name, rng.choice(["A", "SRV", "PTR", "ANY"]), use_edns=0).to_wire())
    for _ in range(rng.randrange(4)):
        message[rng.randrange(len(message))] = rng.choice([0, 1, 0x3F, 0x40, 0xC0, 0xFF, rng.randrange(256)])
    return bytes(message[: rng.randrange(len(message) + 1)] if rng.random() < 0.2 else message)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**64))
def test_damaged_questions_do_no_harm(names: Server, seed: int) -> None:
    """Whatever is answered can be read by others, has the id of a question, and the server lives on."""
    rng = random.Random(seed)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(("127.0.0.1", 53))
        asker.settimeout(PATIENCE)
        sent = [mutated(rng) for _ in range(60)]
        for message in sent:
            asker.send(message)
        asker.send(dns.message.make_query("last.ripstop.local", "A", id=1).to_wire())
        while True:
            answer = asker.recv(4096)
            read = dns.message.from_wire(answer)
            assert read.flags & dns.flags.QR
            assert len(answer) <= 1232
            if read.question and str(read.question[0].name) == "last.ripstop.local.":
                break
            assert answer[:2] in [message[:2] for message in sent]
    assert names.process.poll() is None


def test_it_ends_with_the_daemon(names: Server) -> None:
    assert names.hang_up() == 0
