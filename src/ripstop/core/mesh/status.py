"""What people see of the mesh: immutable views, made when asked for."""

from dataclasses import dataclass

from ripstop.core.mesh.connections import Connections
from ripstop.core.mesh.connector import Connector
from ripstop.core.mesh.membership import Membership
from ripstop.core.mesh.paths import Paths
from ripstop.core.mesh.routing import Routing
from ripstop.core.names import PeerName, ShortId, UnderlayIp


@dataclass(frozen=True, slots=True)
class PeerView:
    """One known peer."""

    name: PeerName
    nickname: str
    short_id: ShortId
    incarnation: int
    addresses: tuple[UnderlayIp, ...]
    state: str  # "self" | "direct" | "relayed" | "unreachable" | "left"
    mtu: int  # overlay MTU that its direct paths carry, bytes; 0 = it has none


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """How one other peer is connected: the control connection and the data path."""

    peer: PeerName
    nickname: str
    address: str  # of the control connection, or of the last one; "" if there never was one
    direction: str  # "outbound" | "inbound" | ""
    control: str  # "established" | "connecting" | "closed"
    path: str  # "vxlan" | "relay" | "none"
    path_address: str
    mtu: int  # bytes the direct path carries inside; 0 = none
    rtt: float | None  # of the direct path, smoothed, seconds
    error: str  # last failure of either, "" if none


@dataclass(frozen=True, slots=True)
class RouteView:
    """How frames reach one peer."""

    destination: PeerName
    nickname: str
    next_hop: PeerName
    next_nickname: str
    hops: int
    remote: UnderlayIp  # underlay address of the next hop
    mtu: int  # bytes that the first hop carries inside


def peers(membership: Membership, routing: Routing) -> tuple[PeerView, ...]:
    """Return every known peer, by name."""
    return tuple(
        PeerView(
            record.name,
            record.nickname,
            record.short_id,
            record.incarnation,
            record.addresses,
            _state(record.name, record.left, membership, routing),
            reach.mtu if (reach := membership.reach(record.name)) else 0,
        )
        for record in membership.all()
    )


def _state(name: PeerName, left: bool, membership: Membership, routing: Routing) -> str:
    if name == membership.name:
        return "self"
    if left:
        return "left"
    way = routing.ways.get(name)
    if way is None:
        return "unreachable"
    return "direct" if way.hops == 1 else "relayed"


def connections(
    membership: Membership, live: Connections, connector: Connector, paths: Paths, routing: Routing
) -> tuple[ConnectionView, ...]:
    """Return how each other peer that did not leave is connected, by name."""
    return tuple(
        _connection(record.name, record.nickname, live, connector, paths, routing) for record in membership.present()
    )


def _connection(
    peer: PeerName, nickname: str, live: Connections, connector: Connector, paths: Paths, routing: Routing
) -> ConnectionView:
    monitor, way = paths.get(peer), routing.ways.get(peer)
    path = monitor.path if monitor else None
    connection, ended = live.to(peer), live.ended.get(peer)
    if connection:
        control, address, trouble = "established", connection.address, ""
        direction = "outbound" if connection.is_outbound else "inbound"
    else:
        control = "connecting" if connector.is_dialing(peer) else "closed"
        address = ended.address if ended else ""
        direction = "" if not ended else "outbound" if ended.is_outbound else "inbound"
        trouble = connector.error(peer) or (ended.reason if ended else "")
    return ConnectionView(
        peer=peer,
        nickname=nickname,
        address=address,
        direction=direction,
        control=control,
        path="relay" if way and way.hops > 1 else "vxlan" if way else "none",
        path_address=path.remote if path else "",
        mtu=path.mtu if path else 0,
        rtt=monitor.rtt if monitor and path else None,
        error=trouble or (monitor.reason if monitor else ""),
    )


def routes(membership: Membership, paths: Paths, routing: Routing) -> tuple[RouteView, ...]:
    """Return the way to each peer that can be reached, by name."""
    working = paths.working()
    return tuple(
        RouteView(
            destination=peer,
            nickname=_nickname(peer, membership),
            next_hop=way.next_hop,
            next_nickname=_nickname(way.next_hop, membership),
            hops=way.hops,
            remote=working[way.next_hop].remote,
            mtu=working[way.next_hop].mtu,
        )
        for peer, way in routing.ways.items()
        if way.next_hop in working
    )


def _nickname(name: PeerName, membership: Membership) -> str:
    record = membership.record(name)
    return record.nickname if record else ""
