"""The names of all peers, ours too, by peer and by name."""

from collections.abc import Iterable, Iterator

from ripstop.core.dns.messages import Binding, shard_of
from ripstop.core.names import PeerName


class Table:
    """Shards as their peers wrote them, and who has which name.

    Kept small, for there may be a hundred thousand names: a shard is the very value that the replica has, and to find
    a name in it is to look at all of it.
    """

    def __init__(self) -> None:
        self._shards: dict[PeerName, dict[int, tuple[Binding, ...]]] = {}
        self._counts: dict[PeerName, int] = {}  # bindings
        self._having: dict[str, tuple[PeerName, ...]] = {}  # by name in lower case; sorted

    def __len__(self) -> int:
        """Return how many different names there are."""
        return len(self._having)

    def keys(self) -> Iterable[str]:
        """Return all names in lower case, in no order."""
        return self._having.keys()

    def all(self) -> Iterator[tuple[PeerName, Binding]]:
        """Yield everything, in no order."""
        for peer, shards in self._shards.items():
            for bindings in shards.values():
                for binding in bindings:
                    yield peer, binding

    def peers(self) -> tuple[PeerName, ...]:
        """Return who has any name, sorted."""
        return tuple(sorted(peer for peer, count in self._counts.items() if count))

    def count(self, peer: PeerName) -> int:
        """Return how many bindings a peer has."""
        return self._counts.get(peer, 0)

    def shards(self, peer: PeerName) -> dict[int, tuple[Binding, ...]]:
        """Return what a peer has, by shard."""
        return dict(sorted(self._shards.get(peer, {}).items()))

    def of(self, key: str) -> list[tuple[PeerName, Binding]]:
        """Return who has a name in lower case, peer by peer, and what each has."""
        shard = shard_of(key)
        return [
            (peer, binding)
            for peer in self._having.get(key, ())
            for binding in self._shards[peer][shard]
            if binding.name.lower() == key
        ]

    def keys_of(self, peer: PeerName) -> dict[str, None]:
        """Return the names of one peer in lower case."""
        return dict.fromkeys(binding.key for bindings in self.shards(peer).values() for binding in bindings)

    def replace(self, peer: PeerName, shard: int, bindings: tuple[Binding, ...]) -> Iterable[str]:
        """Take what a peer has in a shard; return the names in lower case of which that changes anything."""
        shards = self._shards.setdefault(peer, {})
        before = shards.get(shard, ())
        if bindings:
            shards[shard] = bindings
        else:
            shards.pop(shard, None)
        self._counts[peer] = self._counts.get(peer, 0) + len(bindings) - len(before)
        had = {binding.key: None for binding in before}
        has = {binding.key: None for binding in bindings}
        for key in had:
            if key not in has:
                self._drop(key, peer)
        for key in has:
            if key not in had:
                others = self._having.get(key)
                self._having[key] = tuple(sorted((*others, peer))) if others else (peer,)
        if not before:
            return has
        old, new = dict.fromkeys(before), dict.fromkeys(bindings)
        return {binding.key: None for binding in (*before, *bindings) if (binding in old) != (binding in new)}

    def _drop(self, key: str, peer: PeerName) -> None:
        rest = tuple(one for one in self._having[key] if one != peer)
        if rest:
            self._having[key] = rest
        else:
            del self._having[key]
