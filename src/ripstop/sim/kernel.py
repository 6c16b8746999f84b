"""A fake datapath: holds the tables of one host and does with frames and probes what the real one does.

`follow_unicast` and `follow_flood` take a frame through the datapaths of all hosts, hop by hop, each by its own
tables, and say where it arrives and how often.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from ripstop.core.mesh.messages import Probe
from ripstop.core.multicast.tables import Branching, Delivery, Key, Row, Selector
from ripstop.core.names import NO_PEER, PeerName, PortId, ShortId, UnderlayIp
from ripstop.core.overlay.forwarding import ForwardingTables, Hop

FIRST_TTL = 64  # hops after which a frame that loops is dropped


@dataclass(slots=True)
class FakeKernel:
    """The datapath of one host; outlives its daemon."""

    name: PeerName
    tables: ForwardingTables = field(default_factory=ForwardingTables)
    rows: dict[Key, Row] = field(default_factory=dict)  # of groups

    def echo(self, probe: Probe, source: UnderlayIp) -> Probe | None:
        """Return the answer to a probe, if it is meant for us and comes from a known host."""
        if probe.ack or probe.target != self.name or source not in self.tables.vteps:
            return None
        return msgspec.structs.replace(probe, ack=True)

    def distribute(self, rows: Iterable[Row], *, complete: bool) -> None:
        """Take rows of groups: one that says nothing is to go, with `complete` all others too."""
        if complete:
            self.rows.clear()
        for row in rows:
            if (row.ports if isinstance(row, Delivery) else row.children) is None:
                self.rows.pop(row.key, None)
            else:
                self.rows[row.key] = row

    def ports(self, group: bytes, source: bytes) -> tuple[PortId, ...]:
        """Return which of our ports get a packet of `source` to a group."""
        row = self._row(NO_PEER, group, source)
        return row.ports or () if isinstance(row, Delivery) else ()

    def branches(self, peer: ShortId, group: bytes, source: bytes) -> tuple[Hop, ...]:
        """Return our children in a peer's tree that get a packet of `source` to a group."""
        row = self._row(peer, group, source)
        wanted = row.children or () if isinstance(row, Branching) else ()
        tree = self.tables.trees.get(peer)
        return tuple(hop for hop in tree.children if hop.peer in wanted) if tree else ()

    def _row(self, peer: ShortId, group: bytes, source: bytes) -> Row | None:
        general = self.rows.get((peer, Selector(group)))
        if general is None:
            return self.rows.get((peer, Selector(b"")))
        return self.rows.get((peer, Selector(group, source)), general) if general.by_source else general


Carry = Callable[[UnderlayIp, UnderlayIp], FakeKernel | None]  # from, to -> the host that gets it, if any


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a frame went."""

    arrived: Mapping[PeerName, int]  # how often at each host, by name
    copies: int  # sent over the underlay
    dropped: tuple[str, ...]  # why, one each


def follow_unicast(start: FakeKernel, destination: ShortId, carry: Carry) -> Trail:
    """Send a frame from a container on one host to one on another."""
    here, copies = start, 0
    for _ in range(FIRST_TTL):
        if here.tables.own == destination:
            return Trail({here.name: 1}, copies, ())
        hop = here.tables.routes.get(destination)
        if hop is None:
            return Trail({}, copies, (f"no route at {here.name}",))
        there = carry(hop.local, hop.remote)
        copies += 1
        if there is None:
            return Trail({}, copies, (f"lost after {here.name}",))
        if hop.local not in there.tables.vteps:
            return Trail({}, copies, (f"stranger at {there.name}",))
        here = there
    return Trail({}, copies, ("ttl",))


def follow_flood(start: FakeKernel, carry: Carry) -> Trail:
    """Send a broadcast from a container on one host."""
    return _follow_tree(start, carry, _all_children)


def follow_group(start: FakeKernel, group: bytes, source: bytes, carry: Carry) -> Trail:
    """Send a packet to a group from a container on one host, along the branches that lead to members."""
    return _follow_tree(start, carry, lambda here, root: here.branches(root, group, source))


def _follow_tree(start: FakeKernel, carry: Carry, choose: Callable[[FakeKernel, ShortId], tuple[Hop, ...]]) -> Trail:
    """Take a frame along a tree; the reverse-path check drops copies from a wrong parent."""
    source = start.tables.own
    arrived: dict[PeerName, int] = {}
    dropped: list[str] = []
    copies = 0
    waiting = [(start, hop, FIRST_TTL) for hop in choose(start, source)]
    while waiting:
        here, hop, ttl = waiting.pop(0)
        copies += 1
        there = carry(hop.local, hop.remote)
        if there is None:
            dropped.append(f"lost after {here.name}")
            continue
        tree = there.tables.trees.get(source)
        sender = there.tables.vteps.get(hop.local, NO_PEER)
        if tree is None or sender == NO_PEER or tree.parent != sender:
            dropped.append(f"wrong parent at {there.name}")
            continue
        arrived[there.name] = arrived.get(there.name, 0) + 1
        if ttl > 1:
            waiting += [(there, hop, ttl - 1) for hop in choose(there, source)]
        else:
            dropped.append("ttl")
    return Trail(arrived, copies, tuple(dropped))


def _all_children(here: FakeKernel, root: ShortId) -> tuple[Hop, ...]:
    tree = here.tables.trees.get(root)
    return tree.children if tree else ()
