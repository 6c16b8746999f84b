"""Whom others' names are asked of, how often, and which answers are believed."""

from collections import Counter
from random import Random

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.dns import forwarding
from ripstop.dns.forwarding import DEADLINE, MAX_GUESSES, MAX_OF_CLIENT, MAX_SEARCHES, PATIENCE, Forwarder
from ripstop.wire import dns as wire

FIRST, SECOND = "192.0.2.53", "192.0.2.54"


class Questions:
    """What a forwarder asked, instead of sockets."""

    def __init__(self) -> None:
        self.open_now: dict[int, tuple[str, dns.message.Message, bool]] = {}
        self.raw: dict[int, bytes] = {}
        self.asked: list[tuple[str, bool]] = []

    def open(self, exchange: int, server: str, message: bytes, *, stream: bool) -> None:
        """Note a question."""
        self.open_now[exchange] = server, dns.message.from_wire(message), stream
        self.raw[exchange] = message
        self.asked.append((server, stream))

    def close(self, exchange: int) -> None:
        """Note that it is done with."""
        del self.open_now[exchange]


class Asker:
    """A forwarder, what it asked, and what its clients were told."""

    def __init__(self, *servers: str, seed: int = 1) -> None:
        self.questions, self.counters = Questions(), Counter[str]()
        self.forwarder = Forwarder(self.questions, Random(seed), self.counters)
        self.forwarder.use(servers or (FIRST, SECOND))
        self.told: list[dns.message.Message] = []

    def ask(self, name: str = "www.example.com", kind: str = "A", client: str = "10.32.0.1", now: float = 0.0) -> None:
        """Ask as a client; what it is told is in `told`."""
        query = wire.parse_query(dns.message.make_query(name, kind, use_edns=0).to_wire())
        self.forwarder.ask(query, client, 1232, lambda answer: self.told.append(dns.message.from_wire(answer)), now)

    @property
    def exchange(self) -> int:
        """The only question that is open."""
        (exchange,) = self.questions.open_now
        return exchange

    def answer(self, rcode: dns.rcode.Rcode = dns.rcode.NOERROR, flags: int = 0, ttl: int = 60) -> bytes:
        """Return an answer to the open question; all letters as asked."""
        asked = self.questions.open_now[self.exchange][1]
        made = dns.message.make_response(asked)
        made.set_rcode(rcode)
        made.flags |= flags
        if rcode == dns.rcode.NOERROR and not flags & dns.flags.TC:
            made.answer.append(dns.rrset.from_text(asked.question[0].name, ttl, "IN", "A", "192.0.2.1"))
        return made.to_wire()

    def receive(self, message: bytes, now: float = 0.0) -> None:
        """Let something come back to the open question."""
        self.forwarder.received(self.exchange, message, now)

    @property
    def codes(self) -> list[str]:
        """What clients were told, in a word each."""
        return [dns.rcode.to_text(message.rcode()) for message in self.told]


def test_a_question_is_asked_and_its_answer_kept() -> None:
    asker = Asker()
    asker.ask()
    asker.receive(asker.answer())
    asker.ask("WWW.example.com", now=59.9)
    assert asker.codes == ["NOERROR", "NOERROR"]
    assert [message.answer[0].ttl for message in asker.told] == [60, 1]
    assert str(asker.told[1].question[0].name) == "WWW.example.com."
    assert asker.questions.asked == [(FIRST, False)]
    asker.ask(now=60.0)
    assert len(asker.questions.asked) == 2


def test_a_type_that_looks_like_a_letter_is_asked_as_it_is() -> None:
    """HTTPS is type 65, which is an A."""
    asker = Asker()
    for kind in ("HTTPS", "TYPE97"):
        asker.ask(kind=kind)
    assert [dns.rdatatype.to_text(m.question[0].rdtype) for _, m, _ in asker.questions.open_now.values()] == [
        "HTTPS", "TYPE97",
    ]  # fmt: skip


def test_nothing_is_kept_of_other_servers() -> None:
    asker = Asker()
    asker.ask()
    asker.receive(asker.answer())
    asker.forwarder.use((SECOND,))
    asker.ask()
    assert asker.questions.asked[-1] == (SECOND, False)


