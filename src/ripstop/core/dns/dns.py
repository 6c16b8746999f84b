"""Names on one peer: ties what we have, what other peers have, and what the name server must know together."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from ripstop.core.dns.messages import Binding, Bindings, NameRow, Record, Service, by_service
from ripstop.core.dns.ours import Ours
from ripstop.core.dns.table import Table
from ripstop.core.effects import Announce, Answer, Effect, Internal, Serve
from ripstop.core.errors import ExhaustedError
from ripstop.core.mesh.messages import Entry
from ripstop.core.names import Holder, PeerName, RequestId

SLICE = 1000  # names looked at in one go: some five milliseconds
PATIENCE = 2.0  # seconds after a start until the name server is told whatever is known; the mesh takes half of it


@dataclass(frozen=True, slots=True)
class NameView:
    """One address under one name, as people see it."""

    binding: Binding
    peer: PeerName
    hidden: bool  # its peer cannot be reached, so nobody is told


class Dns:
    """What happens comes in by methods that return effects; everything else only reads."""

    def __init__(self, name: PeerName) -> None:
        """Begin with no names, and nobody in reach."""
        self.table = Table()
        self._name = name
        self._ours = Ours(name)
        self._near: dict[PeerName, None] = {name: None}  # whose names are answered: frames reach them, or they are us
        self._versions: dict[tuple[PeerName, int], int] = {}  # of the entries of other peers
        self._behind: dict[str, None] = {}  # names in lower case of which the server does not know the newest
        self._tell_at = math.inf
        self._knows_ways = self._has_told = False
        self._unheard: list[Entry] | None = []  # entries of our own learnt before we know what we have; then None

    @property
    def deadline(self) -> float:
        """When `tick` next has something to do, in seconds."""
        return self._tell_at

    # What can happen.

    def restore(self, holders: Mapping[Holder, tuple[Binding, ...]], now: float) -> list[Effect | Internal]:
        """These are our names: what others still have of a former life, and is not among them, goes."""
        effects = self._announce(self._ours.replace_all(holders))
        unheard, self._unheard = self._unheard or [], None
        self._tell_at = now + PATIENCE
        return [*effects, *self.learn(unheard, now)]

    def register(
        self, request: RequestId, holders: Mapping[Holder, tuple[Binding, ...]], now: float
    ) -> list[Effect | Internal]:
        """Give some of ours these names instead of those they have: all, or none if there is no room."""
        try:
            self._ours.check(holders)
        except ExhaustedError as error:
            return [Answer(request, error)]
        effects = self._announce(self._ours.replace(holders))
        return [*effects, *self._follow(now), Answer(request, 0)]

    def drop(self, holder: Holder, now: float) -> list[Effect | Internal]:
        """One of ours has gone."""
        return [*self._announce(self._ours.replace({holder: ()})), *self._follow(now)]

    def leave(self, now: float) -> list[Effect | Internal]:
        """We leave the mesh: nothing of ours stays behind."""
        return [*self._announce(self._ours.replace_all({})), *self._follow(now)]

    def forget(self, peers: Iterable[PeerName], now: float) -> list[Effect | Internal]:
        """Empty the shards of peers that are dead for good; one that is not, and comes back, writes them anew."""
        entries: list[Entry] = []
        for peer in peers:
            for shard in self.table.shards(peer):
                self._replace(peer, shard, ())
                version = self._versions[peer, shard] = self._versions[peer, shard] + 1
                entries.append(Entry(f"dns/{peer}/{shard}", version, Bindings(())))
        return [*([Announce(tuple(entries))] if entries else []), *self._follow(now)]

    def learn(self, entries: Iterable[Entry], now: float) -> list[Effect | Internal]:
        """Take news from the mesh: entries of the channel dns; others are ignored.

        Those of our own wait for `restore`: else what others have of our former life would be taken back for a moment.
        """
        answers: list[Entry] = []
        for entry in entries:
            if not isinstance(entry.value, Bindings):
                continue
            peer, shard = _split(entry.key)
            if peer != self._name:
                self._versions[peer, shard] = entry.version
                self._replace(peer, shard, entry.value.bindings)
            elif self._unheard is not None:
                self._unheard.append(entry)
            elif answer := self._ours.outdo(shard, entry.version, entry.value):
                answers.append(answer)
        return [*([Announce(tuple(answers))] if answers else []), *self._follow(now)]

    def use_ways(self, peers: Iterable[PeerName], now: float) -> list[Effect | Internal]:
        """Frames reach these peers and no others: only their names are answered."""
        self._knows_ways = True
        before, self._near = self._near, dict.fromkeys((self._name, *peers))
        for peer in (*before, *self._near):
            if (peer in before) != (peer in self._near):
                self._behind |= self.table.keys_of(peer)
        return self._follow(now)

    def tick(self, now: float) -> list[Effect | Internal]:
        """Do what is due."""
        return self._follow(now)

    # What people may ask.

    @property
    def peers(self) -> tuple[PeerName, ...]:
        """Who has any names, sorted."""
        return self.table.peers()

    def is_hidden(self, peer: PeerName) -> bool:
        """Return whether the names of a peer are not answered."""
        return peer not in self._near

    def bindings(self, holder: Holder) -> tuple[Binding, ...]:
        """Return the names of one of ours."""
        return self._ours.get(holder)

    def of(self, key: str) -> list[NameView]:
        """Return all addresses under a name in lower case."""
        return [NameView(binding, peer, self.is_hidden(peer)) for peer, binding in self.table.of(key)]

    def at(self, address: bytes) -> list[NameView]:
        """Return all names of an address, in order."""
        found = [(one.key, peer, one) for peer, one in self.table.all() if one.address == address]
        found.sort(key=lambda view: view[:2])
        return [NameView(binding, peer, self.is_hidden(peer)) for _, peer, binding in found]

    # What follows.

    def _replace(self, peer: PeerName, shard: int, bindings: tuple[Binding, ...]) -> None:
        changed = self.table.replace(peer, shard, bindings)
        if peer in self._near:
            self._behind |= dict.fromkeys(changed)

    def _announce(self, shards: Iterable[int]) -> list[Effect | Internal]:
        entries = []
        for shard in shards:
            entry = self._ours.write(shard)
            self._replace(self._name, shard, self._ours.value(shard).bindings)
            entries.append(entry)
        return [Announce(tuple(entries))] if entries else []

    def _follow(self, now: float) -> list[Effect | Internal]:
        """Say what the name server must know; nothing before we know what we have ourselves and whom frames reach.

        Who starts again would otherwise deny for a moment what others have.  In slices, so that a host with very many
        names that comes or goes does not hold up all else.
        """
        if self._unheard is not None or not (self._knows_ways or now >= self._tell_at):
            return []
        if self._has_told and not self._behind:
            return []
        keys = list(islice(self._behind, SLICE))
        for key in keys:
            del self._behind[key]
        self._tell_at = now if self._behind else math.inf
        complete, self._has_told = not self._has_told, True
        return [Serve(tuple(map(self._row, keys)), complete, bool(self._behind))]

    def _row(self, key: str) -> NameRow:
        """Return what is to be answered for a name, the same on every host that knows the same."""
        near = [binding for peer, binding in self.table.of(key) if peer in self._near]
        if len(near) == 1:  # as most are
            return NameRow(near[0].name, (Record(near[0].address, near[0].services),))
        found: dict[bytes, dict[Service, None]] = {}
        for binding in near:
            found.setdefault(binding.address, {}).update(dict.fromkeys(binding.services))
        records = tuple(
            Record(address, tuple(sorted(services, key=by_service))) for address, services in sorted(found.items())
        )
        return NameRow(min((binding.name for binding in near), default=key), records)


def _split(key: str) -> tuple[PeerName, int]:
    """Return whose shard an entry is, and which."""
    _, peer, shard = key.split("/")
    return PeerName(peer), int(shard)
