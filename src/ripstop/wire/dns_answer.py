"""Answers of other servers: checked, then kept as they are but for id, flags, times and the case of the question."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ripstop.core.errors import ProtocolError
from ripstop.wire import dns
from ripstop.wire.dns import HEADER, Query, Rcode, Type, skip_name

MAX_TTL = 3600  # seconds that anything is kept
MAX_NEGATIVE_TTL = 300  # seconds that it is kept that something does not exist
_COUNTS = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_TIME = struct.Struct("!I")
_MIN_SOA = 22  # bytes: two names, five numbers


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer without its header and its OPT record."""

    rcode: int
    counts: tuple[int, int, int]
    body: bytes  # from the question on
    core: int  # bytes of `body` up to the additional records, which may be left out
    times: tuple[tuple[int, int], ...]  # where in `body` a time to live is, and what it was, in seconds
    ttl: int  # seconds; 0: not to be kept


class _Record(NamedTuple):
    section: int  # 0 answers, 1 authority, 2 additional
    type: int
    start: int
    ttl: int  # seconds
    data: int  # where its data starts
    end: int


def question_of(message: bytes) -> bytes:
    """Return the only question of a message: name, type, class.

    Raises:
        ProtocolError: there is none, or several, or the message ends before.
    """
    if len(message) < HEADER or _COUNTS.unpack_from(message)[2] != 1:
        raise ProtocolError("not one question")
    end = skip_name(message, HEADER) + 4
    if end > len(message):
        raise ProtocolError("ends within the question")
    return message[HEADER:end]


def read_answer(message: bytes) -> Stored:
    """Read an answer to one question; what follows its OPT record is left out.

    Raises:
        ProtocolError: lengths or counts that do not fit.
    """
    end = HEADER + len(question_of(message))
    rcode = message[3] & 0xF
    records: list[_Record] = []
    for record in _records(message, end):
        if record.type == Type.OPT:
            rcode |= message[record.data - 6] << 4
            break
        records.append(record)
        end = record.end
    counts = [sum(record.section == section for record in records) for section in range(3)]
    core = max((record.end for record in records if record.section < 2), default=HEADER + len(question_of(message)))
    times = tuple((record.data - 6 - HEADER, record.ttl) for record in records)
    ttl = _ttl(message, records, rcode)
    return Stored(rcode, (counts[0], counts[1], counts[2]), message[HEADER:end], core - HEADER, times, ttl)


def _records(message: bytes, place: int) -> Iterator[_Record]:
    counts = _COUNTS.unpack_from(message)[3:]
    for section, count in enumerate(counts):
        for _ in range(count):
            start, fixed = place, skip_name(message, place)
            data = fixed + _RECORD.size
            if data > len(message):
                raise ProtocolError("ends within a record")
            kind, _, ttl, length = _RECORD.unpack_from(message, fixed)
            place = data + length
            if place > len(message):
                raise ProtocolError("ends within a record")
            yield _Record(section, kind, start, 0 if ttl >> 31 else ttl, data, place)  # RFC 2181, section 8


def _ttl(message: bytes, records: list[_Record], rcode: int) -> int:
    """Return how long an answer holds.  Source: RFC 2308, section 5, for those that say that there is nothing."""
    times = [min(record.ttl, MAX_TTL) for record in records if record.section == 0]
    if rcode == Rcode.NXDOMAIN or not times:
        authority = [record for record in records if record.section == 1 and record.type == Type.SOA]
        if rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN) or not authority:
            return 0
        soa = authority[0]
        if soa.end - soa.data < _MIN_SOA:
            raise ProtocolError("an SOA record that is too short")
        (minimum,) = _TIME.unpack_from(message, soa.end - _TIME.size)
        times.append(min(soa.ttl, minimum, MAX_NEGATIVE_TTL))
    return min(times)


def relay(query: Query, stored: Stored, age: int, limit: int) -> bytes:
    """Return what was stored as the answer to `query`, `age` seconds later, cut to `limit` bytes.

    What does not fit without the additional records is left out as a whole: the client asks again over TCP.
    """
    opt = b"" if query.edns is None else dns.opt_record(stored.rcode, dnssec=query.edns.dnssec)
    room = limit - HEADER - len(opt)
    flags = dns.QR | dns.RA | query.flags & (dns.RD | dns.CD) | stored.rcode & 0xF
    counts, end = list(stored.counts), len(stored.body)
    if end > room:
        counts[2], end = 0, stored.core
    if end > room:
        counts, end, flags = [0, 0, 0], len(query.question), flags | dns.TC
    body = bytearray(stored.body[:end])
    body[: len(query.question)] = query.question
    for place, ttl in stored.times:
        if place < end:
            _TIME.pack_into(body, place, max(0, min(ttl, MAX_TTL) - age))
    counts[2] += bool(opt)
    return _COUNTS.pack(query.id, flags, 1, *counts) + bytes(body) + opt
