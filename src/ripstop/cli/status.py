"""`ripstop status`: this host at a glance, or one thing in detail; also waits until all is well."""

import argparse
import sys
import time
from collections.abc import Sequence

from ripstop.api.types import Connection, Drop, IpamStatus, Peer, Route, Status, Target
from ripstop.cli.dns import show_dns
from ripstop.cli.output import (
    BAD,
    DOUBTFUL,
    GOOD,
    QUIET,
    Column,
    count,
    duration,
    paint,
    present,
    print_fields,
    print_table,
    safe,
)
from ripstop.client import Client, DaemonUnreachableError

_POLL = 0.1  # seconds between two looks while waiting
_PEER_COLOURS = {"direct": GOOD, "relayed": DOUBTFUL, "unreachable": BAD, "left": QUIET}
_CONTROL_COLOURS = {"established": GOOD, "connecting": DOUBTFUL, "closed": BAD}
_PATH_COLOURS = {"vxlan": GOOD, "relay": DOUBTFUL, "none": BAD}
_REACHABLE_COLOURS = {"yes": GOOD, "no": BAD, "lost": BAD}
_TARGET_COLOURS = {"connected": GOOD, "dialing": DOUBTFUL, "waiting": DOUBTFUL}


def run(args: argparse.Namespace) -> int:
    """Print what was asked for; with `--wait`, once the host is settled."""
    client = Client(args.run_dir)
    waiting = wait_until_settled(client, args.wait) if args.wait is not None else ()
    match args.view:
        case "peers":
            present(client.call("peers"), show_peers, json=args.json)
        case "connections":
            present(client.call("connections"), show_connections, json=args.json)
        case "routes":
            present(client.call("routes"), show_routes, json=args.json)
        case "ipam":
            present(client.call("ipam"), show_ipam, json=args.json)
        case "dns":
            present(client.call("dns"), show_dns, json=args.json)
        case "targets":
            present(client.call("targets"), show_targets, json=args.json)
        case _:
            present(client.call("status"), show_status, json=args.json)
    for reason in waiting:
        print(f"ripstop: not settled within {args.wait:g} s: {safe(reason)}", file=sys.stderr)
    return 1 if waiting else 0


