"""Everything replicated that passes through a peer: its own entries, what it learns, what it passes on and keeps."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from ripstop.core.dns.messages import Bindings
from ripstop.core.effects import Effect
from ripstop.core.mesh.gossip import CoveredBy, Spreader
from ripstop.core.mesh.membership import Identity, Membership
from ripstop.core.mesh.memory import FormerLife, Memory
from ripstop.core.mesh.messages import Entry, PeerRecord, Reach
from ripstop.core.mesh.refuter import Refuter
from ripstop.core.mesh.replica import FindVoid, Replica
from ripstop.core.multicast.messages import Wants
from ripstop.core.names import ConnectionId, UnderlayIp

LASTING = PeerRecord | Reach | Wants | Bindings  # known again after a restart; of addresses their allocator keeps all


@dataclass(frozen=True, slots=True)
class News:
    """An entry that was learnt, and what it took the place of."""

    entry: Entry
    before: Entry | None


class Ledger:
    """The replica and the four that work on it; entries come in here and nowhere else."""

    def __init__(
        self,
        identity: Identity,
        port: int,
        advertise: tuple[UnderlayIp, ...],
        former: FormerLife,
        covered_by: CoveredBy,
        find_void: FindVoid,
        now: float,
        rng: Random,
    ) -> None:
        """Begin with what was known in a former life."""
        self.replica = Replica(find_void)
        self.replica.merge(former.entries)
        self.membership = Membership(identity, port, advertise, self.replica)
        self.spreader = Spreader(self.replica, covered_by, now, rng)
        self.memory = Memory(self.replica, now)
        self.generation = 0  # grows with every change of a record or a reach
        self._refuter = Refuter(self.membership.author, self.memory, now)

    @property
    def deadline(self) -> float:
        """When `refute`, the spreader or the memory next has something to do, in seconds."""
        return min(self._refuter.deadline, self.spreader.deadline, self.memory.deadline)

    def learn(self, entries: Iterable[Entry], source: ConnectionId, now: float) -> tuple[News, ...]:
        """Take what a neighbor sent, pass on what was news, and return that."""
        others: list[Entry] = []
        for entry in entries:
            if not self.membership.is_ours(entry):
                others.append(entry)
            elif self.replica.supersedes(entry):
                self._refuter.usurped(entry.version)
        before = {entry.key: self.replica.get(entry.key) for entry in others}
        news = self._merge(others, source, now)
        self.spreader.note(others, source, now)
        return tuple(News(entry, before[entry.key]) for entry in news)

    def write(self, entries: Iterable[Entry], now: float) -> None:
        """Spread entries of our own."""
        self._merge(entries, None, now)

    def write_record(self, now: float) -> None:
        """Bring our record in line with what we know of ourselves."""
        entry = self.membership.write_record()
        if entry:
            self.write((entry,), now)

    def refute(self, now: float) -> list[Effect]:
        """Defend our entries; all of them are to be written anew if anything is returned."""
        return self._refuter.refute(now)

    def _merge(self, entries: Iterable[Entry], source: ConnectionId | None, now: float) -> tuple[Entry, ...]:
        news = self.replica.merge(entries)
        if news:
            urgent = any(isinstance(entry.value, Wants | Bindings) for entry in news)
            self.spreader.spread(news, source, now, urgent=urgent)
        self.generation += any(isinstance(entry.value, PeerRecord | Reach) for entry in news)
        lasting = [entry for entry in news if isinstance(entry.value, LASTING)]
        if lasting:
            self.memory.keep_entries(lasting, now)
        return news
