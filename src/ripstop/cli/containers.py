"""`ripstop attach`, `detach` and `ps`: containers on the switch."""

import argparse
from collections.abc import Sequence

from ripstop.api.types import AttachRequest, Detached, DetachRequest, GuardRequest, Port
from ripstop.cli.errors import UsageError
from ripstop.cli.output import Column, present, print_table, safe
from ripstop.client import Client


def attach(args: argparse.Namespace) -> int:
    """Put an interface into a container."""
    request = AttachRequest(
        netns=args.netns,
        ifname=args.ifname,
        addresses=tuple(args.addresses),
        gateway=args.gateway,
        multicast_route=not args.no_multicast_route,
        container=args.id,
        hostnames=tuple(args.hostname),
        wait=args.wait,
        guard=args.guard or bool(args.guard_only or args.allow),
        guards=args.guard_only,
        allowed=tuple(args.allow),
    )
    present(Client(args.run_dir).call("attach", request), show_addresses, json=args.json)
    return 0


def detach(args: argparse.Namespace) -> int:
    """Take interfaces out of a container."""
    request = DetachRequest(netns=args.netns or "", container=args.id, ifname=args.ifname)
    present(Client(args.run_dir).call("detach", request), show_detached, json=args.json)
    return 0


def guard(args: argparse.Namespace) -> int:
    """Guard attached containers, or no longer."""
    if args.off and (args.guard_only or args.allow):
        raise UsageError("--off goes without --guard-only and --allow")
    request = GuardRequest(
        netns=args.netns or "",
        container=args.id,
        ifname=args.ifname,
        guard=not args.off,
        guards=args.guard_only,
        allowed=tuple(args.allow),
    )
    present(Client(args.run_dir).call("guard", request), show_guards, json=args.json)
    return 0


def ps(args: argparse.Namespace) -> int:
    """List attached containers."""
    present(Client(args.run_dir).call("ports"), show_ports, json=args.json)
    return 0


def show_addresses(port: Port) -> None:
    """Print a port's addresses, one a line, for scripts to read."""
    for address in port.addresses:
        print(address)


def show_detached(detached: Detached) -> None:
    """Print what was taken out, one interface a line."""
    for port in detached.ports:
        print(f"{safe(port.container)}  {safe(port.ifname)}  {' '.join(port.addresses)}")
    if not detached.ports:
        print("nothing was attached")


def show_guards(ports: Sequence[Port]) -> None:
    """Print how interfaces are guarded, one a line."""
    for port in ports:
        print(f"{safe(port.container)}  {safe(port.ifname)}  {' '.join(port.guards) or 'not guarded'}")


def _guard(port: Port) -> str:
    if not port.guards:
        return "-"
    stopped = sum(port.stopped.values())
    return ",".join(port.guards) + (f" ({stopped} stopped)" if stopped else "")


def show_ports(ports: Sequence[Port]) -> None:
    """Print attached containers."""
    columns = (Column("CONTAINER"), Column("INTERFACE"), Column("ADDRESSES"), Column("MAC"), Column("MTU", ">"),
               Column("PORT"), Column("GUARDS"), Column("NETNS"), Column("NAMES"))  # fmt: skip
    rows = [
        (
            port.container,
            port.ifname,
            ",".join(port.addresses),
            port.mac,
            str(port.mtu),
            port.host_ifname,
            _guard(port),
            port.netns,
            ",".join(port.names),
        )
        for port in ports
    ]
    print_table(columns, rows, empty="no containers attached")
