"""From what is known of the mesh to what must be true here: tables, MTU, and whom we can reach.

Level-triggered: `follow` looks at everything and says what differs from what it said last.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ripstop.core.effects import Effect, Internal, Notice, Publish, ReachabilityChanged, UseMtu
from ripstop.core.mesh.bitmap import unpack
from ripstop.core.mesh.membership import Membership, short_ids, vteps
from ripstop.core.mesh.path import Path
from ripstop.core.mesh.routes import Route, routes
from ripstop.core.mesh.topology import Topology
from ripstop.core.names import PeerName, ShortId
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


class Routing:
    """Derives from records, reach and our own paths what the kernel and the feature cores must know."""

    def __init__(self, membership: Membership, fixed_mtu: int | None, now: float) -> None:
        self.deadline = math.inf  # when `follow` next has something to do, seconds
        self.data = Topology()
        self.control = Topology()
        self.ways: dict[PeerName, Route] = {}
        self.mtu = 0  # bytes, of containers; 0 until known
        self._membership = membership
        self._fixed_mtu = fixed_mtu
        self._next_at = now
        self._tables: ForwardingTables | None = None  # last published
        self._told: tuple[PeerName, ...] | None = None  # last reachable over the control plane
        self._raise_at = math.inf

    def touch(self, now: float) -> None:
        """Something changed: follow soon."""
        self.deadline = min(self.deadline, max(now, self._next_at))

    def follow(self, here: Here, now: float, *, may_publish: bool) -> list[Effect | Internal]:
        """Compute everything anew and return what changed; without `may_publish`, nothing that touches the kernel."""
        self._next_at = now + FOLLOW_INTERVAL
        self.deadline = math.inf
        records = self._membership.all()
        ids = short_ids(records)
        reaches = {name: reach for name in ids if (reach := self._membership.reach(name))}
        self.data = Topology.of_bitmaps(ids, {name: reach.data for name, reach in reaches.items()})
        self.control = self._control(ids, {name: reach.control for name, reach in reaches.items()}, here.connected)
        ways = routes(self.data, self._membership.name)
        effects: list[Effect | Internal] = [*self._reachability()]
        if may_publish:
            effects += self._compare_ways(ways)
            wanted = tables(
                self.data,
                self._membership.name,
                ids,
                {**vteps(records, ids), **dict.fromkeys(self._membership.addresses(), self._membership.short_id)},
                {peer: Hop(ids[peer], p.remote, p.local, p.mtu) for peer, p in here.working.items() if peer in ids},
            )
            if wanted != self._tables:
                self._tables = wanted
                effects.append(Publish(wanted))
            mtus = [reach.mtu for name, reach in reaches.items() if name in ways or name == self._membership.name]
            effects += self._use_mtu(overlay_mtu(here.underlay_mtu, mtus, self._fixed_mtu), now)
        return effects

    def _control(
        self, ids: Mapping[PeerName, ShortId], bitmaps: Mapping[PeerName, bytes], connected: tuple[PeerName, ...]
    ) -> Topology:
        """Return who is connected to whom; of our own connections we know better than what is written."""
        own = self._membership.name
        names = {short_id: name for name, short_id in ids.items()}
        claims: dict[PeerName, Iterable[PeerName]] = {}
        for name, bitmap in bitmaps.items():
            claims[name] = [names[short_id] for short_id in unpack(bitmap) if short_id in names]
        for name in connected:
            claims[name] = [*claims.get(name, ()), own]
        claims[own] = connected
        return Topology.of({**dict.fromkeys(ids), **dict.fromkeys(connected), own: None}, claims)

    def _reachability(self) -> list[ReachabilityChanged]:
        reachable = self.control.reachable(self._membership.name)
        if reachable == self._told:
            return []
        self._told = reachable
        return [ReachabilityChanged(reachable)]

    def _compare_ways(self, ways: dict[PeerName, Route]) -> list[Effect]:
        """Say who has come into reach and who has gone."""
        notices: list[Effect] = []
        for peer in sorted({**self.ways, **ways}):
            way = ways.get(peer)
            if way and peer not in self.ways:
                notices.append(Notice("info", f"{peer} can be reached{'' if way.hops == 1 else f' by {way.next_hop}'}"))
            elif not way:
                record = self._membership.record(peer)
                if record is None or not record.left:
                    notices.append(Notice("warning", f"{peer} can be reached no more"))
        self.ways = ways
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
