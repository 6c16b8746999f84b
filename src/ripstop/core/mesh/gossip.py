"""How word spreads: news at once along all connections, and now and then a comparison with one neighbor.

News is passed on to everyone but those it came from, and those to whom these pass it on themselves: neighbors to
which they have both a connection and a path, by their own account.  After a first batch the next ones of the following
moments are held together, so that a mesh that starts does not drown in its own news.  Whatever is lost on the way is
found by the comparison: digest, then versions of the buckets that differ, then the entries themselves.
"""

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from random import Random

from ripstop.core.effects import Effect, Send
from ripstop.core.mesh.messages import Digest, Entry, Gossip, Versions, Want
from ripstop.core.mesh.replica import Replica
from ripstop.core.names import ConnectionId

EXCHANGE_INTERVAL = 5.0  # seconds between comparisons with a random neighbor
BATCH_INTERVAL = 0.05  # seconds; batches are at least this far apart
URGENT_INTERVAL = 0.005  # seconds; the same with something in them that traffic waits for
BATCH_BYTES = 256 * 1024  # of entries in one message, about; a quarter of what a frame may have
BATCH_KEYS = 4096  # in one message

CoveredBy = Callable[[ConnectionId], Container[ConnectionId]]


class Spreader:
    """Sends entries of the replica to neighbors, and compares it with theirs."""

    def __init__(self, replica: Replica, covered_by: CoveredBy, now: float, rng: Random) -> None:
        """Begin; `covered_by` says to which of our neighbors a neighbor of ours passes on its news itself."""
        self.deadline = now + EXCHANGE_INTERVAL  # when `tick` next has something to do, seconds
        self._replica = replica
        self._covered_by = covered_by
        self._rng = rng
        self._pending: dict[str, tuple[ConnectionId, ...]] = {}  # keys, and who has that entry already
        self._batched_at = -math.inf
        self._batch_at = now
        self._exchange_at = now + EXCHANGE_INTERVAL

    def spread(self, news: Iterable[Entry], source: ConnectionId | None, now: float, *, urgent: bool = False) -> None:
        """Pass these on in the next batch to everyone but their source."""
        for entry in news:
            self._pending[entry.key] = () if source is None else (source,)
        if urgent:
            self._batch_at = min(self._batch_at, self._batched_at + URGENT_INTERVAL)
        self._schedule(now)

    def note(self, entries: Iterable[Entry], source: ConnectionId, now: float) -> None:
        """Somebody sent us these: what is the same here need not be sent back, a lesser value of one version must."""
        for entry in entries:
            held = self._replica.get(entry.key)
            if held == entry and entry.key in self._pending:
                self._pending[entry.key] = (*self._pending[entry.key], source)
            elif held and held != entry and held.version == entry.version:
                self._pending[entry.key] = ()
        self._schedule(now)

    def compare(self, connection: ConnectionId) -> list[Effect]:
        """Begin a comparison with one neighbor."""
        return [Send(connection, Digest(self._replica.digest()))]

    def lacks(self, message: Digest | Versions | Want) -> bool:
        """Return whether the sender of this may know something that we do not."""
        match message:
            case Digest(digest):
                return bool(self._replica.differing(digest))
            case Versions(buckets, versions):
                return bool(self._replica.compare(buckets, versions).wanted)
            case Want():
                return False

    def answer(self, message: Digest | Versions | Want, source: ConnectionId) -> list[Effect]:
        """Take the next step of a comparison."""
        match message:
            case Digest(digest):
                return list(self._list(self._replica.differing(digest), source))
            case Versions(buckets, versions):
                difference = self._replica.compare(buckets, versions)
                return [*self._give(difference.newer, source), *self._ask(difference.wanted, source)]
            case Want(keys):
                entries = [entry for key in keys if (entry := self._replica.get(key))]
                return list(self._give(entries, source))

    def tick(self, neighbors: tuple[ConnectionId, ...], now: float, *, at_once: bool = False) -> list[Effect]:
        """Send the batch that is due; compare with a random neighbor when it is time."""
        effects: list[Effect] = []
        if self._pending and (at_once or now >= self._batch_at):
            pending, self._pending = self._pending, {}
            self._batched_at, self._batch_at = now, now + BATCH_INTERVAL
            groups: dict[tuple[ConnectionId, ...], list[Entry]] = {}
            for key, known in pending.items():
                if entry := self._replica.get(key):
                    groups.setdefault(known, []).append(entry)
            covered = {one: self._covered_by(one) for one in dict.fromkeys(one for known in groups for one in known)}
            for neighbor in neighbors:
                fresh = (
                    entry for known, group in groups.items() if not _has(neighbor, known, covered) for entry in group
                )
                effects += self._give(fresh, neighbor)
        if now >= self._exchange_at:
            self._exchange_at = now + EXCHANGE_INTERVAL
            if neighbors:
                effects += self.compare(self._rng.choice(neighbors))
        self._schedule(now)
        return effects

    def _schedule(self, now: float) -> None:
        batch_at = max(now, self._batch_at) if self._pending else math.inf
        self.deadline = min(self._exchange_at, batch_at)

    def _list(self, buckets: tuple[int, ...], to: ConnectionId) -> Iterator[Effect]:
        """Send the versions in these buckets, in parts if there are many, and a word even if there are none."""
        part: list[int] = []
        versions: list[tuple[str, int]] = []
        for bucket in buckets:
            part.append(bucket)
            versions += self._replica.versions((bucket,))
            if len(versions) >= BATCH_KEYS:
                yield Send(to, Versions(tuple(part), tuple(versions)))
                part, versions = [], []
        if part or not buckets:
            yield Send(to, Versions(tuple(part), tuple(versions)))

    def _give(self, entries: Iterable[Entry], to: ConnectionId) -> Iterator[Effect]:
        batch: list[Entry] = []
        size = 0
        for entry in entries:
            batch.append(entry)
            size += self._replica.size(entry.key)
            if size >= BATCH_BYTES:
                yield Send(to, Gossip(tuple(batch)))
                batch, size = [], 0
        if batch:
            yield Send(to, Gossip(tuple(batch)))

    def _ask(self, keys: tuple[str, ...], to: ConnectionId) -> Iterator[Effect]:
        for start in range(0, len(keys), BATCH_KEYS):
            yield Send(to, Want(keys[start : start + BATCH_KEYS]))


def _has(
    neighbor: ConnectionId, known: tuple[ConnectionId, ...], covered: Mapping[ConnectionId, Container[ConnectionId]]
) -> bool:
    """Return whether a neighbor has some news already, or gets it from one who has."""
    return any(neighbor == source or neighbor in covered[source] for source in known)