def test_the_same_question_is_asked_once() -> None:
    asker = Asker()
    for client in ("10.32.0.1", "10.32.0.2"):
        asker.ask(client=client)
        asker.ask("WWW.EXAMPLE.COM", client=client)
    asker.receive(asker.answer())
    assert (asker.codes, len(asker.questions.asked)) == (["NOERROR"] * 4, 1)
    assert not asker.questions.open_now


def test_who_is_silent_is_asked_again_after_the_others_and_later_last() -> None:
    asker = Asker()
    asker.ask()
    assert asker.forwarder.deadline == PATIENCE
    for turn in range(1, 4):
        asker.forwarder.tick(turn * PATIENCE)
    assert asker.questions.asked == [(FIRST, False), (SECOND, False)] * 2
    asker.receive(asker.answer(), 3.5)
    asker.ask("other.example.com", now=4.0)
    assert asker.questions.asked[-1] == (SECOND, False)  # the first one rests
    asker.forwarder.tick(4.0 + PATIENCE)
    assert asker.questions.asked[-1] == (FIRST, False)


def test_a_client_hears_in_time_that_nobody_answers() -> None:
    asker = Asker("192.0.2.1", "192.0.2.2", "192.0.2.3")
    asker.ask()
    now = 0.0
    while asker.questions.open_now:
        now = asker.forwarder.deadline
        asker.forwarder.tick(now)
    assert (asker.codes, now) == (["SERVFAIL"], DEADLINE)


def test_nobody_to_ask() -> None:
    asker = Asker()
    asker.forwarder.use(())
    asker.ask()
    assert asker.codes == ["SERVFAIL"]


def test_who_cannot_be_reached_is_passed_over_at_once() -> None:
    asker = Asker()
    asker.ask()
    asker.forwarder.failed(asker.exchange, 0.01)
    assert asker.questions.asked == [(FIRST, False), (SECOND, False)]


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP])
def test_who_cannot_tell_is_passed_over_and_believed_if_nobody_can(rcode: dns.rcode.Rcode) -> None:
    asker = Asker()
    asker.ask()
    asker.receive(asker.answer(rcode))
    asker.receive(asker.answer())
    assert asker.codes == ["NOERROR"]
    asker.ask("other.example.com")
    for _ in range(4):
        asker.receive(asker.answer(rcode))
    assert asker.codes[1:] == [dns.rcode.to_text(rcode)]


def test_that_there_is_nothing_is_an_answer() -> None:
    asker = Asker()
    asker.ask()
    asker.receive(asker.answer(dns.rcode.NXDOMAIN))
    assert asker.codes == ["NXDOMAIN"]


def test_a_server_that_does_not_know_edns_is_asked_without() -> None:
    asker = Asker()
    asker.ask()
    assert asker.questions.open_now[asker.exchange][1].edns == 0
    asker.receive(asker.answer(dns.rcode.FORMERR))
    assert asker.questions.open_now[asker.exchange][1].edns == -1
    asker.receive(asker.answer())
    assert asker.codes == ["NOERROR"]


def test_an_answer_that_is_cut_is_asked_for_over_tcp() -> None:
    asker = Asker()
    asker.ask()
    asker.receive(asker.answer(flags=dns.flags.TC))
    asker.receive(asker.answer())
    assert (asker.codes, asker.questions.asked) == (["NOERROR"], [(FIRST, False), (FIRST, True)])


def forged(asker: Asker, change: str) -> bytes:
    """Return the right answer with something wrong in it."""
    right = asker.answer()
    return {
        "id": bytes([right[0] ^ 1]) + right[1:],
        "no answer": right[:2] + bytes([right[2] & 0x7F]) + right[3:],
        "opcode": right[:2] + bytes([right[2] | 0x08]) + right[3:],
        "name": right.replace(b"\x03www", b"\x03xyz").replace(right[12:16], b"\x03xyz"),
        "type": right[:12] + right[12:].replace(b"\0\1\0\1", b"\0\x1c\0\1", 1),
        "no question": right[:4] + b"\0\0" + right[6:],
        "two questions": right[:4] + b"\0\2" + right[6:],
        "short": right[:11],
        "cut": right[:-1],
        "empty": b"",
    }[change]


FORGERIES = ("id", "no answer", "opcode", "name", "type", "no question", "two questions", "short", "cut", "empty")


