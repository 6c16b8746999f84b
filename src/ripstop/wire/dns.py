"""DNS messages: questions in, answers out; pure.

A name is what is on the wire: labels with their lengths and the root's zero at the end.  Questions come from anybody,
so every length is looked at before it is believed, and a question holds no compression at all: there is nothing
before it that it could point to.

Source: RFC 1035, section 4 (messages); RFC 6891 (EDNS); RFC 2181, section 9 (truncation).
"""

import enum
import struct
from typing import NamedTuple

from ripstop.core.errors import ProtocolError

HEADER = 12  # bytes
MAX_NAME = 255  # bytes on the wire; RFC 1035, section 2.3.4
MAX_LABEL = 63  # bytes
MIN_SIZE = 512  # bytes of a UDP answer that everybody takes; RFC 1035, section 4.2.1
OUR_SIZE = 1232  # bytes over UDP that no path with IPv6's smallest MTU fragments: 1280 less 40 IPv6 and 8 UDP
QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010  # bits of the flags
DO = 0x8000  # bit of EDNS's flags: the asker understands DNSSEC; RFC 3225
IN = 1  # the class of everything we know
TO_QUESTION = b"\xc0\x0c"  # the name in the question, as a compressed name
_COUNTS = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_OPCODE = 0x7800
_POINTER = 0xC0


class Type(enum.IntEnum):
    """Types of records that we treat in a way of their own."""

    A = 1
    SOA = 6
    PTR = 12
    AAAA = 28
    SRV = 33
    OPT = 41
    IXFR = 251
    AXFR = 252
    ANY = 255


