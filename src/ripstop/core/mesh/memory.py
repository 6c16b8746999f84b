"""What outlives the daemon: targets, and the mesh as it was last known.

A daemon that restarts finds the kernel forwarding by the tables of its former life.  With the records, the reach and
the paths of that life, and what others want of groups, it computes the same tables at once, so nothing flaps, neither
here nor elsewhere: not even if its neighbors start again as well and have nothing to tell yet.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from ripstop.core.effects import Save
from ripstop.core.errors import ProtocolError
from ripstop.core.events import Endpoint
from ripstop.core.mesh.limits import MAX_INCARNATION, check_entry, is_ipv4
from ripstop.core.mesh.messages import Entry
from ripstop.core.mesh.path import Path
from ripstop.core.mesh.replica import Replica
from ripstop.core.names import PeerName
from ripstop.core.overlay.mtu import MIN_MTU

SAVE_INTERVAL = 0.1  # seconds between writes of what can be learnt again; a daemon killed sooner starts as a newcomer
SAVE_AFTER = 0.01  # seconds until the first of them: traffic may wait for what is to be told and done, no one for this
_ENTRY = "mesh/entry/"


@dataclass(frozen=True, slots=True)
class FormerLife:
    """What was found on disk; empty at the first start."""

    incarnation: int = 0
    targets: tuple[Endpoint, ...] = ()
    entries: tuple[Entry, ...] = ()
    paths: Mapping[PeerName, Path] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()  # keys that could not be read


T = TypeVar("T")


def recall(saved: Mapping[str, bytes]) -> FormerLife:
    """Read what `Memory` saved; what is damaged is left out, as all of it can be learnt again."""
    damaged: list[str] = []

    def read(key: str, kind: type[T], is_sane: Callable[[T], bool]) -> T | None:
        try:
            found = msgspec.msgpack.decode(saved[key], type=kind) if key in saved else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            damaged.append(key)
            return None
        if found is not None and not is_sane(found):
            damaged.append(key)
            return None
        return found

    incarnation = read("mesh/incarnation", int, lambda number: 0 <= number < MAX_INCARNATION)
    targets = read("mesh/targets", tuple[Endpoint, ...], _are_endpoints)
    paths = read("mesh/paths", dict[PeerName, Path], _are_paths)
    keys = sorted(key for key in saved if key.startswith(_ENTRY))
    entries = [entry for key in keys if (entry := read(key, Entry, _is_entry))]
    return FormerLife(incarnation or 0, targets or (), tuple(entries), paths or {}, tuple(damaged))


def _are_endpoints(targets: tuple[Endpoint, ...]) -> bool:
    return all(target.address and 0 < target.port < 2**16 for target in targets)


def _are_paths(paths: Mapping[PeerName, Path]) -> bool:
    return all(is_ipv4(path.remote) and is_ipv4(path.local) and path.mtu >= MIN_MTU for path in paths.values())


def _is_entry(entry: Entry) -> bool:
    try:
        check_entry(entry)
    except ProtocolError:
        return False
    return True


class Memory:
    """Collects what must be on disk, and writes it in few transactions."""

    def __init__(self, replica: Replica, now: float) -> None:
        self.deadline = math.inf  # when `tick` next has something to do, seconds
        self._replica = replica
        self._unsaved: dict[str, bytes | None] = {}
        self._keys: dict[str, None] = {}  # of entries
        self._save_at = now

    def keep_entries(self, entries: Iterable[Entry], now: float) -> None:
        """Save these some time soon."""
        self._keys |= dict.fromkeys(entry.key for entry in entries)
        self._schedule(now)

    def keep_paths(self, paths: Mapping[PeerName, Path], now: float) -> None:
        """Save these some time soon."""
        self._unsaved["mesh/paths"] = msgspec.msgpack.encode(paths)
        self._schedule(now)

    def keep_targets(self, targets: tuple[Endpoint, ...]) -> Save:
        """Save these at once: somebody asked for them."""
        return Save((("mesh/targets", msgspec.msgpack.encode(targets)),))

    def keep_incarnation(self, incarnation: int) -> Save:
        """Save this at once: it must never be used again."""
        return Save((("mesh/incarnation", msgspec.msgpack.encode(incarnation)),))

    def forget_paths(self, now: float) -> None:
        """The datapath is going away, so none of its paths outlives us."""
        self._unsaved["mesh/paths"] = None
        self._schedule(now)

    def tick(self, now: float, *, at_once: bool = False) -> list[Save]:
        """Write what is due."""
        if not (self._unsaved or self._keys):
            self.deadline = math.inf
            return []
        if now < self.deadline and not at_once:
            return []
        items: list[tuple[str, bytes | None]] = [
            (_ENTRY + key, msgspec.msgpack.encode(self._replica.get(key))) for key in self._keys
        ]
        items += self._unsaved.items()
        self._unsaved, self._keys = {}, {}
        self._save_at = now + SAVE_INTERVAL
        self.deadline = math.inf
        return [Save(tuple(items), promised=False)]

    def _schedule(self, now: float) -> None:
        self.deadline = min(self.deadline, max(now + SAVE_AFTER, self._save_at))