@pytest.mark.parametrize("change", FORGERIES)
def test_a_forged_answer_is_not_believed(change: str) -> None:
    asker = Asker()
    asker.ask()
    right = asker.answer()
    asker.receive(forged(asker, change))
    assert (asker.told, asker.counters["forged"]) == ([], 1)
    asker.receive(right)
    assert asker.codes == ["NOERROR"]


def test_names_are_asked_in_random_case_and_one_in_the_wrong_case_asks_over_tcp() -> None:
    asker = Asker()
    asker.ask("a-long-name-with-many-letters.example.com")
    right = asker.answer()
    other = right[:12] + right[12:60].swapcase() + right[60:]
    sent = asker.questions.raw[asker.exchange][12:]
    assert sent != sent.lower()
    asker.receive(other)
    assert (asker.told, asker.questions.asked) == ([], [(FIRST, False), (FIRST, True)])
    asker.receive(asker.answer())
    assert asker.codes == ["NOERROR"]


def test_who_guesses_makes_us_ask_over_tcp() -> None:
    asker = Asker()
    asker.ask()
    for _ in range(MAX_GUESSES):
        asker.receive(forged(asker, "id"))
    assert asker.questions.asked == [(FIRST, False), (FIRST, True)]
    asker.receive(forged(asker, "id"))  # over TCP, it is the server itself that talks nonsense
    assert asker.questions.asked[-1] == (SECOND, False)


def test_ids_and_case_are_drawn_for_each_question() -> None:
    asker = Asker()
    for i in range(200):
        asker.ask(f"n{i}.long-enough-for-case.example.com", client=f"10.32.0.{i}")
    ids = {message.id for _, message, _ in asker.questions.open_now.values()}
    cases = {message[15:35] for message in asker.questions.raw.values()}
    assert min(len(ids), len(cases)) > 190


def test_no_client_takes_more_than_its_share() -> None:
    asker = Asker()
    for i in range(MAX_OF_CLIENT + 1):
        asker.ask(f"n{i}.example.com")
    assert (asker.codes, len(asker.questions.open_now)) == (["SERVFAIL"], MAX_OF_CLIENT)
    asker.ask("other.example.com", client="10.32.0.2")
    assert asker.codes == ["SERVFAIL"]


def test_there_is_a_limit_for_all_and_it_ends() -> None:
    asker = Asker()
    for i in range(MAX_SEARCHES + 10):
        asker.ask(f"n{i}.example.com", client=f"10.32.{i % 256}.{i // 256}")
    assert (asker.codes, len(asker.questions.open_now)) == (["SERVFAIL"] * 10, MAX_SEARCHES)
    while asker.questions.open_now:
        asker.forwarder.tick(asker.forwarder.deadline)
    assert asker.codes == ["SERVFAIL"] * (MAX_SEARCHES + 10)
    asker.ask(now=100.0)
    asker.receive(asker.answer(), 100.0)
    assert asker.codes[-1] == "NOERROR"


@given(st.integers(0, 2**32), st.lists(st.sampled_from((*FORGERIES, "right", "cut off", "fail", "late")), max_size=40))
def test_whatever_comes_every_client_hears_once_and_nothing_forged(seed: int, events: list[str]) -> None:
    asker, now, asked = Asker(seed=seed), 0.0, 0
    for event in events:
        if not asker.questions.open_now:
            asker.ask(f"www{asked}.example.com", client=f"10.32.1.{asked}", now=now)
            asked += 1
        if event == "late":
            now = asker.forwarder.deadline
            asker.forwarder.tick(now)
        elif event == "fail":
            asker.forwarder.failed(asker.exchange, now)
        elif event == "right":
            asker.receive(asker.answer(), now)
        elif event == "cut off":
            asker.receive(asker.answer(flags=dns.flags.TC), now)
        else:
            asker.receive(forged(asker, event), now)
        assert len(asker.questions.open_now) <= 1
    while asker.questions.open_now:
        asker.forwarder.tick(asker.forwarder.deadline)
    assert len(asker.told) == asked
    assert all(str(m.answer[0][0]) == "192.0.2.1" for m in asker.told if m.answer)
    assert forwarding.DEADLINE >= PATIENCE
