"""From a message to its answer: ours at once, another's when it comes."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final

from ripstop.dns.fast import Fast
from ripstop.dns.zone import Answer, Zone
from ripstop.wire import dns
from ripstop.wire.dns import AA, IN, TC, NoQuestionError, Query, QuestionError, Rcode, Resource, Type
from ripstop.wire.dns_feed import Rows

ORDERS = 3  # of the others, for each address that comes first
MAX_ORDERS = 64  # of the addresses of one name

Send = Callable[[bytes], None]  # takes the answer to a client, now or later


Forward = Callable[[Query, str, int, Send], None]  # takes a client's address, and how long its answer may be


class Responder:
    """Answers messages."""

    def __init__(self, zone: Zone, forward: Forward, rng: Random, counters: Counter[str]) -> None:
        self.fast: Final = Fast()
        self._zone, self._forward, self._rng, self._counters = zone, forward, rng, counters

    def apply(self, rows: Rows) -> None:
        """Take what changed of the names."""
        changed = self._zone.apply(rows)
        for row in changed if self.fast else ():
            for question in self._zone.questions(row):
                self.fast.forget(question)

    def respond(self, message: bytes, client: str, send: Send, *, stream: bool = False) -> bytes | None:
        """Return the answer to a message, or None if there is none, or if it is sent later."""
        try:
            query = dns.parse_query(message)
        except NoQuestionError:
            self._counters["ignored"] += 1
            return None
        except QuestionError as error:
            self._counters["malformed"] += 1
            return dns.refusal(message, error.rcode)
        limit = 65535 if stream else query.limit
        if query.edns is not None and query.edns.version:
            return dns.reply(query, Rcode.BADVERS)
        if query.klass != IN or query.type in (Type.AXFR, Type.IXFR):
            self._counters["refused"] += 1
            return dns.reply(query, Rcode.REFUSED)
        answer = self._zone.answer(query)
        if answer is None:
            self._forward(query, client, limit, send)
            return None
        self._counters["local"] += 1
        reply = self._reply(query, answer, limit)
        if not stream and len(reply) <= dns.MIN_SIZE and not reply[2] & TC >> 8 and self._is_usual(query, answer):
            self.fast.keep(message, query.question, self._orders(query, answer, reply))
        return reply

    def _is_usual(self, query: Query, answer: Answer) -> bool:
        """Return whether a change of the answer's row would make the fast path forget this question."""
        return answer.row is not None and query.lower in self._zone.questions(answer.row)

    def _reply(self, query: Query, answer: Answer, limit: int) -> bytes:
        answers = answer.answers
        if len(answers) > 1:
            answers = tuple(self._rng.sample(answers, len(answers)))
        return _encode(query, answer, answers, limit)

    def _orders(self, query: Query, answer: Answer, reply: bytes) -> Iterator[bytes]:
        """Yield the answer in so many orders that each address comes first as often as any other."""
        number = len(answer.answers)
        if number < 2:
            yield reply
            return
        for _ in range(max(1, min(ORDERS, MAX_ORDERS // number))):
            for first in range(number):
                others = [*answer.answers[:first], *answer.answers[first + 1 :]]
                order = [answer.answers[first], *self._rng.sample(others, len(others))]
                yield _encode(query, answer, order, dns.MIN_SIZE)


def _encode(query: Query, answer: Answer, answers: Sequence[Resource], limit: int) -> bytes:
    return dns.reply(query, answer.rcode, AA, tuple(answers), answer.authority, answer.additional, limit)
