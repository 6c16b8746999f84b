"""One peer's part in the mesh: ties the machines of this package together and decides little itself.

Events go to the machine they are about; afterwards `_follow` brings everything derived (our own entries, dials,
gossip, tables, what is on disk) in line with what is known, whatever the event was.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import assert_never

from ripstop.core.effects import Announce, Effect, Heard, Internal, Learned, Notice, Send, Tell
from ripstop.core.errors import ProtocolError
from ripstop.core.events import (
    Accepted,
    Closed,
    ConnectRequested,
    Dialed,
    DialFailed,
    Endpoint,
    ForgetRequested,
    LeaveRequested,
    Probed,
    Received,
    UnderlayChanged,
)
from ripstop.core.mesh import status
from ripstop.core.mesh.bitmap import mask_of, pack, unpack
from ripstop.core.mesh.connection import Connection, Step
from ripstop.core.mesh.connections import Connections
from ripstop.core.mesh.connector import Connector, TargetView
from ripstop.core.mesh.ledger import Ledger
from ripstop.core.mesh.limits import MAX_HOPS
from ripstop.core.mesh.membership import Identity, short_ids
from ripstop.core.mesh.memory import FormerLife, recall
from ripstop.core.mesh.messages import (
    PROTOCOL_VERSION,
    Digest,
    Entry,
    Goodbye,
    Gossip,
    Heartbeat,
    Hello,
    Message,
    PeerRecord,
    Reach,
    Routed,
    Versions,
    Want,
)
from ripstop.core.mesh.paths import Paths
from ripstop.core.mesh.reach import ReachWriter
from ripstop.core.mesh.replica import FindVoid, nothing_is_void
from ripstop.core.mesh.routing import Here, Routing
from ripstop.core.mesh.startup import Startup
from ripstop.core.names import NO_PEER, ConnectionId, PeerName, ShortId, UnderlayIp

__all__ = ["Identity", "Mesh", "MeshEvent", "Settings"]

DEFAULT_UNDERLAY_MTU = 1500  # bytes; while no link of ours is up
FORMER_LIFE = 30.0  # seconds until addresses of the last run that nobody confirmed are dropped

MeshEvent = (
    Dialed | DialFailed | Accepted | Closed | Received | Probed | UnderlayChanged
    | ConnectRequested | ForgetRequested | LeaveRequested | Announce | Tell
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """How this peer behaves."""

    port: int  # TCP port of control connections, ours and the default of others
    targets: tuple[Endpoint, ...] = ()  # to dial, besides those on disk
    no_discovery: bool = False  # dial nothing but targets
    advertise: tuple[UnderlayIp, ...] = ()  # instead of the addresses of our NICs
    mtu: int | None = None  # of containers, in bytes; None: what the paths carry


class Mesh:
    """`receive` and `tick` change state and return effects; everything else only reads."""

    def __init__(
        self, identity: Identity, settings: Settings, saved: Mapping[str, bytes], now: float, rng: Random,
        find_void: FindVoid = nothing_is_void,
    ) -> None:  # fmt: skip
        """Begin; `saved` holds what earlier `Save` effects wrote, other keys do not matter."""
        former = recall(saved)
        incarnation = max(identity.incarnation, former.incarnation + 1)
        self.identity = Identity(identity.name, incarnation, identity.nickname, identity.site)
        self.deadline = now  # when `tick` next has something to do, seconds
        self._fixed_mtu = settings.mtu  # for everyone: one Ethernet has one MTU
        self._underlay_mtu = 0  # bytes; 0 until known
        self._addresses: tuple[UnderlayIp, ...] = ()  # of our NICs
        self._forget_at = now + FORMER_LIFE
        self._has_left = False
        self._instance = rng.getrandbits(64)
        self._ledger = Ledger(
            self.identity, settings.port, settings.advertise, former, self._covered_by, find_void, now, rng
        )
        self._membership = self._ledger.membership
        self._connections = Connections(identity.name, self._instance, self._hello, now)
        self._connector = Connector(identity.name, not settings.no_discovery, self._is_connected, rng)
        self._connector.add((*former.targets, *settings.targets), now)
        self._paths = Paths(identity.name, former.paths, rng)
        self._reach = ReachWriter(identity.name, self._membership.author)
        self._routing = Routing(self._membership, settings.mtu, now)
        has_record = self._membership.record(identity.name) is not None
        self._startup = Startup(has_id=has_record, has_paths=bool(former.paths))
        self._ids: Mapping[PeerName, ShortId] = {}
        self._linked: dict[PeerName, ConnectionId] = {}  # the connections in use, as of the last look
        self._seen_connections = self._seen_paths = self._seen_entries = -1  # generations, as of the last look
        self._members_changed = self._reach_changed = True
        self._first: list[Effect | Internal] = self._begin(former)

    # What can happen.

    def receive(self, event: MeshEvent, now: float) -> list[Effect | Internal]:
        """Take one event."""
        if self._has_left:
            return []
        effects = self._take(event, now)
        return effects if self._has_left else [*effects, *self._follow(now)]

    def tick(self, now: float) -> list[Effect | Internal]:
        """Do what is due."""
        if self._has_left:
            return []
        effects: list[Effect | Internal] = []
        if now >= self._connections.deadline:
            effects += self._connections.tick(now)
        if now >= self._paths.deadline:
            effects += self._paths.tick(now)
        if now >= self._forget_at:
            self._forget_at = math.inf
            self._membership.forget_former_life()
            self._members_changed = True
        return [*effects, *self._follow(now)]

    # What people may ask.

    @property
    def name(self) -> PeerName:
        """Our own name."""
        return self.identity.name

    def nickname(self, peer: PeerName) -> str:
        """Return how people call a peer: its nickname, or its name if that is all we know."""
        record = self._membership.record(peer)
        return record.nickname if record and record.nickname else peer

    @property
    def short_id(self) -> ShortId:
        """Our own short id; it changes if a lower-named peer has the same."""
        return self._membership.short_id

    @property
    def mtu(self) -> int:
        """What containers have as MTU, in bytes; 0 until known."""
        return self._routing.mtu

    @property
    def addresses(self) -> tuple[UnderlayIp, ...]:
        """Where we say we can be reached."""
        return self._membership.addresses()

    def peers(self) -> tuple[status.PeerView, ...]:
        """Return every known peer, ourselves and departed ones included, by name."""
        return status.peers(self._membership, self._routing)

    def connections(self) -> tuple[status.ConnectionView, ...]:
        """Return how each other peer is connected, by name."""
        return status.connections(self._membership, self._connections, self._connector, self._paths, self._routing)

    def clones(self, now: float) -> tuple[UnderlayIp, ...]:
        """Return the underlay addresses of peers that have our name."""
        return self._connections.clones(now)

    def routes(self) -> tuple[status.RouteView, ...]:
        """Return the way to each peer that can be reached, by name."""
        return status.routes(self._membership, self._paths, self._routing)

    def tree(self, source: PeerName) -> Mapping[PeerName, PeerName]:
        """Return the parent of each peer in one peer's flood tree, parents before their children."""
        return self._routing.tree(source)

    def entries(self) -> tuple[Entry, ...]:
        """Return everything that is replicated here, for reports."""
        return tuple(self._ledger.replica)

    def targets(self, now: float) -> tuple[TargetView, ...]:
        """Return what we dial by order of the user."""
        return self._connector.view(now)

    # Events.

    def _take(self, event: MeshEvent, now: float) -> list[Effect | Internal]:
        match event:
            case Received():
                return self._receive(event, now)
            case Probed():
                return [*self._paths.receive(event, now)]
            case Announce(entries):
                self._ledger.write(entries, now)
                return []
            case Tell(peer, body):
                return self._route(Routed(self.name, peer, MAX_HOPS, body))
            case Dialed(endpoint):
                self._connector.dialed(endpoint)
                return [*self._connections.open(event, now)]
            case Accepted():
                return [*self._connections.open(event, now)]
            case DialFailed(endpoint, reason):
                self._connector.fail(endpoint, reason, now)
                return []
            case Closed(id_, reason):
                connection = self._connections.get(id_)
                return [*self._connections.end(connection, Step.STREAM_CLOSED, reason)] if connection else []
            case UnderlayChanged():
                return self._use_underlay(event, now)
            case ConnectRequested(targets, replace):
                if replace:
                    self._connector.forget(target for target in self._connector.targets if target not in targets)
                self._connector.add(targets, now)
                return [self._ledger.memory.keep_targets(self._connector.targets)]
            case ForgetRequested(targets):
                self._connector.forget(targets)
                return [self._ledger.memory.keep_targets(self._connector.targets)]
            case LeaveRequested():
                return self._leave(now)
            case _:
                assert_never(event)

    def _use_underlay(self, event: UnderlayChanged, now: float) -> list[Effect | Internal]:
        self._startup.begin(has_targets=bool(self._connector.targets), now=now)
        self._underlay_mtu = event.mtu or self._underlay_mtu or DEFAULT_UNDERLAY_MTU
        gone, self._addresses = set(self._addresses) - set(event.addresses), event.addresses
        effects: list[Effect | Internal] = []
        for connection in self._connections.current().values():
            if connection.local in gone:  # TCP would keep trying for minutes from an address that is nobody's
                effects += self._connections.refuse(connection, f"our address {connection.local} is gone")
        self._membership.use_underlay(event.addresses)
        self._paths.use_underlay(event.addresses, self._underlay_mtu, now)
        self._connector.urge_all(now)
        self._members_changed = True
        return effects

    def _leave(self, now: float) -> list[Effect | Internal]:
        self._membership.left = True
        self._ledger.write_record(now)
        effects: list[Effect | Internal] = [
            *self._ledger.spreader.tick(tuple(self._linked.values()), now, at_once=True)
        ]
        effects += self._connections.leave("left the mesh")
        self._ledger.memory.forget_paths(now)
        self._has_left = True
        self.deadline = math.inf
        return [*effects, *self._ledger.memory.tick(now, at_once=True)]

    # Messages.

    def _hello(self, seen_as: str) -> Hello:
        return Hello(
            protocol=PROTOCOL_VERSION,
            name=self.name,
            incarnation=self._membership.author.incarnation,
            nickname=self.identity.nickname,
            port=self._membership.port,
            seen_as=seen_as,
            instance=self._instance,
        )

    def _receive(self, event: Received, now: float) -> list[Effect | Internal]:
        connection = self._connections.get(event.connection)
        if connection is None:
            return []
        try:
            return self._take_message(connection, event.message, now)
        except ProtocolError as error:
            whom = connection.peer or connection.address
            return [Notice("warning", f"{whom}: {error}"), *self._connections.refuse(connection, str(error))]

    def _take_message(self, connection: Connection, message: Message, now: float) -> list[Effect | Internal]:
        match message:
            case Hello():
                return self._greet(connection, message, now)
            case Goodbye(reason):
                return [*self._connections.end(connection, Step.GOODBYE, f"the peer says: {reason}")]
            case _:
                connection.move(Step.MESSAGE)
                connection.heard_at = now
        match message:
            case Heartbeat():
                return []
            case Gossip(entries):
                self._startup.heard_back = True
                return self._learn(entries, connection.id, now)
            case Digest() | Versions() | Want():
                self._startup.heard_back = self._startup.heard_back or not self._ledger.spreader.lacks(message)
                return [*self._ledger.spreader.answer(message, connection.id)]
            case Routed():
                return self._route(message)
            case _:
                assert_never(message)

    def _greet(self, connection: Connection, hello: Hello, now: float) -> list[Effect | Internal]:
        effects = self._connections.greet(connection, hello, now)
        if hello.name == self.name and hello.instance != self._instance:
            problem = "has our own name"
        elif hello.protocol != PROTOCOL_VERSION:
            problem = f"speaks protocol {hello.protocol}, we speak {PROTOCOL_VERSION}"
        else:
            problem = ""
        if connection.endpoint and problem:
            self._connector.fail(connection.endpoint, problem, now)
        elif connection.endpoint:
            self._connector.leads_to(connection.endpoint, hello.name, now)
        if not problem and hello.name != self.name:
            self._paths.hurry(hello.name, now)
            self._membership.use_seen_as(UnderlayIp(hello.seen_as))
            self._members_changed = self._members_changed or self._membership.addresses() != self._written_addresses()
        return [*effects]

    def _route(self, message: Routed) -> list[Effect | Internal]:
        """Take a message that is for us, or pass it on; it is lost if there is no way or it went astray."""
        if message.destination == self.name:
            return [Heard(message.source, message.body)]
        connection = self._connections.to(message.destination)
        if connection is None:
            nearer = self._routing.neighbor_towards(message.destination)
            connection = self._connections.to(nearer) if nearer else None
        if connection is None or message.hops_left == 0:
            return []
        passed_on = Routed(message.source, message.destination, message.hops_left - 1, message.body)
        return [Send(connection.id, passed_on)]

    # Entries.

    def _learn(self, entries: Iterable[Entry], source: ConnectionId, now: float) -> list[Effect | Internal]:
        news = self._ledger.learn(entries, source, now)
        effects: list[Effect | Internal] = []
        for one in news:
            match one.entry.value:
                case PeerRecord():
                    effects += self._heed_record(one.entry.value, one.before, now)
                case Reach():
                    self._heed_reach(one.entry.value, one.before, now)
        rest = tuple(one.entry for one in news if not isinstance(one.entry.value, PeerRecord | Reach))
        return [*effects, Learned(rest)] if rest else effects

    def _heed_record(self, record: PeerRecord, before: Entry | None, now: float) -> list[Effect]:
        """Try a peer at once that has started or moved; say who joins and who leaves."""
        self._members_changed = True
        was = before.value if before and isinstance(before.value, PeerRecord) else None
        if was is None or (was.incarnation, was.addresses) != (record.incarnation, record.addresses):
            self._connector.urge(record.name, now)
            self._paths.hurry(record.name, now)
        if record.left:
            return [] if was is None or was.left else [Notice("info", f"{_called(record)} has left")]
        return [Notice("info", f"{_called(record)} has joined")] if was is None or was.left else []

    def _heed_reach(self, reach: Reach, before: Entry | None, now: float) -> None:
        """Try peers at once that have been seen elsewhere."""
        known = unpack(before.value.control) if before and isinstance(before.value, Reach) else 0
        gained = unpack(reach.control) & ~known
        for peer, short_id in self._ids.items() if gained else ():
            if gained >> short_id & 1:
                if not self._is_connected(peer):
                    self._connector.urge(peer, now)
                self._paths.hurry(peer, now)

    def _written_addresses(self) -> tuple[UnderlayIp, ...]:
        record = self._membership.record(self.name)
        return record.addresses if record else ()

    # What follows from it all.

    def _begin(self, former: FormerLife) -> list[Effect | Internal]:
        """Return what is to be done at the very first."""
        effects: list[Effect | Internal] = [self._ledger.memory.keep_incarnation(self.identity.incarnation)]
        if self._connector.targets != former.targets:
            effects.append(self._ledger.memory.keep_targets(self._connector.targets))
        if former.damaged:
            effects.append(Notice("warning", f"saved state left out, as it is damaged: {', '.join(former.damaged)}"))
        rest = tuple(entry for entry in former.entries if not isinstance(entry.value, PeerRecord | Reach))
        return [*effects, Learned(rest)] if rest else effects

    def _follow(self, now: float) -> list[Effect | Internal]:
        """Bring everything derived in line with what is known; saves come first, so that disk is never behind."""
        effects, self._first = self._first, []
        for endpoint, reason in self._connections.take_failed():
            self._connector.fail(endpoint, reason, now)
        effects += self._follow_connections(now)
        if self._underlay_mtu:
            effects += self._refute(now)
            effects += self._follow_members(now)
            self._follow_paths(now)
            if self._startup.has_id:
                self._follow_reach(now)
                effects += self._follow_routing(now)
            if now >= self._connector.deadline:
                effects += self._connector.tick(now)
        if now >= self._ledger.spreader.deadline:
            effects += self._ledger.spreader.tick(tuple(self._linked.values()), now)
        saves = self._ledger.memory.tick(now)
        self._schedule()
        return [*saves, *effects]

    def _follow_connections(self, now: float) -> list[Effect]:
        """Greet new neighbors with a comparison, dial lost ones again."""
        if self._connections.generation == self._seen_connections:
            return []
        self._seen_connections = self._connections.generation
        self._reach_changed = True
        self._routing.touch(now)
        before, self._linked = self._linked, {peer: one.id for peer, one in self._connections.current().items()}
        effects: list[Effect] = []
        for peer, connection in self._linked.items():
            if before.get(peer) != connection and self.name < peer:
                effects += self._ledger.spreader.compare(connection)
        for peer in before:
            if peer not in self._linked:
                self._connector.lost(peer, now)
        return effects

    def _follow_members(self, now: float) -> list[Effect]:
        """Write our record, and watch and dial who is in the others."""
        had_id = self._startup.has_id
        if not self._members_changed and self._startup.choose(now) == had_id:
            return []
        self._members_changed = False
        if self._startup.choose(now):
            self._ledger.write_record(now)
        self._ids = short_ids(self._membership.all())
        records = self._membership.present()
        self._connector.know(records, now)
        self._reach_changed = True
        self._routing.touch(now)
        return self._paths.know(records, now)

    def _follow_paths(self, now: float) -> None:
        if self._paths.generation != self._seen_paths:
            self._seen_paths = self._paths.generation
            self._ledger.memory.keep_paths(self._paths.working(), now)
            self._reach_changed = True
            self._routing.touch(now)

    def _follow_reach(self, now: float) -> None:
        if not self._reach_changed and now < self._reach.deadline:
            return
        self._reach_changed = False
        working = self._paths.working()
        entry = self._reach.write(
            pack(mask_of(self._ids[peer] for peer in working if peer in self._ids)),
            pack(mask_of(self._ids[peer] for peer in self._linked if peer in self._ids)),
            min((min(path.mtu, self._fixed_mtu or path.mtu) for path in working.values()), default=0),
            now,
        )
        if entry:
            self._ledger.write((entry,), now)

    def _follow_routing(self, now: float) -> list[Effect | Internal]:
        """Recompute the tables when it is time; after a restart, publish none before we know better than the kernel."""
        was_settled = self._startup.is_settled
        may_publish = was_settled or self._startup.settle(is_confirmed=self._paths.is_confirmed(), now=now)
        if self._ledger.generation != self._seen_entries or may_publish != was_settled:
            self._seen_entries = self._ledger.generation
            self._routing.touch(now)
        if now < self._routing.deadline:
            return []
        here = Here(self._paths.working(), tuple(self._linked), self._underlay_mtu)
        return self._routing.follow(here, now, may_publish=may_publish)

    def _refute(self, now: float) -> list[Effect]:
        effects = self._ledger.refute(now)
        if effects:
            self._members_changed = self._reach_changed = True
        return effects

    def _covered_by(self, source: ConnectionId) -> dict[ConnectionId, None]:
        """Return our connections to peers to whom the one at the other end of `source` passes on news itself."""
        connection = self._connections.get(source)
        reach = self._membership.reach(connection.peer) if connection and connection.peer else None
        both = unpack(reach.control) & unpack(reach.data) if reach else 0
        return {id_: None for peer, id_ in self._linked.items() if both >> self._ids.get(peer, NO_PEER) & 1}

    def _is_connected(self, peer: PeerName) -> bool:
        return self._connections.to(peer) is not None

    def _schedule(self) -> None:
        self.deadline = min(self._connections.deadline, self._paths.deadline, self._ledger.deadline, self._forget_at)
        if self._underlay_mtu:
            self.deadline = min(self.deadline, self._connector.deadline, self._startup.deadline)
            if self._startup.has_id:
                self.deadline = min(self.deadline, self._reach.deadline, self._routing.deadline)


def _called(record: PeerRecord) -> str:
    return f"{record.nickname} ({record.name})" if record.nickname else record.name
