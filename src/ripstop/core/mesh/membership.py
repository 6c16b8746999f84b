"""Who is in the mesh: one record per peer, written by that peer alone.

Our own record follows what we know of ourselves (addresses, short id, departure).  A version that we did not write
can only come from an earlier life of ours whose disk was lost, or from a peer with our name: it is refuted by taking
an incarnation above it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from ripstop.core.mesh.limits import MAX_ADDRESSES, MAX_INCARNATION, is_ipv4
from ripstop.core.mesh.messages import Entry, PeerRecord, Reach, Value
from ripstop.core.mesh.replica import Replica
from ripstop.core.names import MAX_SHORT_ID, PeerName, ShortId, UnderlayIp

FIRST_CHOICES = 1023  # short ids that are tried first, so that bitmaps of a thousand peers stay at 128 bytes
MAX_SEEN_AS = 4  # addresses kept under which others see us


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this peer is."""

    name: PeerName
    incarnation: int  # larger at every start; raised further if gossip knows a larger one
    nickname: str = ""  # for people
    site: str = ""


class Author:
    """Gives our own entries their versions, always above all that was written under our name."""

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self._count = 0

    def write(self, key: str, value: Value) -> Entry:
        """Return a new version of an entry of ours."""
        self._count += 1
        return Entry(key, self.incarnation << 32 | self._count, value)

    def outdo(self, version: int) -> bool:
        """Take an incarnation above a version that somebody wrote; False if there is none left."""
        above = max(self.incarnation, (version >> 32) + 1)
        if above > MAX_INCARNATION:
            return False
        self.incarnation = above
        return True


class Membership:
    """All records, and the writing of our own."""

    def __init__(self, identity: Identity, port: int, advertise: tuple[UnderlayIp, ...], replica: Replica) -> None:
        self.identity = identity
        self.port = port
        self.author = Author(identity.incarnation)
        self.left = False
        self._advertise = advertise
        self._replica = replica
        self._own_keys = (f"peer/{identity.name}", f"reach/{identity.name}")
        self._underlay: tuple[UnderlayIp, ...] = ()
        self._seen_as: tuple[UnderlayIp, ...] = ()  # oldest first
        self._remembered: tuple[UnderlayIp, ...] = ()  # from our former life, until known better
        old = self.record(identity.name)
        self.short_id = old.short_id if old else first_choice(identity.name)
        if old:
            self._remembered = old.addresses

    @property
    def name(self) -> PeerName:
        """Our own name."""
        return self.identity.name

    def record(self, name: PeerName) -> PeerRecord | None:
        """Return the record of a peer, or None."""
        entry = self._replica.get(f"peer/{name}")
        return entry.value if entry and isinstance(entry.value, PeerRecord) else None

    def reach(self, name: PeerName) -> Reach | None:
        """Return what a peer says it reaches, or None."""
        entry = self._replica.get(f"reach/{name}")
        return entry.value if entry and isinstance(entry.value, Reach) else None

    def all(self) -> tuple[PeerRecord, ...]:
        """Return every record, departed peers and ourselves included, by name."""
        records = (entry.value for entry in self._replica if isinstance(entry.value, PeerRecord))
        return tuple(sorted(records, key=lambda record: record.name))

    def present(self) -> tuple[PeerRecord, ...]:
        """Return the records of all other peers that did not leave, by name."""
        return tuple(record for record in self.all() if not record.left and record.name != self.name)

    def use_underlay(self, addresses: tuple[UnderlayIp, ...]) -> None:
        """Our NICs have these addresses now."""
        self._underlay = addresses

    def use_seen_as(self, address: UnderlayIp) -> None:
        """Another peer sees us under this address; if it is not on a NIC, there is NAT in between."""
        known = address in self._seen_as or address in self._underlay
        if is_ipv4(address) and not address.startswith("127.") and not known:
            self._seen_as = (*self._seen_as, address)[-MAX_SEEN_AS:]

    def forget_former_life(self) -> None:
        """By now whoever sees us under an address of the last run has said so again."""
        self._remembered = ()

    def addresses(self) -> tuple[UnderlayIp, ...]:
        """Return where we say we can be reached, best guess first."""
        found = self._advertise or (*self._underlay, *reversed(self._seen_as), *self._remembered)
        return tuple(dict.fromkeys(found))[:MAX_ADDRESSES]

    def own_vteps(self) -> dict[UnderlayIp, ShortId]:
        """Return every address under which packets for us may come, those behind NAT included."""
        return dict.fromkeys((*self.addresses(), *self._underlay), self.short_id)

    def write_record(self) -> Entry | None:
        """Return a new version of our record, or None if nothing in it changed."""
        self._settle_short_id()
        record = PeerRecord(
            name=self.name,
            incarnation=self.author.incarnation,
            nickname=self.identity.nickname,
            addresses=self.addresses(),
            port=self.port,
            short_id=self.short_id,
            site=self.identity.site,
            left=self.left,
        )
        if record == self.record(self.name):
            return None
        return self.author.write(f"peer/{self.name}", record)

    def is_ours(self, entry: Entry) -> bool:
        """Return whether nobody but us may write this entry."""
        return entry.key in self._own_keys

    def _settle_short_id(self) -> None:
        """Move away from an id that a lower-named peer has; while nobody knows ours, from one that anybody has."""
        taken = {record.short_id: record.name for record in reversed(self.present())}
        holder = taken.get(self.short_id, self.name)
        if holder == self.name or (holder > self.name and self.record(self.name)):
            return
        self.short_id = next(short_id for short_id in choices(self.name) if short_id not in taken)


def short_ids(records: Iterable[PeerRecord]) -> dict[PeerName, ShortId]:
    """Return the id of each peer, by name; a contested one is the lowest name's, the other has none until it moves."""
    holders: dict[ShortId, PeerName] = {}
    for record in sorted(records, key=lambda record: record.name):
        if not record.left:
            holders.setdefault(record.short_id, record.name)
    return dict(sorted((name, short_id) for short_id, name in holders.items()))


def vteps(records: Iterable[PeerRecord], ids: Mapping[PeerName, ShortId]) -> dict[UnderlayIp, ShortId]:
    """Return whose each outer address is; of several peers that claim one, the lowest name's."""
    found: dict[UnderlayIp, ShortId] = {}
    for record in sorted(records, key=lambda record: record.name):
        if not record.left and record.name in ids:
            for address in record.addresses:
                found.setdefault(address, ids[record.name])
    return found


def first_choice(name: PeerName) -> ShortId:
    """Return the short id that a peer takes if it is free."""
    return ShortId(1 + _hash(name) % FIRST_CHOICES)


def choices(name: PeerName) -> Iterator[ShortId]:
    """Yield all short ids in the order in which a peer tries them."""
    start = _hash(name)
    yield from (ShortId(1 + (start + i) % FIRST_CHOICES) for i in range(FIRST_CHOICES))
    yield from (ShortId(short_id) for short_id in range(FIRST_CHOICES + 1, MAX_SHORT_ID + 1))


def _hash(name: PeerName) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
