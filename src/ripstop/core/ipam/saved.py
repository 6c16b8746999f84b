"""What the allocator keeps on disk, key by key, and what one call of it asks its surroundings to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum

import msgspec

from ripstop.core.address import Range
from ripstop.core.effects import Announce, Answer, Effect, Internal, Notice, Save, Tell
from ripstop.core.errors import RequestError, StartError
from ripstop.core.ipam.messages import Ballot, IpamMessage, RingStart
from ripstop.core.ipam.ring import Stamped
from ripstop.core.mesh.messages import Entry, Value
from ripstop.core.names import ContainerId, PeerName, RequestId

PREFIX = "ipam/"
_UNIVERSE = "ipam/universe"
_START = "ipam/ring-start"
_BALLOT = "ipam/ballot"
_REBORN = "ipam/reborn"
_TOKEN = "ipam/ring/"  # + start; only those that do not follow from the ring's start
_HELD = "ipam/held/"  # + address
_CONTESTED = "ipam/contested/"  # + start
DISK = "ipam/disk"  # what was found of the disk at start, until all that follows from it is on the disk, too
_DOUBT = "ipam/doubt"  # while there is any
_NEW = b""  # its value while no majority has ever known us
_RESTARTED = b"restarted"
_PEER = "ipam/peer/"  # + name
_GONE = "ipam/gone/"  # + name/birth

_encode = msgspec.json.encode


class Disk(Enum):
    """What is known of the disk at start; worse and worse."""

    CURRENT = "current"  # this very machine wrote it last, and has run ever since
    UNSURE = "unsure"  # the machine has restarted: somebody may have written us off meanwhile
    OLD = "old"  # damaged, or put back: what we did last is not on it


@dataclass(frozen=True, slots=True)
class WrittenOff:
    """An owner that is gone: who gets what it owned, and whether that is settled."""

    heir: PeerName
    done: bool = False  # the heir has everybody's word, as far as is known here
    life: int = 0  # how often its machine had restarted when it was written off: if more often, it was not dead


Key = tuple[PeerName, int]  # an owner: name and birth


class Standing(IntEnum):
    """What is known of a peer that may own addresses."""

    NEW = 0  # no majority knows it, as far as we know
    KNOWN = 1
    BLANK = 2  # it is new, and it was known before it lost its disk


class Member(msgspec.Struct, frozen=True, array_like=True):
    """A peer that may own addresses, as it is now."""

    birth: int  # 0 if that is not known
    life: int = 0  # how often its machine has restarted since
    standing: Standing = Standing.NEW


class Saved:
    """Everything read back at start."""

    def __init__(self, items: Mapping[str, bytes]) -> None:
        """Decode the items whose keys are ours; others are not looked at.

        Raises:
            StartError: a value cannot be read.
        """
        self.universe: Range | None = None
        self.start: RingStart | None = None
        self.ballot: tuple[int, Ballot] | None = None
        self.tokens: list[Stamped] = []
        self.held: dict[int, ContainerId] = {}
        self.contested: list[Range] = []
        self.reborn = _REBORN in items
        self.doubt = _DOUBT in items
        self.new = items.get(_DOUBT) == _NEW
        self.members: dict[PeerName, Member] = {}
        self.gone: dict[Key, WrittenOff] = {}
        for key in sorted(items):
            if key.startswith(PREFIX):
                try:
                    self._read(key, items[key])
                except (msgspec.DecodeError, ValueError) as error:
                    raise StartError(
                        f"saved state {key} cannot be read: {error}; remove it or restore a copy"
                    ) from None

    def _read(self, key: str, value: bytes) -> None:
        if key == _UNIVERSE:
            self.universe = Range(*msgspec.json.decode(value, type=tuple[int, int]))
        elif key == _START:
            self.start = msgspec.json.decode(value, type=RingStart)
        elif key == _BALLOT:
            self.ballot = msgspec.json.decode(value, type=tuple[int, Ballot])
        elif key.startswith(_TOKEN):
            self.tokens.append(msgspec.json.decode(value, type=Stamped))
        elif key.startswith(_HELD):
            self.held[int(key.removeprefix(_HELD))] = ContainerId(value.decode())
        elif key.startswith(_PEER):
            self.members[PeerName(key.removeprefix(_PEER))] = msgspec.json.decode(value, type=Member)
        elif key.startswith(_GONE):
            whose, _, birth = key.removeprefix(_GONE).partition("/")
            self.gone[PeerName(whose), int(birth)] = msgspec.json.decode(value, type=WrittenOff)
        elif key.startswith(_CONTESTED):
            self.contested.append(Range(*msgspec.json.decode(value, type=tuple[int, int])))


class Outbox:
    """Collects what one call does, and puts it in the order that keeps promises: disk first, answers last."""

    def __init__(self) -> None:
        self._items: dict[str, bytes | None] = {}
        self._entries: dict[str, Entry] = {}
        self._told: list[Tell] = []
        self._answers: list[Answer] = []
        self._notices: list[Notice] = []

    def effects(self) -> list[Effect | Internal]:
        """Return it all: one transaction, then what others may know of it, then answers, then what people may read."""
        save = [Save(tuple(self._items.items()))] if self._items else []
        announce = [Announce(tuple(self._entries.values()))] if self._entries else []
        return [*save, *announce, *self._told, *self._answers, *self._notices]

    def save_universe(self, universe: Range) -> None:
        """Keep which universe everything else belongs to."""
        self._items[_UNIVERSE] = _encode((universe.start, universe.end))

    def save_start(self, start: RingStart) -> None:
        """Keep how our ring began."""
        self._items[_START] = _encode(start)

    def drop_start(self) -> None:
        """Forget how our ring began."""
        self._items[_START] = None

    def save_ballot(self, version: int, ballot: Ballot) -> None:
        """Keep our ballot."""
        self._items[_BALLOT] = _encode((version, ballot))

    def save_reborn(self) -> None:
        """Keep that a former self of ours has lived, whose state is gone."""
        self._items[_REBORN] = b""

    def save_token(self, stamped: Stamped) -> None:
        """Keep a token."""
        self._items[_TOKEN + str(stamped.token.start)] = _encode(stamped)

    def drop_token(self, start: int) -> None:
        """Forget a token."""
        self._items[_TOKEN + str(start)] = None

    def save_held(self, address: int, container: ContainerId | None) -> None:
        """Keep who holds an address; None for nobody."""
        self._items[_HELD + str(address)] = None if container is None else container.encode()

    def drop_disk(self) -> None:
        """Forget what was found of the disk: with this, all that follows from it is saved."""
        self._items[DISK] = None

    def save_doubt(self, doubt: bool, *, new: bool) -> None:
        """Keep whether we must hear from others before we use what is ours, and whether a majority ever knew us."""
        self._items[_DOUBT] = (_NEW if new else _RESTARTED) if doubt else None

    def save_peer(self, name: PeerName, member: Member) -> None:
        """Keep that a peer may own addresses."""
        self._items[_PEER + name] = _encode(member)

    def drop_peer(self, name: PeerName) -> None:
        """Forget that it may: it is not of our ring."""
        self._items[_PEER + name] = None

    def save_gone(self, key: Key, written_off: WrittenOff | None) -> None:
        """Keep that an owner is gone; None: it is not of our ring."""
        name, birth = key
        self._items[f"{_GONE}{name}/{birth}"] = None if written_off is None else _encode(written_off)

    def save_contested(self, contested: Range) -> None:
        """Keep that a range is contested."""
        self._items[_CONTESTED + str(contested.start)] = _encode((contested.start, contested.end))

    def drop_contested(self, contested: Range) -> None:
        """Forget that it was."""
        self._items[_CONTESTED + str(contested.start)] = None

    def announce(self, key: str, version: int, value: Value) -> None:
        """Replicate an entry."""
        self._entries[key] = Entry(key, version, value)

    def announce_token(self, ring: str, stamped: Stamped) -> None:
        """Replicate a token."""
        self.announce(f"ring/{ring}/{stamped.token.start}", stamped.version, stamped.token)

    def tell(self, peer: PeerName, body: IpamMessage) -> None:
        """Tell one peer."""
        self._told.append(Tell(peer, body))

    def answer(self, request: RequestId | None, result: int | RequestError) -> None:
        """Resolve a request; None is a wish of our own, which nobody waits for."""
        if request is not None:
            self._answers.append(Answer(request, result))

    def notice(self, level: str, text: str) -> None:
        """Say something to people."""
        self._notices.append(Notice(level, text))
