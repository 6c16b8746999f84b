"""From who wants which groups to the rows of the kernel's tables.

Level-triggered, group by group: `follow` looks at the groups that were touched and returns the rows that differ from
what it returned before.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

from ripstop.core.mesh.bitmap import mask_of, members
from ripstop.core.mesh.routes import Place
from ripstop.core.multicast.filters import Filter, Mode
from ripstop.core.multicast.tables import Branching, Delivery, Key, Row, Selector
from ripstop.core.names import MulticastIp, PeerName, PortId, ShortId, SourceIp
from ripstop.core.overlay.pruning import next_hops

Taker = TypeVar("Taker", PortId, ShortId)
Places = Mapping[ShortId, Place]  # where we stand in each source's tree
_ROUTERS = MulticastIp(b"")  # stands for what has no row of its own


class Wanted(Protocol):
    """Who wants what, here and elsewhere."""

    def groups(self) -> Iterable[MulticastIp]:
        """Return every group that anybody wants, in an order that is always the same."""

    def ports(self, group: MulticastIp) -> Mapping[PortId, Filter]:
        """Return what our ports want of a group."""

    def peers(self, group: MulticastIp) -> Mapping[PeerName, Filter]:
        """Return what other peers want of a group."""

    def router_ports(self) -> Iterable[PortId]:
        """Return our ports behind which a router wants everything."""

    def router_peers(self) -> Iterable[PeerName]:
        """Return the other peers that have such ports."""


@dataclass(frozen=True, slots=True)
class Share:
    """Who gets the packets of one selector."""

    selector: Selector
    takers: tuple[int, ...]  # sorted
    by_source: bool


class Distribution:
    """Remembers what the kernel was told."""

    def __init__(self, *, marks_unknown: bool = False) -> None:
        """Begin; with `marks_unknown` every group that anybody wants has a row, so that none means "unknown"."""
        self._marks_unknown = marks_unknown
        self._ids: Mapping[PeerName, ShortId] = {}
        self._places: dict[ShortId, Place] = {}  # where others hang on us, by source
        self._told: dict[MulticastIp, dict[Key, Row]] = {}
        self._touched: dict[MulticastIp, None] = {}
        self._all_touched = True

    @property
    def is_behind(self) -> bool:
        """Whether `follow` has something to look at."""
        return self._all_touched or bool(self._touched)

    def use_mesh(self, ids: Mapping[PeerName, ShortId], places: Places) -> None:
        """These are the peers now, and our places in their trees and our own."""
        inner = {source: place for source, place in places.items() if place.below}
        if (ids, inner) != (self._ids, self._places):
            self._ids, self._places = dict(ids), inner
            self._all_touched = True

    def touch(self, group: MulticastIp) -> None:
        """Somebody wants something else of this group."""
        self._touched[group] = None

    def touch_routers(self) -> None:
        """A router has come or gone, here or elsewhere; every group depends on that."""
        self._all_touched = True

    def follow(self, wanted: Wanted, most: int | None = None) -> list[Row]:
        """Return the rows that are new, different, or to go; look at so many groups at most, and leave the rest."""
        if self._all_touched:
            self._all_touched = False
            self._touched |= dict.fromkeys((_ROUTERS, *wanted.groups(), *self._told))
        changes: list[Row] = []
        for group in tuple(islice(self._touched, most)):
            del self._touched[group]
            rows = self._rows(group, wanted) if group else self._routers(wanted)
            before, after = self._told.get(group, {}), {row.key: row for row in rows}
            changes += [row for key, row in after.items() if before.get(key) != row]
            changes += [_without(row) for key, row in before.items() if key not in after]
            if after:
                self._told[group] = after
            else:
                self._told.pop(group, None)
        return changes

    def _rows(self, group: MulticastIp, wanted: Wanted) -> Iterator[Row]:
        ports, peers = wanted.ports(group), wanted.peers(group)
        near = {self._ids[peer]: filter_ for peer, filter_ in peers.items() if peer in self._ids}
        if ports or (self._marks_unknown and peers):
            for share in shares(group, ports, wanted.router_ports()):
                yield Delivery(share.selector, tuple(map(PortId, share.takers)), share.by_source)
        if near:
            routers = [self._ids[peer] for peer in wanted.router_peers() if peer in self._ids]
            yield from self._branchings(shares(group, near, routers))

    def _routers(self, wanted: Wanted) -> Iterator[Row]:
        """Return the rows for what has no row of its own."""
        ports = sorted(wanted.router_ports())
        if ports:
            yield Delivery(Selector(_ROUTERS), tuple(ports))
        peers = sorted(self._ids[peer] for peer in wanted.router_peers() if peer in self._ids)
        if peers:
            yield from self._branchings((Share(Selector(_ROUTERS), tuple(peers), by_source=False),))

    def _branchings(self, found: Iterable[Share]) -> Iterator[Row]:
        for share in found:
            takers = mask_of(map(ShortId, share.takers))
            for source, place in self._places.items():
                yield Branching(source, share.selector, tuple(members(next_hops(place, takers))), share.by_source)


def shares(group: MulticastIp, wants: Mapping[Taker, Filter], always: Iterable[Taker]) -> Iterator[Share]:
    """Yield who gets what of a group: first what no source of its own is named for, then each source named by anybody.

    Args:
        group: the group.
        wants: what each taker wants of it.
        always: takers that want everything.
    """
    named = sorted({source for wanted in wants.values() for source in wanted.sources})
    every = set(always)
    rest = every | {taker for taker, wanted in wants.items() if wanted.mode is Mode.EXCLUDE}
    yield Share(Selector(group), tuple(sorted(rest)), by_source=bool(named))
    for source in named:
        takers = every | {taker for taker, wanted in wants.items() if wanted.passes(SourceIp(source))}
        yield Share(Selector(group, source), tuple(sorted(takers)), by_source=False)


def _without(row: Row) -> Row:
    if isinstance(row, Branching):
        return Branching(row.peer, row.selector, None)
    return Delivery(row.selector, None)
