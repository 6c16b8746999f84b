"""`ripstop dns`: names of containers, given, taken and shown."""

import argparse
from collections.abc import Iterator, Sequence

import msgspec

from ripstop.api.types import DnsServer, DnsStatus, LookupRequest, Name, NameRequest
from ripstop.cli.errors import FailedError
from ripstop.cli.output import (
    BAD,
    DOUBTFUL,
    GOOD,
    Column,
    count,
    duration,
    paint,
    present,
    print_fields,
    print_table,
    safe,
)
from ripstop.client import Client

_HIDDEN = {"yes": BAD, "no": GOOD}


class ResolverArgs(msgspec.Struct):
    """What `dns args --json` prints."""

    dns: str  # address
    search: str  # domain


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    client = Client(args.run_dir)
    match args.dns_command:
        case "add":
            present(client.call("add_name", _request(args, args.service)), show_names, json=args.json)
        case "remove":
            present(client.call("remove_name", _request(args)), show_names, json=args.json)
        case "lookup":
            present(client.call("lookup", LookupRequest(args.what)), show_names, json=args.json)
        case "list":
            present(client.call("names"), show_names, json=args.json)
        case "args":
            show = show_resolv_conf if args.resolv_conf else show_flags
            present(resolver_args(client), show, json=args.json)
        case _:
            raise AssertionError(f"no code for command {args.dns_command}")
    return 0


def resolver_args(client: Client) -> ResolverArgs:
    """Return whom containers of this host ask for names.

    Raises:
        FailedError: there is nobody whom they could reach.
    """
    found = client.call("dns")
    if found.server is None:
        raise FailedError("this host answers nobody: its daemon was started with --no-dns")
    exposed = client.call("status").exposed
    if not exposed:
        raise FailedError("containers cannot reach this host: it has no overlay address; run `ripstop expose` first")
    return ResolverArgs(exposed[0].partition("/")[0], found.domain)


def show_flags(found: ResolverArgs) -> None:
    """Print flags of `docker run`."""
    print(f"--dns {found.dns} --dns-search {found.search}")


def show_resolv_conf(found: ResolverArgs) -> None:
    """Print lines of a resolv.conf."""
    print(f"nameserver {found.dns}\nsearch {found.search}")


def show_names(names: Sequence[Name]) -> None:
    """Print addresses under names, one a line."""
    columns = (Column("NAME"), Column("ADDRESS"), Column("HOST"), Column("CONTAINER"), Column("SERVICES"),
               Column("HIDDEN", colours=_HIDDEN))  # fmt: skip
    rows = [
        (name.name, name.address, name.host or name.peer, name.container, ",".join(name.services),
         "yes" if name.hidden else "no")
        for name in names
    ]  # fmt: skip
    whys = [f"{safe(name.host)} cannot be reached, so this is not answered" if name.hidden else "" for name in names]
    print_table(columns, rows, empty="no names", whys=whys)


def show_dns(status: DnsStatus) -> None:
    """Print how names are doing, and how many each host has."""
    addresses = sum(host.addresses for host in status.hosts)
    hidden = sum(host.addresses for host in status.hosts if host.hidden)
    print_fields([
        ("domain", safe(status.domain)),
        ("names", f"{status.names:,} with {count(addresses, 'address', 'addresses')}, {hidden:,} of them hidden"),
        *_server(status.server),
    ])  # fmt: skip
    print()
    columns = (Column("HOST"), Column("NAME"), Column("ADDRESSES", ">"), Column("HIDDEN", colours=_HIDDEN))
    rows = [(host.host, host.peer, f"{host.addresses:,}", "yes" if host.hidden else "no") for host in status.hosts]
    print_table(columns, rows, empty="no host has names")


def _server(server: DnsServer | None) -> Iterator[tuple[str, str]]:
    """Yield where this host answers, and how that goes."""
    if server is None:
        yield "server", paint("off: this host answers nobody", DOUBTFUL)
        return
    runs = f"pid {server.pid}, {count(server.names, 'name')}" if server.pid else paint("not running", BAD)
    died = f"; {count(server.restarts, 'restart')}, the last as {safe(server.problem)}" if server.restarts else ""
    yield "server", f"{runs}{died}"
    if not server.listening:
        yield "answers on", paint("no address: run `ripstop expose`, or start with --dns-listen", DOUBTFUL)
    for place in server.listening:
        state = paint(f"not: {safe(place.problem)}", BAD) if place.since is None else f"for {duration(place.since)}"
        yield "answers on", f"{place.address} port {place.port} {state}"
    yield "asks", ", ".join(server.upstreams) or "nobody about other domains"
    for name, number in sorted(server.counters.items()):
        yield name.replace("_", " "), f"{number:,}"


def _request(args: argparse.Namespace, services: Sequence[str] = ()) -> NameRequest:
    return NameRequest(args.name, args.container, args.address or "", tuple(services))
