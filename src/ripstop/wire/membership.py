"""What IGMP and MLD have in common: times, queries that name sources, and reports of the newest version.

The two differ in nothing there but the size of an address.
"""

import struct
from collections.abc import Callable

from ripstop.core.errors import ProtocolError
from ripstop.core.multicast.messages import Kind, Query, Record, Version
from ripstop.core.names import MulticastIp, SourceIp

_QUERY_TAIL = struct.Struct("!BBH")  # suppress flag and robustness, interval, number of sources
_REPORT_HEAD = struct.Struct("!BxHxxH")  # type, checksum, number of records
_RECORD = struct.Struct("!BBH")  # kind, words of auxiliary data, number of sources; then the group
_SUPPRESS = 0x08
_INTERVAL_BITS = 4
_KINDS = {kind.value: kind for kind in Kind}

ReadGroup = Callable[[bytes], MulticastIp]  # raises ProtocolError if it is none


def encode_time(value: int, bits: int) -> int:
    """Return the code of the largest number that can be written and is not above `value`.

    Args:
        value: what to write, at least 0.
        bits: of the mantissa: 4 in codes of one byte, 12 in those of two.

    Source: RFC 3376, sections 4.1.1 and 4.1.7; RFC 3810, sections 5.1.3 and 5.1.9.
    """
    exact = 1 << (bits + 3)
    if value < exact:
        return value
    exponent = value.bit_length() - bits - 4
    if exponent > 7:
        return (exact << 1) - 1
    return exact | exponent << bits | value >> (exponent + 3) & ((1 << bits) - 1)


def decode_time(code: int, bits: int) -> int:
    """Return the number that a code stands for; `bits` as above."""
    if code < 1 << (bits + 3):
        return code
    return (code & ((1 << bits) - 1) | 1 << bits) << ((code >> bits & 7) + 3)


def encode_tail(query: Query) -> bytes:
    """Return what follows the group in a query of the newest version."""
    flags = (query.robustness if query.robustness <= 7 else 0) | (_SUPPRESS if query.suppress else 0)
    interval = encode_time(round(query.interval), _INTERVAL_BITS)
    return _QUERY_TAIL.pack(flags, interval, len(query.sources)) + b"".join(query.sources)


def decode_tail(tail: bytes, group: MulticastIp | None, size: int, max_response: float) -> Query:
    """Read what follows the group in a query of the newest version, with addresses of `size` bytes.

    Raises:
        ProtocolError: it is cut off.
    """
    if len(tail) < _QUERY_TAIL.size:
        raise ProtocolError("query of no version")  # RFC 3376, section 7.1; RFC 3810, section 8.1
    flags, interval, count = _QUERY_TAIL.unpack_from(tail)
    sources = _addresses(tail, _QUERY_TAIL.size, count, size)
    every = float(decode_time(interval, _INTERVAL_BITS))
    return Query(Version.V3, group, sources, max_response, flags & 7, every, bool(flags & _SUPPRESS))


def decode_records(report: bytes, size: int, read_group: ReadGroup) -> tuple[Record, ...]:
    """Return the records of a report with addresses of `size` bytes; those of an unknown kind mean nothing.

    Raises:
        ProtocolError: it is cut off, or a group is none.

    Source: RFC 3376, section 4.2; RFC 3810, section 5.2.
    """
    if len(report) < _REPORT_HEAD.size:
        raise ProtocolError("report that is cut off")
    _, _, count = _REPORT_HEAD.unpack_from(report)
    records: list[Record] = []
    at = _REPORT_HEAD.size
    for _ in range(count):
        if len(report) < at + _RECORD.size + size:
            raise ProtocolError(f"report with {len(records)} records, not {count}")
        (
            kind,
            auxiliary,
            named,
        ) = _RECORD.unpack_from(report, at)
        group = report[at + _RECORD.size :][:size]
        at += _RECORD.size + size
        sources = _addresses(report, at, named, size)
        at += named * size + auxiliary * 4
        if len(report) < at:
            raise ProtocolError("report that is cut off")
        if kind in _KINDS:
            records.append(Record(_KINDS[kind], read_group(group), sources))
    return tuple(records)


def _addresses(message: bytes, at: int, count: int, size: int) -> tuple[SourceIp, ...]:
    end = at + count * size
    if len(message) < end:
        raise ProtocolError(f"fewer sources than {count}")
    return tuple(SourceIp(message[start : start + size]) for start in range(at, end, size))
