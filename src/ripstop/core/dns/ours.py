"""Our own names, and the entries in which others read them."""

from collections.abc import Mapping

from ripstop.core.dns.messages import MAX_BINDINGS, MAX_SHARD, Binding, Bindings, by_service, shard_of, size_of
from ripstop.core.errors import ExhaustedError
from ripstop.core.mesh.messages import Entry
from ripstop.core.names import Holder, PeerName


class Ours:
    """Who of ours has which names; every change is returned as the shards it touches."""

    def __init__(self, name: PeerName) -> None:
        self._name = name
        self._holders: dict[Holder, tuple[Binding, ...]] = {}
        self._shards: dict[int, dict[Holder, tuple[Binding, ...]]] = {}
        self._versions: dict[int, int] = {}  # of our entries, the greatest that anybody has seen
        self.count = 0  # bindings

    def get(self, holder: Holder) -> tuple[Binding, ...]:
        """Return the names of one of ours."""
        return self._holders.get(holder, ())

    def check(self, holders: Mapping[Holder, tuple[Binding, ...]]) -> None:
        """Make sure that holders may have these in place of what they have.

        Raises:
            ExhaustedError: they are more than there is room for.
        """
        wanted = [binding for bindings in holders.values() for binding in bindings]
        had = [binding for holder in holders for binding in self.get(holder)]
        if len(wanted) <= len(had) and sum(map(size_of, wanted)) <= sum(map(size_of, had)):
            return
        if self.count + len(wanted) - len(had) > MAX_BINDINGS:
            raise ExhaustedError(f"this host has {self.count} names of at most {MAX_BINDINGS}; remove some first")
        for shard in {shard_of(binding.key): None for binding in wanted}:
            others = [one for who, its in self._shards.get(shard, {}).items() if who not in holders for one in its]
            mine = [binding for binding in wanted if shard_of(binding.key) == shard]
            if sum(map(size_of, (*others, *mine))) > MAX_SHARD:
                raise ExhaustedError(f"{mine[0].name} has too many addresses on this host; remove some first")

    def replace_all(self, holders: Mapping[Holder, tuple[Binding, ...]]) -> tuple[int, ...]:
        """Give these holders these names, and nobody else any; return the shards that differ now."""
        return self.replace({**dict.fromkeys(self._holders, ()), **holders})

    def replace(self, holders: Mapping[Holder, tuple[Binding, ...]]) -> tuple[int, ...]:
        """Give holders these names instead of those they have; return the shards that differ now."""
        old: dict[int, Bindings] = {}
        for holder, after in holders.items():
            before = self.get(holder)
            spread: dict[int, list[Binding]] = {shard_of(binding.key): [] for binding in (*before, *after)}
            for binding in after:
                spread[shard_of(binding.key)].append(binding)
            for shard, mine in spread.items():
                if shard not in old:
                    old[shard] = self.value(shard)
                self._put(shard, holder, tuple(mine))
            self.count += len(after) - len(before)
            if after:
                self._holders[holder] = after
            else:
                self._holders.pop(holder, None)
        return tuple(sorted(shard for shard, value in old.items() if value != self.value(shard)))

    def _put(self, shard: int, holder: Holder, bindings: tuple[Binding, ...]) -> None:
        holders = self._shards.setdefault(shard, {})
        if bindings:
            holders[holder] = bindings
        else:
            holders.pop(holder, None)
        if not holders:
            del self._shards[shard]

    def value(self, shard: int) -> Bindings:
        """Return what we have in a shard."""
        found = {binding: None for bindings in self._shards.get(shard, {}).values() for binding in bindings}
        return Bindings(tuple(sorted(found, key=_order)))

    def write(self, shard: int) -> Entry:
        """Return a new version of a shard."""
        version = self._versions[shard] = self._versions.get(shard, 0) + 1
        return Entry(f"dns/{self._name}/{shard}", version, self.value(shard))

    def outdo(self, shard: int, version: int, value: Bindings) -> Entry | None:
        """Take note of an entry of ours that we did not write, as it is of a former life; return what replaces it.

        The version counts even if nothing is to be replaced: the next one must be above it.
        """
        if version < self._versions.get(shard, 0):
            return None
        self._versions[shard] = version
        return None if value == self.value(shard) else self.write(shard)


def _order(binding: Binding) -> tuple[str, str, str, bytes, tuple[tuple[str, str, int], ...]]:
    services = tuple(map(by_service, binding.services))
    return binding.key, binding.name, binding.container, binding.address, services
