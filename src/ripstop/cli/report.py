"""`ripstop report` and `version`: what to send along with a question."""

import argparse
from collections.abc import Mapping

import msgspec

from ripstop import __version__
from ripstop.api.types import Report, Version
from ripstop.cli.containers import show_ports
from ripstop.cli.dns import show_dns, show_names
from ripstop.cli.multicast import show_groups, show_members, show_streams
from ripstop.cli.output import Column, present, print_fields, print_table, safe
from ripstop.cli.status import show_connections, show_ipam, show_peers, show_routes, show_status, show_targets
from ripstop.client import Client, DaemonUnreachableError


class Versions(msgspec.Struct):
    """What `version --json` prints."""

    client: str
    daemon: Version | None  # None: not reachable


def report(args: argparse.Namespace) -> int:
    """Print everything there is to know."""
    present(Client(args.run_dir).call("report"), show_report, json=args.json)
    return 0


def version(args: argparse.Namespace) -> int:
    """Print our version, and the daemon's if there is one."""
    try:
        daemon = Client(args.run_dir).call("version")
    except DaemonUnreachableError:
        daemon = None
    present(Versions(__version__, daemon), show_versions, json=args.json)
    return 0


def show_versions(versions: Versions) -> None:
    """Print both versions."""
    daemon = versions.daemon
    there = f"{daemon.version}, protocol {daemon.protocol}, map layout {daemon.abi}" if daemon else "not running"
    print_fields([("client", versions.client), ("daemon", there)])


def show_report(report: Report) -> None:
    """Print every view there is under a heading of its own."""
    _heading("status")
    show_status(report.status)
    _heading("peers")
    show_peers(report.peers)
    _heading("connections")
    show_connections(report.connections)
    _heading("routes")
    show_routes(report.routes)
    _heading("targets")
    show_targets(report.targets)
    _heading("ipam")
    show_ipam(report.ipam)
    _heading("containers")
    show_ports(report.ports)
    _heading("multicast groups")
    show_groups(report.multicast)
    _heading("multicast members")
    show_members(report.multicast.members)
    _heading("multicast sources")
    show_streams(report.multicast.streams)
    _heading("name server")
    show_dns(report.dns)
    _heading("names")
    show_names(report.names)
    _heading("datapath counters")
    _show_counts(report.counters)
    _heading("control plane counters")
    _show_counts(report.control)
    _heading("learnt addresses")
    keys = sorted({key for entry in report.fdb for key in entry})
    rows = [[entry.get(key, "") for key in keys] for entry in report.fdb]
    print_table([Column(key.upper()) for key in keys], rows, empty="none")
    _heading("kernel")
    print_fields([(safe(name), safe(value)) for name, value in sorted(report.kernel.items())])
    _heading("log")
    for line in report.log:
        print(safe(line))


def _heading(text: str) -> None:
    print(f"\n== {text}")


def _show_counts(counts: Mapping[str, int]) -> None:
    rows = [(name, f"{number:,}") for name, number in sorted(counts.items())]
    print_table((Column("COUNTER"), Column("COUNT", ">")), rows, empty="none")