class Rcode(enum.IntEnum):
    """What became of a question."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class QuestionError(ProtocolError):
    """A question that is answered with `rcode`, as it cannot be read or is of no kind that we know."""

    def __init__(self, rcode: Rcode, text: str) -> None:
        super().__init__(text)
        self.rcode = rcode


class NoQuestionError(ProtocolError):
    """Nothing that may be answered at all: too short, or itself an answer."""


class Edns(NamedTuple):
    """What the asker said of itself."""

    size: int  # bytes of a UDP answer that it takes
    version: int
    dnssec: bool


class Query(NamedTuple):
    """A message that asks one question."""

    id: int
    flags: int
    question: bytes  # as asked, case and all: name, type, class
    labels: tuple[bytes, ...]  # of the name, lower case, without the root
    type: int
    klass: int
    edns: Edns | None = None

    @property
    def lower(self) -> bytes:
        """The question with its name in lower case."""
        return lowered(self.question)

    @property
    def limit(self) -> int:
        """How many bytes an answer over UDP may have."""
        return min(max(self.edns.size, MIN_SIZE), OUR_SIZE) if self.edns else MIN_SIZE


class Resource(NamedTuple):
    """One record of an answer; `name` may be compressed."""

    name: bytes
    type: int
    ttl: int  # seconds
    rdata: bytes

    def encode(self) -> bytes:
        """Return it as on the wire."""
        return self.name + _RECORD.pack(self.type, IN, self.ttl, len(self.rdata)) + self.rdata


def is_question(message: bytes) -> bool:
    """Return whether this may be answered at all: an answer to an answer would begin a game without end."""
    return len(message) >= HEADER and not message[2] & QR >> 8


def parse_query(message: bytes) -> Query:
    """Read a question.

    Raises:
        NoQuestionError: nothing that may be answered.
        QuestionError: something that is answered with an error.
    """
    if not is_question(message):
        raise NoQuestionError("an answer, or too short for a header")
    number, flags, questions, answers, authority, additional = _COUNTS.unpack_from(message)
    if flags & _OPCODE:
        raise QuestionError(Rcode.NOTIMP, f"opcode {(flags & _OPCODE) >> 11}")
    if questions != 1 or answers or authority:
        raise QuestionError(Rcode.FORMERR, f"{questions} questions, {answers} answers, {authority} authorities")
    labels, end = _read_labels(message)
    if end + 4 > len(message):
        raise QuestionError(Rcode.FORMERR, "ends within the question")
    kind, klass = struct.unpack_from("!HH", message, end)
    question = message[HEADER : end + 4]
    edns = _read_edns(message, end + 4, additional)
    return Query(number, flags, question, labels, kind, klass, edns)


def _read_labels(message: bytes) -> tuple[tuple[bytes, ...], int]:
    """Return the labels of the name in the question, in lower case, and where it ends."""
    labels: list[bytes] = []
    place = HEADER
    while place < len(message) and (length := message[place]):
        if length > MAX_LABEL:
            raise QuestionError(Rcode.FORMERR, "a compressed question" if length >= _POINTER else "no such label")
        place += 1 + length
        if place - HEADER >= MAX_NAME:
            raise QuestionError(Rcode.FORMERR, f"a name of more than {MAX_NAME} bytes")
        labels.append(message[place - length : place].lower())
    if place >= len(message):
        raise QuestionError(Rcode.FORMERR, "ends within the name")
    return tuple(labels), place + 1


def _read_edns(message: bytes, place: int, records: int) -> Edns | None:
    """Return what the OPT record among the additional ones says; nothing may follow them."""
    edns = None
    for _ in range(records):
        after_name = skip_name(message, place)
        if after_name + _RECORD.size > len(message):
            raise QuestionError(Rcode.FORMERR, "ends within a record")
        kind, size, ttl, length = _RECORD.unpack_from(message, after_name)
        if kind == Type.OPT:
            if edns is not None or after_name != place + 1:
                raise QuestionError(Rcode.FORMERR, "more than one OPT record, or one with a name")
            edns = Edns(size, ttl >> 16 & 0xFF, bool(ttl & DO))
        place = after_name + _RECORD.size + length
    if place != len(message):
        raise QuestionError(Rcode.FORMERR, "bytes that belong to nothing")
    return edns


def skip_name(message: bytes, place: int) -> int:
    """Return where the name that begins at `place` ends; pointers are not followed, so there are no loops.

    Raises:
        QuestionError: it runs out of the message, or has labels that there are not.
    """
    while place < len(message):
        length = message[place]
        if not length:
            return place + 1
        if length >= _POINTER:
            return place + 2
        if length > MAX_LABEL:
            break
        place += 1 + length
    raise QuestionError(Rcode.FORMERR, "a name that does not end")


def lowered(question: bytes) -> bytes:
    """Return a question with its name in lower case; the type may look like a letter, and stays."""
    return question[:-4].lower() + question[-4:]


def encode_name(*labels: bytes) -> bytes:
    """Return labels as a name on the wire."""
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def pointer_to(labels: tuple[bytes, ...]) -> bytes:
    """Return, as a compressed name, what follows the first `labels` of the name in the question."""
    return (_POINTER << 8 | HEADER + sum(1 + len(label) for label in labels)).to_bytes(2, "big")


def name_of(text: str) -> bytes:
    """Return a name that is written with dots, case kept, as on the wire."""
    return encode_name(*(label.encode() for label in text.rstrip(".").split(".") if label))


def opt_record(rcode: int, *, dnssec: bool = False, size: int = OUR_SIZE) -> bytes:
    """Return the OPT record of a message of ours; `rcode` is the whole one, of which it carries the upper bits."""
    ttl = rcode >> 4 << 24 | (DO if dnssec else 0)
    return b"\0" + _RECORD.pack(Type.OPT, size, ttl, 0)


def reply(
    query: Query,
    rcode: Rcode,
    flags: int = 0,
    answers: tuple[Resource, ...] = (),
    authority: tuple[Resource, ...] = (),
    additional: tuple[Resource, ...] = (),
    limit: int = 65535,
) -> bytes:
    """Return the answer to `query`, cut to `limit` bytes.

    Answers that do not fit are left out and the answer is marked as truncated; additional records that do not fit are
    left out without a mark.
    """
    opt = b"" if query.edns is None else opt_record(rcode, dnssec=query.edns.dnssec)
    room = limit - HEADER - len(query.question) - len(opt)
    flags |= QR | RA | query.flags & (RD | CD) | rcode & 0xF
    counts = [0, 0, 0]
    parts = [query.question]
    for section, resources in enumerate((answers, authority, additional)):
        for resource in resources:
            encoded = resource.encode()
            room -= len(encoded)
            if room < 0:
                flags |= TC if section < 2 else 0
                break
            counts[section] += 1
            parts.append(encoded)
        if room < 0:
            break
    counts[2] += bool(opt)
    return _COUNTS.pack(query.id, flags, 1, *counts) + b"".join(parts) + opt


def refusal(message: bytes, rcode: Rcode) -> bytes:
    """Return an answer of a header alone, for a message whose question cannot be read."""
    number, flags = struct.unpack_from("!HH", message)
    return _COUNTS.pack(number, QR | flags & (_OPCODE | RD) | rcode, 0, 0, 0, 0)