def wait_until_settled(client: Client, seconds: float) -> tuple[str, ...]:
    """Wait for the daemon to come up and settle; return why it has not, nothing if it has.

    Raises:
        DaemonUnreachableError: there is no daemon even at the end.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            status = client.call("status")
            if status.settled:
                return ()
            if time.monotonic() >= deadline:
                return status.waiting or ("the daemon gives no reason",)
        except DaemonUnreachableError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_POLL)


def show_status(status: Status) -> None:
    """Print the host at a glance: what it is, then how it fares, worst last, where the eye rests."""
    host = f"{safe(status.nickname)} ({status.name}), short id {status.short_id}, incarnation {status.incarnation}"
    plain = status.encryption.startswith("none")
    fields = [
        ("host", host),
        ("daemon", f"ripstop {status.version}, pid {status.pid}, up {duration(status.uptime)}"),
        ("underlay", f"{', '.join(status.addresses) or 'no address'}; TCP {status.port}, UDP {status.port + 1}"),
        ("encryption", paint(safe(status.encryption), DOUBTFUL if plain else GOOD)),
        ("overlay", f"{status.range}, MTU {status.mtu or '-'}"),
        ("peers", _reachability(status)),
        ("containers", f"{status.containers:,}"),
        ("exposed", ", ".join(status.exposed) or "no"),
        ("settled", paint("yes", GOOD) if status.settled else paint("no", DOUBTFUL)),
        *(("", f"waiting: {safe(reason)}") for reason in status.waiting),
        ("problems", "none" if not status.problems else paint(f"{len(status.problems)}", BAD)),
        *(("", paint(safe(problem), BAD)) for problem in status.problems),
        ("drops", "none" if not status.drops else count(sum(drop.count for drop in status.drops), "packet")),
        *(("", line) for line in _drops(status.drops)),
    ]
    print_fields(fields)


def show_peers(peers: Sequence[Peer]) -> None:
    """Print every known peer."""
    columns = (Column("NICKNAME"), Column("NAME"), Column("ID", ">"), Column("STATE", colours=_PEER_COLOURS),
               Column("ADDRESSES"), Column("VERSION"))  # fmt: skip
    rows = [
        (peer.nickname, peer.name, str(peer.short_id), peer.state, ",".join(peer.addresses), peer.version)
        for peer in peers
    ]
    print_table(columns, rows, empty="no peers known")


def show_connections(connections: Sequence[Connection]) -> None:
    """Print control session and data path to every other peer, and what went wrong last."""
    columns = (Column("PEER"), Column("ADDRESS"), Column("DIRECTION"), Column("CONTROL", colours=_CONTROL_COLOURS),
               Column("PATH", colours=_PATH_COLOURS), Column("PATH ADDRESS"), Column("MTU", ">"),
               Column("RTT", ">"))  # fmt: skip
    rows = [
        (connection.nickname or connection.peer, connection.address, connection.direction, connection.control,
         connection.path, connection.path_address, str(connection.mtu or ""),
         "" if connection.rtt_ms is None else f"{connection.rtt_ms:.2f} ms")
        for connection in connections
    ]  # fmt: skip
    print_table(columns, rows, empty="no connections", whys=[connection.error for connection in connections])


def show_routes(routes: Sequence[Route]) -> None:
    """Print how frames reach every peer."""
    columns = (Column("PEER"), Column("NAME"), Column("VIA"), Column("HOPS", ">"), Column("MTU", ">"))
    rows = [(route.nickname, route.peer, route.via, str(route.hops), str(route.mtu or "")) for route in routes]
    print_table(columns, rows, empty="no other peer is reachable")


def show_targets(targets: Sequence[Target]) -> None:
    """Print the addresses dialed by order of the user."""
    columns = (Column("ADDRESS"), Column("STATE", colours=_TARGET_COLOURS), Column("RETRY", ">"))
    rows = [
        (target.address, target.state, "" if target.retry_in is None else f"in {target.retry_in:.1f} s")
        for target in targets
    ]
    print_table(columns, rows, empty="no targets: this host waits to be dialed", whys=[t.error for t in targets])


def show_ipam(ipam: IpamStatus) -> None:
    """Print who owns the addresses, and which ones are in use here."""
    print_fields([
        ("range", ipam.range),
        ("ready", paint("yes", GOOD) if ipam.ready else f"{paint('no', DOUBTFUL)}: {safe(ipam.why)}"),
        ("free here", count(ipam.free, "address", "addresses")),
        ("ring", ipam.ring or "none yet"),
        *((("in doubt", paint(safe(ipam.doubt), DOUBTFUL)),) if ipam.doubt else ()),
        *((("taking over", paint(safe(ipam.taking), DOUBTFUL)),) if ipam.taking else ()),
        *(("stray", paint(f"{text} is in use here, but another host owns it", BAD)) for text in ipam.strays),
        *(("foreign", paint(safe(text), DOUBTFUL)) for text in ipam.foreign),
        *(("contested", paint(text, BAD)) for text in ipam.contested),
        *(("pending", f"{safe(pending.container)}: {safe(pending.why)}") for pending in ipam.pending),
    ])  # fmt: skip
    print()
    columns = (
        Column("OWNER"),
        Column("NAME"),
        Column("ADDRESSES", ">"),
        Column("SHARE", ">"),
        Column("FREE", ">"),
        Column("REACHABLE", colours=_REACHABLE_COLOURS),
    )
    rows = [
        (
            peer.nickname,
            peer.peer,
            f"{peer.addresses:,}",
            f"{peer.share:.1%}",
            "" if peer.lost else f"{peer.free:,}",
            "lost" if peer.lost else "yes" if peer.reachable else "no",
        )
        for peer in ipam.peers
    ]
    print_table(columns, rows, empty="nobody owns addresses yet")
    print()
    held = [(allocation.address, allocation.container) for allocation in ipam.allocations]
    print_table((Column("ADDRESS"), Column("CONTAINER")), held, empty="no address in use on this host")


def _drops(drops: Sequence[Drop]) -> list[str]:
    """Return the reasons for which packets were dropped, the most frequent first."""
    width = max((len(f"{drop.count:,}") for drop in drops), default=0)
    ranked = sorted(drops, key=lambda drop: (-drop.count, drop.reason))
    return [f"{drop.count:>{width},}  {safe(drop.reason)}" for drop in ranked]


def _reachability(status: Status) -> str:
    """Return how many peers there are and how many of them frames can reach."""
    text = f"{status.peers:,} known, {status.reachable:,} reachable, {count(status.connections, 'connection')}"
    return text if status.reachable >= status.peers else paint(text, DOUBTFUL)
