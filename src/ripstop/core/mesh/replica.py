"""The one store of replicated entries, whatever their subject.

Each key has the greatest entry seen, by version and then by the bytes of the value, so replicas that have seen the
same entries are equal, in whatever order and however often they saw them.  To compare two replicas cheaply, keys are
spread over buckets, and each bucket keeps a hash of what is in it.

Entries stay for ever, but for those that others have made void.  Which these are follows from the entries alone, so
that replicas that have seen the same stay equal.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from ripstop.core.mesh.limits import BUCKETS
from ripstop.core.mesh.messages import Entry

FindVoid = Callable[[Iterable[Entry]], Iterable[str]]  # what was merged: the keys of what nobody needs any more

_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Held:
    entry: Entry
    encoded: bytes
    bucket: int
    mark: int  # 64-bit hash of the whole entry


@dataclass(frozen=True, slots=True)
class Difference:
    """What two replicas should tell each other."""

    newer: tuple[Entry, ...]  # here
    wanted: tuple[str, ...]  # keys that are newer there


def nothing_is_void(_news: Iterable[Entry]) -> tuple[str, ...]:
    """Return no key: every entry is needed for ever."""
    return ()


class Replica:
    """Entries by key; each only ever replaced by greater ones, or dropped when others have made it void."""

    def __init__(self, find_void: FindVoid = nothing_is_void) -> None:
        self._find_void = find_void
        self._held: dict[str, _Held] = {}
        self._buckets: list[dict[str, None]] = [{} for _ in range(BUCKETS)]
        self._marks = [0] * BUCKETS

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Entry]:
        return (held.entry for held in self._held.values())

    def get(self, key: str) -> Entry | None:
        """Return the entry of `key`, or None."""
        held = self._held.get(key)
        return held.entry if held else None

    def size(self, key: str) -> int:
        """Return about how many bytes the entry of `key` takes on the wire; 0 if there is none."""
        held = self._held.get(key)
        return len(held.encoded) + len(key) + 16 if held else 0

    def supersedes(self, entry: Entry) -> bool:
        """Return whether `entry` would be news."""
        held = self._held.get(entry.key)
        if held is None or entry.version != held.entry.version:
            return held is None or entry.version > held.entry.version
        return _encode(entry.value) > held.encoded

    def merge(self, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """Take what is greater than what is here; return what was news, in the order it came."""
        news: dict[str, Entry] = {}
        for entry in entries:
            if self.supersedes(entry):
                self._put(entry)
                news.pop(entry.key, None)
                news[entry.key] = entry
        for key in self._find_void(news.values()):
            self._drop(key)
            news.pop(key, None)
        return tuple(news.values())

    def digest(self) -> tuple[int, ...]:
        """Return one hash per bucket; equal replicas have equal digests."""
        return tuple(self._marks)

    def differing(self, digest: tuple[int, ...]) -> tuple[int, ...]:
        """Return the buckets in which another replica with this digest holds something else."""
        return tuple(i for i, (mine, theirs) in enumerate(zip(self._marks, digest, strict=True)) if mine != theirs)

    def versions(self, buckets: Iterable[int]) -> tuple[tuple[str, int], ...]:
        """Return key and version of everything in these buckets."""
        return tuple((key, self._held[key].entry.version) for i in buckets for key in self._buckets[i])

    def compare(self, buckets: tuple[int, ...], versions: Iterable[tuple[str, int]]) -> Difference:
        """Return what must be exchanged with a replica that has exactly these versions in these buckets.

        A bucket that differs although all its versions are the same holds two values of one version somewhere:
        all of it counts as newer, and the bytes decide over there.
        """
        theirs: dict[int, dict[str, int]] = {bucket: {} for bucket in buckets}
        for key, version in versions:
            theirs.setdefault(bucket_of(key), {})[key] = version
        newer: list[Entry] = []
        wanted: list[str] = []
        for bucket in dict.fromkeys(buckets):
            there = theirs[bucket]
            here = [self._held[key].entry for key in self._buckets[bucket]]
            ahead = [entry for entry in here if there.get(entry.key, 0) < entry.version]
            behind = [entry.key for entry in here if there.get(entry.key, 0) > entry.version]
            behind += [key for key in there if key not in self._buckets[bucket]]
            newer += ahead if ahead or behind else here
            wanted += behind
        return Difference(tuple(newer), tuple(wanted))

    def _put(self, entry: Entry) -> None:
        old = self._held.get(entry.key)
        bucket = old.bucket if old else bucket_of(entry.key)
        encoded = _encode(entry.value)
        held = _Held(entry, encoded, bucket, _hash(b"%d %s " % (entry.version, entry.key.encode()) + encoded))
        self._marks[bucket] ^= held.mark ^ (old.mark if old else 0)
        self._buckets[bucket][entry.key] = None
        self._held[entry.key] = held

    def _drop(self, key: str) -> None:
        old = self._held.pop(key)
        self._marks[old.bucket] ^= old.mark
        del self._buckets[old.bucket][key]


def bucket_of(key: str) -> int:
    """Return the bucket of a key; the same on every host."""
    return _hash(key.encode()) % BUCKETS


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
