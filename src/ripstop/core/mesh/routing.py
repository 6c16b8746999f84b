"""From what is known of the mesh to what must be true here: tables, MTU, and whom we can reach.

Level-triggered: `follow` looks at everything and says what differs from what it said last.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ripstop.core.effects import (
    Effect,
    Internal,
    Notice,
    Publish,
    ReachabilityChanged,
    TreesChanged,
    UseMtu,
    WaysChanged,
)
from ripstop.core.mesh.bitmap import mask_of, members, unpack
from ripstop.core.mesh.membership import Membership, short_ids, vteps
from ripstop.core.mesh.messages import PeerRecord, Reach
from ripstop.core.mesh.path import Path
from ripstop.core.mesh.routes import Route, places, route, routes, tree
from ripstop.core.mesh.topology import Topology
from ripstop.core.names import NO_PEER, PeerName, ShortId
from ripstop.core.overlay.forwarding import ForwardingTables, Hop, tables
from ripstop.core.overlay.mtu import overlay_mtu

FOLLOW_INTERVAL = 0.05  # seconds between computations
RAISE_AFTER = 2.0  # seconds a larger MTU must hold before containers get it


@dataclass(frozen=True, slots=True)
class Here:
    """What this peer knows at first hand."""

    working: Mapping[PeerName, Path]
    connected: tuple[PeerName, ...]
    underlay_mtu: int  # bytes


@dataclass(frozen=True, slots=True)
class Way:
    """How frames get to one peer."""

    next_hop: PeerName
    hops: int  # 1 = direct


class Routing:
    """Derives from records, reach and our own paths what the kernel and the feature cores must know."""

    def __init__(self, membership: Membership, fixed_mtu: int | None, now: float) -> None:
        self.deadline = math.inf  # when `follow` next has something to do, seconds
        self.ways: dict[PeerName, Way] = {}  # to each peer that frames reach, by name
        self.mtu = 0  # bytes, of containers; 0 until known
        self._membership = membership
        self._fixed_mtu = fixed_mtu
        self._next_at = now
        self._ids: Mapping[PeerName, ShortId] = {}
        self._data = Topology()
        self._control = Topology()
        self._basis: object = None  # what the last tables were computed from
        self._tables: ForwardingTables | None = None  # last published
        self._told: tuple[PeerName, ...] | None = None  # last reachable over the control plane
        self._raise_at = math.inf

    def touch(self, now: float) -> None:
        """Something changed: follow soon."""
        self.deadline = min(self.deadline, max(now, self._next_at))

    def neighbor_towards(self, peer: PeerName) -> PeerName | None:
        """Return the connected peer that is next on the way of messages to one that is not, or None."""
        own, there = self._ids.get(self._membership.name), self._ids.get(peer)
        way = route(self._control, own, there) if own and there else None
        return _names(self._ids).get(way.next_hop) if way else None

    def tree(self, source: PeerName) -> dict[PeerName, PeerName]:
        """Return the parent of each peer in one peer's flood tree, parents before their children."""
        names, root = _names(self._ids), self._ids.get(source)
        return {names[child]: names[one] for child, one in tree(self._data, root).items()} if root else {}

    def follow(self, here: Here, now: float, *, may_publish: bool) -> list[Effect | Internal]:
        """Compute everything anew and return what changed; without `may_publish`, nothing that touches the kernel."""
        self._next_at = now + FOLLOW_INTERVAL
        self.deadline = math.inf
        records = self._membership.all()
        self._ids = short_ids(records)
        reaches = {name: reach for name in self._ids if (reach := self._membership.reach(name))}
        self._data = self._data.changed({self._ids[name]: unpack(reach.data) for name, reach in reaches.items()})
        self._control = self._control.changed(self._connections(reaches, here))
        effects: list[Effect | Internal] = [*self._reachability(here.connected)]
        if may_publish:
            effects += self._publish(records, here.working)
            mtus = [reach.mtu for name, reach in reaches.items() if name in self.ways or name == self._membership.name]
            effects += self._use_mtu(overlay_mtu(here.underlay_mtu, mtus, self._fixed_mtu), now)
        return effects

    def _connections(self, reaches: Mapping[PeerName, Reach], here: Here) -> dict[ShortId, int]:
        """Return who claims to be connected to whom; of our own connections we know better than what is written."""
        claims = {self._ids[name]: unpack(reach.control) for name, reach in reaches.items()}
        own = self._ids.get(self._membership.name)
        if own is not None:
            near = [self._ids[peer] for peer in here.connected if peer in self._ids]
            claims |= {peer: claims.get(peer, 0) | 1 << own for peer in near}
            claims[own] = mask_of(near)
        return claims

    def _reachability(self, connected: tuple[PeerName, ...]) -> list[ReachabilityChanged]:
        names = _names(self._ids)
        own = self._ids.get(self._membership.name, NO_PEER)
        far = [names[peer] for peer in members(self._control.reachable(own))]
        reachable = tuple(sorted({*far, *connected}))
        if reachable == self._told:
            return []
        self._told = reachable
        return [ReachabilityChanged(reachable)]

    def _publish(self, records: tuple[PeerRecord, ...], working: Mapping[PeerName, Path]) -> list[Effect | Internal]:
        """Return the tables if they have changed, and who has come into reach or gone."""
        hops = {
            self._ids[peer]: Hop(self._ids[peer], path.remote, path.local, path.mtu)
            for peer, path in working.items()
            if peer in self._ids
        }
        own = self._ids.get(self._membership.name, NO_PEER)
        addresses = {**vteps(records, self._ids), **self._membership.own_vteps()}
        basis = (self._data, own, self._ids, addresses, hops)
        if basis == self._basis:
            return []
        self._basis = basis
        ways, stands = routes(self._data, own), places(self._data, own)
        effects: list[Effect | Internal] = [*self._use_ways(ways)]
        wanted = tables(own, addresses, hops, ways, stands)
        if wanted != self._tables:
            self._tables = wanted
            effects.append(Publish(wanted))
        return [*effects, TreesChanged(self._ids, stands)]

    def _use_ways(self, ways: Mapping[ShortId, Route]) -> list[Effect | Internal]:
        """Say who has come into reach and who has gone."""
        names = _names(self._ids)
        found = {names[peer]: Way(names[way.next_hop], way.hops) for peer, way in ways.items()}
        before, self.ways = self.ways, {peer: found[peer] for peer in sorted(found)}
        notices: list[Effect | Internal] = []
        for peer, way in self.ways.items():
            if peer not in before:
                notices.append(Notice("info", f"{peer} can be reached{'' if way.hops == 1 else f' by {way.next_hop}'}"))
        for peer in before:
            record = self._membership.record(peer)
            if peer not in self.ways and not (record and record.left):
                notices.append(Notice("warning", f"{peer} can be reached no more"))
        if self.ways.keys() != before.keys() or self._tables is None:  # the first time even if there are none
            notices.append(WaysChanged(tuple(self.ways)))
        return notices

    def _use_mtu(self, mtu: int, now: float) -> list[Effect]:
        """Shrink at once; grow only when it lasts, so that a path that flaps does not change every container."""
        if self.mtu and mtu > self.mtu:
            self._raise_at = min(self._raise_at, now + RAISE_AFTER)
            if now < self._raise_at:
                self.deadline = min(self.deadline, self._raise_at)
                return []
        self._raise_at = math.inf
        if mtu == self.mtu:
            return []
        self.mtu = mtu
        return [UseMtu(mtu)]


def _names(ids: Mapping[PeerName, ShortId]) -> dict[ShortId, PeerName]:
    return {short_id: name for name, short_id in ids.items()}
