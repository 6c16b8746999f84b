"""From the core's views to the API's types: names for people, text for addresses, milliseconds."""

from ripstop.api import types
from ripstop.core.address import format_address
from ripstop.core.mesh.mesh import Mesh
from ripstop.core.node import Node
from ripstop.kernel.datapath import FdbEntry


def peers(mesh: Mesh) -> list[types.Peer]:
    """Render every known peer."""
    return [
        types.Peer(peer.name, peer.nickname, peer.short_id, peer.incarnation, peer.addresses, peer.state)
        for peer in mesh.peers()
    ]


def connections(mesh: Mesh) -> list[types.Connection]:
    """Render how each peer is connected."""
    return [
        types.Connection(
            peer=found.peer,
            nickname=found.nickname,
            address=found.address,
            direction=found.direction,
            control=found.control,
            path=found.path,
            path_address=found.path_address,
            mtu=found.mtu,
            rtt_ms=None if found.rtt is None else round(found.rtt * 1000, 3),
            error=found.error,
        )
        for found in mesh.connections()
    ]


def routes(mesh: Mesh) -> list[types.Route]:
    """Render the way to each peer."""
    return [
        types.Route(route.destination, route.nickname, route.next_nickname, route.hops, route.mtu)
        for route in mesh.routes()
    ]


def targets(mesh: Mesh, now: float) -> list[types.Target]:
    """Render what we dial by order of the user; `now` is the node's time."""
    return [
        types.Target(str(target.endpoint), target.state, target.retry_in, target.error) for target in mesh.targets(now)
    ]


def ipam(node: Node) -> types.IpamStatus:
    """Render who owns which share of the addresses."""
    status = node.allocator.status()
    nicknames = {peer.name: peer.nickname for peer in node.mesh.peers()}
    return types.IpamStatus(
        range=str(status.universe),
        ready=not status.why,
        why=status.why,
        free=status.free,
        peers=tuple(
            [
                types.IpamPeer(
                    share.peer,
                    nicknames.get(share.peer, ""),
                    share.addresses,
                    share.fraction,
                    share.reachable,
                    share.free,
                    share.lost,
                )
                for share in status.shares
            ]
        ),
        allocations=tuple([types.Allocation(format_address(address), holder) for address, holder in status.held]),
        pending=tuple([types.Pending(waiting.container, waiting.why) for waiting in status.waiting]),
        contested=tuple([str(contested) for contested in status.contested]),
        ring=status.ring,
        doubt=status.doubt,
        taking=status.taking,
        strays=tuple([format_address(address) for address in status.strays]),
        foreign=status.foreign,
    )


def station(entry: FdbEntry) -> dict[str, str]:
    """Render where one MAC address lives."""
    where = f"port {entry.ifindex}" if entry.ifindex else f"peer {entry.peer}"
    return {"mac": entry.mac, "where": where, "age": f"{entry.age:.0f} s"}
