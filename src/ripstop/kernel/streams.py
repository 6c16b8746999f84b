"""What came of each source's packets to each group, as the maps `streams` and `tails` have it.

Every CPU counts for itself, and adds to a stream only now and then what it has counted: until then it is its tail.
"""

import heapq
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ripstop.core.multicast.tables import Selector
from ripstop.core.names import PortId, ShortId
from ripstop.kernel import abi, bpf
from ripstop.kernel.selectors import parse_selector

RECENT: Final = 60.0  # seconds since its last packet for which a stream goes before those that are silent

_NANOSECONDS: Final = 1_000_000_000
_STREAM: Final = abi.STREAM.packer
_TAIL: Final = abi.TAIL.packer
_KEY: Final = abi.STREAM_KEY.packer
_UNUSED: Final = bytes(_STREAM.size)
_NOTHING: Final = (0,) * len(abi.STREAM.fields)

Numbers = tuple[int, ...]  # packets, bytes, delivered, sent, dropped, and when the last packet came, in ns


@dataclass(frozen=True, slots=True)
class Stream:
    """What came of one source's packets to one group; a GSO packet counts once."""

    selector: Selector
    port: PortId  # by which they came in, or 0
    peer: ShortId  # from whose host they came, or NO_PEER
    packets: int
    bytes: int
    delivered: int  # copies to our own ports
    sent: int  # copies to peers
    dropped: int  # packets that nobody got
    age: float  # seconds since the last one, at most a tick too much


class Streams:
    """Reads the two maps."""

    def __init__(self, streams: bpf.Map, tails: bpf.Map) -> None:
        self._streams, self._tails = streams, tails

    def all(self) -> list[Stream]:
        """Return every stream that was seen lately, in no order; the numbers never go back."""
        now = time.monotonic_ns()
        return [_stream(key, numbers, now) for key, numbers in self._read().items()]

    def busiest(self, limit: int) -> tuple[tuple[Stream, ...], int]:
        """Return the streams with most packets, and how many there are in all."""
        found, now = self._read(), time.monotonic_ns()
        return tuple(_stream(key, found[key], now) for key in busiest(found, limit, now)), len(found)

    def _read(self) -> dict[bytes, Numbers]:
        before = dict(self._streams.items_cpus())
        tails = [values for _, values in self._tails.items_cpus()]
        return totals(before, tails, dict(self._streams.items_cpus()))


def totals(before: Mapping[bytes, bytes], tails: Iterable[bytes], after: Mapping[bytes, bytes]) -> dict[bytes, Numbers]:
    """Return what was counted of each stream.

    What a CPU has yet to add to a stream counts too, unless it was just doing so: then it may have been read before and
    after, and only what the stream has by now is sure.

    Args:
        before: each stream's values, of all CPUs one after another, read before the tails.
        tails: likewise.
        after: each stream's values, read after the tails.
    """
    found = {key: _sum_up(values) for key, values in after.items()}
    for values in tails:
        nothing = bytes(len(values) // _TAIL.size * _STREAM.size)
        for cpu, (key, tail) in enumerate(_TAIL.iter_unpack(values)):
            if tail == _UNUSED:
                continue
            at = slice(cpu * _STREAM.size, (cpu + 1) * _STREAM.size)
            if before.get(key, nothing)[at] == after.get(key, nothing)[at]:
                found[key] = _sum((found.get(key, _NOTHING), _STREAM.unpack(tail)))
    return {key: numbers for key, numbers in found.items() if any(numbers)}


def busiest(found: Mapping[bytes, Numbers], limit: int, now: int) -> list[bytes]:
    """Return the keys of the streams with most packets, those before all that had some within `RECENT`.

    By packets since they were first seen rather than by rate, so that the choice is much the same each time.
    """
    recent = now - int(RECENT * _NANOSECONDS)
    return heapq.nsmallest(limit, found, key=lambda key: (found[key][-1] < recent, -found[key][0], key))


def _sum_up(values: bytes) -> Numbers:
    """Add up one stream's values of all CPUs, of which few have seen it."""
    start = len(values) - len(values.lstrip(b"\0"))
    end = len(values.rstrip(b"\0"))
    used = list(_STREAM.iter_unpack(values[start - start % _STREAM.size : end + -end % _STREAM.size]))
    return used[0] if len(used) == 1 else _sum(used) if used else _NOTHING


def _sum(parts: Iterable[Numbers]) -> Numbers:
    """Add up what is counted; the last number is a time."""
    *columns, seen = zip(*parts, strict=True)
    return (*map(sum, columns), max(seen))


def _stream(key: bytes, numbers: Numbers, now: int) -> Stream:
    stream, port, peer = _KEY.unpack(key)
    packets, size, delivered, sent, dropped, seen = numbers
    age = max(0, now - seen) / _NANOSECONDS
    return Stream(parse_selector(stream), PortId(port), ShortId(peer), packets, size, delivered, sent, dropped, age)
