"""`ripstop lab`: pretend hosts on this machine, to try things out."""

import argparse
import os
import sys
from argparse import SUPPRESS, ArgumentParser

import msgspec

from ripstop.core.errors import RipstopError
from ripstop.lab import state
from ripstop.lab.lab import Lab
from ripstop.lab.node import Node
from ripstop.lab.plan import LabError, check_name
from ripstop.lab.removal import remove
from ripstop.lab.signals import raising

DEFAULT_NAME = "lab"
_USES = """\
examples:
  ripstop lab up --hosts 3 --topology chain --containers 2
  ripstop lab exec h1c1 -- ping -c 3 10.32.0.2
  ripstop lab exec h2 -- ripstop status peers
  ripstop lab cut h1 h2
  ripstop lab down
"""


class HostView(msgspec.Struct):
    """One host, as `lab status --json` prints it."""

    name: str
    netns: str
    address: str
    daemon: int | None  # pid
    state: str  # settled | not settled: why | daemon silent | no daemon
    containers: dict[str, list[str]]  # addresses by name


class LabView(msgspec.Struct):
    """A whole lab, as `lab status --json` prints it."""

    name: str
    directory: str
    mtu: int
    cuts: list[tuple[str, str]]
    hosts: list[HostView]


def add_parser(subparsers: "argparse._SubParsersAction[ArgumentParser]") -> None:
    """Add `lab` and what may follow it."""
    lab = subparsers.add_parser(
        "lab",
        help="build pretend hosts on this machine, to try things out",
        description="Pretend hosts h1..hN as network namespaces on one switch, a daemon on each, containers h1c1...",
        epilog=_USES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = lab.add_subparsers(dest="lab_command", metavar="COMMAND", required=True)

    def add(name: str, summary: str) -> ArgumentParser:
        parser = verbs.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        parser.add_argument("--lab", default=DEFAULT_NAME, metavar="NAME", help="which lab (default: %(default)s)")
        return parser

    _add_up(add("up", "build a lab and start its daemons"))
    run = add("exec", "run a command on a host (h1), in a container (h1c1) or on the switch")
    run.add_argument("node", metavar="HOST")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command and its arguments")
    for name, summary in (("cut", "drop every frame between two hosts"), ("heal", "let frames pass again")):
        parser = add(name, summary)
        parser.add_argument("a", metavar="A")
        parser.add_argument("b", metavar="B")
    status = add("status", "show hosts, daemons, containers and cuts")
    status.add_argument("--json", action="store_true", default=SUPPRESS, help="print JSON")
    add("down", "stop the daemons and remove the lab; no error if there is none")


def _add_up(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--hosts", type=int, default=3, metavar="N", help="how many hosts (default: %(default)s)")
    add(
        "--topology",
        default="full",
        metavar="SHAPE",
        help='full, chain, star (h1 is the centre), or a JSON file of links, [["h1", "h2"], ...] (default: full)',
    )
    add("--containers", type=int, default=0, metavar="M", help="attached containers on each host (default: none)")
    add("--mtu", type=int, default=1500, metavar="BYTES", help="of the underlay (default: %(default)s)")
    add("--no-daemons", action="store_true", help="bare hosts: start no daemon, attach no container")
    add(
        "--flag",
        action="append",
        default=[],
        metavar="FLAG",
        help="one more flag for every daemon, written as --flag=--log-level=debug; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Do what `add_parser` has understood; errors leave as RipstopError."""
    check_name(args.lab)
    if os.geteuid():
        raise LabError("a lab needs root: it makes network namespaces")
    match args.lab_command:
        case "up":
            return _up(args)
        case "exec":
            return _exec(Lab.existing(args.lab).node(args.node), args.words)
        case "cut":
            Lab.existing(args.lab).cut(args.a, args.b)
        case "heal":
            Lab.existing(args.lab).heal(args.a, args.b)
        case "status":
            _status(view(Lab.existing(args.lab)), json=args.json)
        case "down":
            with raising(), state.locked(args.lab):
                print(f"lab {args.lab!r} is gone" if remove(args.lab) else f"no lab {args.lab!r}")
    return 0


def _up(args: argparse.Namespace) -> int:
    lab = Lab(
        args.hosts,
        name=args.lab,
        topology=args.topology,
        containers=args.containers,
        mtu=args.mtu,
        daemons=not args.no_daemons,
        flags=args.flag,
        progress=lambda line: print(line, file=sys.stderr),
    )
    with raising():
        lab.up()
    _status(view(lab), json=args.json)
    return 0


def _exec(node: Node, words: list[str]) -> int:
    """Become the command, so that terminal, signals and exit code are its own."""
    command = words[1:] if words[:1] == ["--"] else words
    if not command:
        raise LabError(f"say what to run: `ripstop lab exec {node.name} -- ip address`")
    sys.stdout.flush()
    os.execvpe("nsenter", node.command(command), node.environment)


def view(lab: Lab) -> LabView:
    """Return how a lab is doing."""
    hosts = []
    for host in lab.hosts:
        containers = [lab.container(name) for name in lab.plan.container_names(host.name)]
        pid = host.daemon_pid()
        hosts.append(
            HostView(
                name=host.name,
                netns=host.netns,
                address=str(host.interface),
                daemon=pid,
                state=_state(lab, host.name) if pid is not None else "no daemon",
                containers={container.name: _addresses(container) for container in containers},
            )
        )
    return LabView(lab.name, str(lab.directory), lab.plan.mtu, list(lab.plan.cuts), hosts)


def _state(lab: Lab, host: str) -> str:
    try:
        status = lab.host(host).status()
    except RipstopError:
        return "daemon silent"
    return "settled" if status.settled else f"not settled: {'; '.join(status.waiting)}"


def _addresses(container: Node) -> list[str]:
    try:
        return [str(interface) for interface in container.interfaces()]
    except LabError:  # not attached
        return []


def _status(shown: LabView, *, json: bool) -> None:
    if json:
        print(msgspec.json.encode(shown).decode())
        return
    for host in shown.hosts:
        print(f"{host.name:<6} {host.address:<18} {host.netns}  {host.state}")
        for name, addresses in host.containers.items():
            print(f"  {name:<8} {', '.join(addresses) or 'not attached'}")
    if shown.cuts:
        print("cut: " + ", ".join(f"{a}-{b}" for a, b in shown.cuts))
