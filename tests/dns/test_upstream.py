"""Names of others: asked of the host's resolvers, for those who may ask, and only true answers handed on."""

import contextlib
import socket
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rrset
import pytest

from ripstop.wire.dns_feed import NameRow, Record
from tests.dns.servers import PATIENCE, Server, dig, names_of, right, short, upstream, wire_of
from tests.namespaces import inside, namespace

FIRST, SECOND = "127.0.0.11", "127.0.0.12"
HERE = ("127.0.0.1", 53)


@pytest.fixture
def resolver(server: Server, resolv_conf: Path) -> Server:
    """Return a name server that asks two others."""
    resolv_conf.write_text(names_of([FIRST, SECOND]))
    server.tell(NameRow("web", (Record(bytes([10, 32, 0, 1])),)))
    assert server.listen(HERE)[0].problem == ""
    return server


def test_others_are_asked_and_what_they_say_is_kept(resolver: Server) -> None:
    with upstream(FIRST) as first, upstream(SECOND) as second:
        for words in ([], ["+tcp"], ["+noedns"]):
            assert short(*words, "Www.Example.com") == ["192.0.2.1"]
        assert len(first.asked) == 1
        assert not second.asked
        assert short("web.ripstop.local") == ["10.32.0.1"]
        for name in ("nobody.ripstop.local", "nobody", "99.0.32.10.in-addr.arpa"):
            assert "status: NXDOMAIN" in dig(name)
        assert len(first.asked) == 1  # never about what is ours
        assert resolver.report().upstreams == (FIRST, SECOND)


def test_who_is_silent_or_gone_or_cannot_tell_is_passed_over(resolver: Server) -> None:
    with upstream(SECOND) as second:
        assert short("a.example.com") == ["192.0.2.1"]  # the first one's port is closed
        with upstream(FIRST, lambda query, _: []):
            assert short("b.example.com") == ["192.0.2.1"]
        refusal = dns.rcode.REFUSED

        def refuse(query: dns.message.Message, _stream: bool) -> list[bytes]:
            made = dns.message.make_response(query)
            made.set_rcode(refusal)
            return [made.to_wire()]

        with upstream(FIRST, refuse):
            assert short("c.example.com") == ["192.0.2.1"]
        assert len(second.asked) == 3
    assert "status: SERVFAIL" in dig("d.example.com")


def test_who_cannot_be_reached_at_all_is_passed_over(server: Server, resolv_conf: Path) -> None:
    resolv_conf.write_text(names_of(["fe80::1%nowhere", "192.0.2.1", "2001:db8::1", FIRST]))
    server.listen(HERE)
    with upstream(FIRST):
        assert short("a.example.com") == ["192.0.2.1"]
        assert short("+tcp", "b.example.com") == ["192.0.2.1"]


def test_a_long_answer_is_asked_for_over_tcp_and_handed_on_as_the_client_can_take_it(resolver: Server) -> None:
    def many(query: dns.message.Message, stream: bool) -> list[bytes]:
        made = dns.message.make_response(query)
        if not stream:
            made.flags |= dns.flags.TC
            return [made.to_wire()]
        texts = [f"192.0.2.{i}" for i in range(200)]
        made.answer.append(dns.rrset.from_text_list(query.question[0].name, 60, "IN", "A", texts))
        return [made.to_wire(max_size=65535)]

    with upstream(FIRST, many) as first:
        for words in ([], ["+tcp"], ["+noedns"]):
            assert len(short(*words, "many.example.com")) == 200
        assert [stream for _, _, stream in first.asked] == [False, True]
        assert "flags: qr tc" in dig("+ignore", "many.example.com")


def test_another_resolver_is_asked_when_the_file_says_so(resolver: Server, resolv_conf: Path) -> None:
    with upstream(FIRST, lambda q, _: [right(q, "192.0.2.11", 3600).to_wire()]):
        assert short("a.example.com") == ["192.0.2.11"]
        new = resolv_conf.with_name("new")
        new.write_text(names_of(["127.0.0.1", "127.0.0.13"]))  # also ourselves, whom we never ask
        new.rename(resolv_conf)
        with upstream("127.0.0.13", lambda q, _: [right(q, "192.0.2.13").to_wire()]):
            resolver.until(lambda _: short("a.example.com") == ["192.0.2.13"])
        assert resolver.report().upstreams == ("127.0.0.13",)


