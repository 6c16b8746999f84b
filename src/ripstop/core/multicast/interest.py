"""What peers tell each other of groups: each peer what the hosts behind its own ports want, all together.

Groups are spread over buckets, and a peer has one replicated entry for each bucket, which it alone writes and always
whole.  So a join is one small entry, and however many groups come and go, there are never more entries than buckets:
what is wanted no more leaves nothing behind.
"""

from collections.abc import Iterable, Mapping
from zlib import crc32

from ripstop.core.effects import Announce
from ripstop.core.mesh.messages import Entry
from ripstop.core.multicast.filters import NOTHING, Filter
from ripstop.core.multicast.messages import ANY_GROUP, Want, Wants
from ripstop.core.names import MulticastIp, PeerName

BUCKETS = 256  # entries of one peer at most

_Table = dict[MulticastIp, Filter]


class Interest:
    """The wishes of all peers, our own as others are to see them."""

    def __init__(self, name: PeerName) -> None:
        self._name = name
        self._own: dict[int, _Table] = {}
        self._versions: dict[int, int] = {}  # of our entries, the greatest that anybody has seen
        self._tables: dict[str, _Table] = {}  # of other peers, by key
        self._peers: dict[MulticastIp, dict[PeerName, Filter]] = {}  # the same by group

    def groups(self) -> Iterable[MulticastIp]:
        """Return the groups that other peers want, in no order."""
        return self._peers.keys()

    def peers(self, group: MulticastIp) -> Mapping[PeerName, Filter]:
        """Return what other peers want of a group, by name."""
        return dict(sorted(self._peers.get(group, {}).items()))

    def memberships(self) -> Mapping[str, int]:
        """Return how many memberships others have, by why: a group counts once for each peer."""
        router = sum(len(self._peers.get(group, {})) for group in ANY_GROUP.values())
        return {"peer": sum(map(len, self._peers.values())) - router, "router": router}

    def set(self, group: MulticastIp, wanted: Filter) -> list[Announce]:
        """Our ports together want this of a group from now on."""
        bucket = bucket_of(group)
        table = self._own.setdefault(bucket, {})
        if table.get(group, NOTHING) == wanted:
            return []
        if wanted == NOTHING:
            del table[group]
        else:
            table[group] = wanted
        return [self._announce(bucket)]

    def learn(self, entries: Iterable[Entry]) -> tuple[list[MulticastIp], list[Announce]]:
        """Take entries of the channel mcast, others are ignored; return the groups that changed, and what to answer.

        An entry of our own that we did not write is from a former life: ours outdoes it.
        """
        changed: dict[MulticastIp, None] = {}
        answers: list[Announce] = []
        for entry in entries:
            if isinstance(entry.value, Wants):
                _, peer, bucket = entry.key.split("/")
                if peer != self._name:
                    changed |= dict.fromkeys(self._replace(entry.key, PeerName(peer), entry.value))
                else:
                    answers += self._outdo(int(bucket), entry.version, entry.value)
        return list(changed), answers

    def _outdo(self, bucket: int, version: int, value: Wants) -> list[Announce]:
        """Remember the version even of what is right: the next one must be above it."""
        if version < self._versions.get(bucket, 0):
            return []
        self._versions[bucket] = version
        return [] if value == self._value(bucket) else [self._announce(bucket)]

    def _replace(self, key: str, peer: PeerName, value: Wants) -> list[MulticastIp]:
        before = self._tables.get(key, {})
        after = {MulticastIp(want.group): want.filter for want in value.wants}
        self._tables[key] = after
        changed = [group for group in (before | after) if before.get(group) != after.get(group)]
        for group in changed:
            wishes = self._peers.setdefault(group, {})
            if group in after:
                wishes[peer] = after[group]
            else:
                wishes.pop(peer, None)
            if not wishes:
                del self._peers[group]
        return changed

    def _announce(self, bucket: int) -> Announce:
        version = self._versions[bucket] = self._versions.get(bucket, 0) + 1
        return Announce((Entry(f"mcast/{self._name}/{bucket}", version, self._value(bucket)),))

    def _value(self, bucket: int) -> Wants:
        return Wants(tuple(Want.of(group, wanted) for group, wanted in sorted(self._own.get(bucket, {}).items())))


def bucket_of(group: MulticastIp) -> int:
    """Return the bucket of a group; nobody but its writer needs to know."""
    return crc32(group) % BUCKETS