def lies(query: dns.message.Message) -> list[bytes]:
    """Return answers that somebody could have forged, each with a wrong address."""
    true = right(query, "198.51.100.66").to_wire()
    other_id = bytes([true[0] ^ 1]) + true[1:]
    wanted = wire_of(query.question[0].name)
    other_case = true.replace(wanted, wanted.swapcase())
    other_name = true.replace(wanted, wanted[:1] + b"\x78" + wanted[2:])
    return [other_id, other_name, other_case, other_id, b"junk", true[:-3], b""]


def test_a_liar_is_not_believed(resolver: Server) -> None:
    """Wrong ids, names and cases come from the right address and port; the right answer comes after them."""
    with upstream(FIRST, lambda q, stream: [*([] if stream else lies(q)), right(q).to_wire()]):
        for i in range(20):
            assert short(f"name-{i}.example.com") == ["192.0.2.1"]


def test_an_answer_from_elsewhere_is_not_believed(resolver: Server) -> None:
    """The id, the port and the name are right, but another address, or another port of it, answers."""
    with contextlib.ExitStack() as stack, upstream(FIRST) as first:
        liars = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
        liars[0].bind(("127.0.0.66", 53))
        liars[1].bind((FIRST, 5353))

        def lie_first(query: dns.message.Message, _stream: bool) -> list[bytes]:
            port = first.asked[-1][1]
            for liar in liars:
                liar.sendto(right(query, "198.51.100.66").to_wire(), ("127.0.0.1", port))
            return [right(query).to_wire()]

        with upstream(SECOND, lambda q, s: []):
            first.say(lie_first)
            for i in range(20):
                assert short(f"name-{i}.example.com") == ["192.0.2.1"]


def test_ports_ids_and_case_are_drawn(resolver: Server) -> None:
    with upstream(FIRST) as first:
        for i in range(60):
            dns.query.udp(dns.message.make_query(f"some-name-{i:02}.example.com", "A"), "127.0.0.1", PATIENCE)
        ports = [port for _, port, _ in first.asked]
        assert len(set(ports)) > 50
        assert len({query.id for query, _, _ in first.asked}) > 50
        assert len({wire_of(query.question[0].name)[10:] for query, _, _ in first.asked}) > 50
        steps = {after - before for before, after in pairwise(ports)}
        assert len(steps) > 50  # no counting


def test_strangers_are_refused(host: Path, serve: Callable[..., Server], resolv_conf: Path) -> None:
    """From outside, our own names are answered; others' only for the overlay, allowed networks, and this host."""
    resolv_conf.write_text(names_of([FIRST]))
    with namespace("out") as outside:
        inside(host, "ip", "link", "add", "v", "type", "veth", "peer", "name", "v", "netns", outside.name)
        for path, addresses in (
            (host, ("203.0.113.1/24", "10.32.0.1/24", "198.51.100.1/24")),
            (outside, ("203.0.113.2/24", "10.32.0.2/24", "198.51.100.2/24")),
        ):
            inside(path, "ip", "link", "set", "v", "up")
            for address in addresses:
                inside(path, "ip", "address", "add", address, "dev", "v")
        server = serve("--allow=198.51.100.0/24")
        server.tell(NameRow("web", (Record(bytes([10, 32, 0, 1])),)))
        server.listen(*((f"{net}.1", 53) for net in ("203.0.113", "10.32.0", "198.51.100")))
        with upstream(FIRST) as first:
            for at, status in (("203.0.113", "REFUSED"), ("10.32.0", "NOERROR"), ("198.51.100", "NOERROR")):
                for way in ("+notcp", "+tcp"):
                    ask = ("dig", "+tries=1", "+timeout=10", way, f"@{at}.1", "-b", f"{at}.2")
                    assert f"status: {status}" in inside(outside, *ask, "www.example.com")
                    assert "status: NOERROR" in inside(outside, *ask, "web.ripstop.local")
            assert short("-b", "203.0.113.1", "www.example.com", server="203.0.113.1") == ["192.0.2.1"]
            assert len(first.asked) == 1
        assert server.report().counters["refused"] == 2


def test_a_resolver_that_asks_us_back_ends_in_an_error(resolver: Server) -> None:
    """Somebody made us the resolver of our resolver: the question comes round, and must not go round for ever."""

    def ask_back(query: dns.message.Message, _stream: bool) -> list[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.sendto(query.to_wire(), HERE)
        return []

    with upstream(FIRST, ask_back) as first, upstream(SECOND, ask_back) as second:
        assert "status: SERVFAIL" in dig("www.example.com")
        assert len(first.asked) + len(second.asked) <= 8
