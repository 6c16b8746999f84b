"""What may be typed: commands, flags and their help.  Imports nothing heavy, so that `--help` is quick."""

import os
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass

from ripstop.cli import arguments, cni_grammar, dns_grammar, kubernetes_grammar, multicast_grammar
from ripstop.cli.flags import RUN_DIR, STATE_DIR, Formatter, Parser, add_common, add_container

DEFAULT_WAIT = 30.0  # seconds for `status --wait`
_EPILOG = (
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 daemon not reachable. "
    "RIPSTOP_RUN_DIR and RIPSTOP_STATE_DIR in the environment replace the defaults of --run-dir and --state-dir."
)


@dataclass(frozen=True, slots=True)
class Grammar:
    """The whole command line: the parser, and the parser of each command and subcommand by its name."""

    parser: ArgumentParser
    commands: Mapping[str, ArgumentParser]


def build(*, with_lab: bool = False) -> Grammar:
    """Return the grammar; the flags of `lab` are its own package's, loaded only when wanted."""
    parser: ArgumentParser = Parser(
        "ripstop", description="One Ethernet switch over many hosts.", epilog=_EPILOG, formatter_class=Formatter
    )
    parser.add_argument("--version", action="store_true", help="print the version of this program and exit")
    add_common(parser)
    parser.set_defaults(
        run_dir=arguments.directory(os.environ.get("RIPSTOP_RUN_DIR") or RUN_DIR),
        state_dir=arguments.directory(os.environ.get("RIPSTOP_STATE_DIR") or STATE_DIR),
        json=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    made: dict[str, ArgumentParser] = {}

    def add(name: str, summary: str, more: str = "") -> ArgumentParser:
        description = f"{summary[0].upper()}{summary[1:]}.{more and ' '}{more}"
        made[name] = commands.add_parser(name, help=summary, description=description, formatter_class=Formatter)
        add_common(made[name])
        return made[name]

    _add_instance(add("daemon", "run the daemon in the foreground", "It ends on SIGTERM and SIGINT."))
    _add_instance(
        add(
            "up",
            "start the daemon in the background",
            "Waits until it answers, then prints the host's name in the mesh. The log is <state-dir>/ripstop.log.",
        )
    )
    add(
        "down",
        "stop the daemon and remove all it put into the kernel",
        "Also when the daemon is dead already. The state directory stays. No error if there is nothing to do.",
    )
    _add_status(add("status", "show how this host is doing"))
    _add_connect(add("connect", "dial more hosts", "Now and after every restart, until `forget`."))
    _add_targets(add("forget", "dial hosts no more", "A connection that exists stays."))
    _add_attach(add("attach", "put an interface into a container", "Prints its addresses, one a line."))
    _add_detach(add("detach", "take interfaces out of a container", "Frees their addresses."))
    _add_guard(
        add("guard", "keep attached containers from sending what is not theirs", "Holds from their next frame on.")
    )
    add("ps", "list attached containers")
    _add_expose(
        add(
            "expose",
            "give this host an address on the overlay",
            "It is on the interface ripstop0. Prints its addresses, one a line.",
        )
    )
    add("hide", "take this host's addresses on the overlay away", "Prints them, one a line.")
    _add_allocation_wait(
        add("prime", "wait until the range is divided among the hosts", "For staged starts: without it, that is done "
            "when the first container asks."),
        "how long to wait",
    )  # fmt: skip
    _add_rmpeer(
        add("rmpeer", "take over what dead hosts owned", "Only for hosts that will not come back as they were; "
            "containers that still run there lose their addresses to others.")
    )  # fmt: skip
    _add_reset(
        add("reset", "leave: give away all addresses, delete the state, end the daemon", "Detach all containers first.")
    )
    for word, title, grammar in (
        ("multicast", "show who gets which multicast group, and join groups for others", multicast_grammar),
        ("dns", "give names to containers, and see which there are", dns_grammar),
        ("cni", "have container runtimes use this network", cni_grammar),
        ("kubernetes", "run as the network of a Kubernetes cluster", kubernetes_grammar),
    ):
        for name, subcommand in grammar.fill(add(word, title)):
            made[f"{word} {name}"] = subcommand
    add("report", "print everything there is to know, for a bug report")
    add("version", "print the versions of this program and of the daemon")
    if with_lab:
        from ripstop.lab import command as lab

        lab.add_parser(commands)
    else:
        commands.add_parser("lab", help="build pretend hosts on this machine, to try things out", add_help=False)
    return Grammar(parser, made)


def _add_instance(parser: ArgumentParser) -> None:
    """Add everything that can be chosen about a daemon; `daemon.config.Config` has the same defaults."""
    add = parser.add_argument
    add("peers", nargs="*", metavar="ADDR[:PORT]", help="hosts to dial; one that is up is enough")
    add("--name", metavar="HEX", help="16 hex digits that name this host in the mesh (default: drawn once, then kept)")
    add("--nickname", default="", metavar="TEXT", help="what people call this host (default: its host name)")
    add(
        "--range",
        default="10.32.0.0/12",
        metavar="CIDR",
        help="addresses of the overlay, the same on every host (default: 10.32.0.0/12)",
    )
    add("--default-subnet", metavar="CIDR", help="part of the range that attach takes addresses from (default: all)")
    add(
        "--advertise",
        action="append",
        default=[],
        metavar="ADDR",
        help="address at which others reach this host; may be repeated (default: those of its interfaces)",
    )
    add(
        "--port",
        type=int,
        default=6783,
        metavar="N",
        help="TCP port of the control plane; frames use the next one, UDP (default: 6783)",
    )
    add("--mtu", type=int, metavar="BYTES", help="MTU of container interfaces (default: found by probing)")
    add("--no-discovery", action="store_true", help="dial only hosts named by people, none learnt from others")
    add(
        "--init",
        default="consensus",
        metavar="HOW",
        help="who divides the range at first: consensus, consensus=N (of N hosts), seed=NAME,..., "
        "or observer: not this host (default: consensus)",
    )
    add(
        "--grace",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long the addresses of a container that went away are kept for it (default: 30)",
    )
    add(
        "--log-level",
        default="info",
        choices=("debug", "info", "warning", "error"),
        help="least severe messages to log (default: info)",
    )
    add(
        "--metrics",
        metavar="ADDR:PORT",
        help="serve metrics over TCP at this address, to anybody (default: on the unix socket alone)",
    )
    add(
        "--multicast",
        default="snoop",
        choices=("snoop", "flood"),
        help="groups go where they were joined, or to everyone (default: snoop)",
    )
    add(
        "--multicast-unknown",
        default="drop",
        choices=("drop", "flood"),
        help="what happens to groups that nobody joined anywhere (default: drop)",
    )
    add(
        "--multicast-query-interval",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how often containers are asked which groups they want (default: 10)",
    )
    _add_names(parser)


def _add_names(parser: ArgumentParser) -> None:
    """Add what can be chosen about a daemon's name server."""
    add = parser.add_argument
    add("--no-dns", action="store_true", help="answer no names")
    add("--dns-domain", default="ripstop.local", metavar="NAME", help="what names are below (default: ripstop.local)")
    add(
        "--dns-ttl",
        type=int,
        default=1,
        metavar="SECONDS",
        help="how long resolvers may keep what they heard of names (default: 1)",
    )
    add(
        "--dns-listen",
        action="append",
        default=[],
        metavar="ADDR[:PORT]",
        help="answer names here too, besides the host's overlay address; may be repeated",
    )
    add(
        "--dns-allow",
        action="append",
        default=[],
        metavar="CIDR",
        help="who may ask about other domains too, besides the overlay and this host; may be repeated",
    )
    add(
        "--dns-resolv-conf",
        type=arguments.directory,
        default=arguments.directory("/etc/resolv.conf"),
        metavar="FILE",
        help="names the servers that are asked about other domains (default: /etc/resolv.conf)",
    )


def _add_status(parser: ArgumentParser) -> None:
    parser.add_argument("view", nargs="?", choices=arguments.VIEWS, help="show one thing in detail")
    parser.add_argument(
        "--wait",
        nargs="?",
        type=arguments.seconds,
        const=DEFAULT_WAIT,
        metavar="SECONDS",
        help="first wait until the daemon runs, every peer is reachable and the kernel is programmed; "
        "exit 1 with the reasons if that takes longer (default: 30)",
    )


def _add_connect(parser: ArgumentParser) -> None:
    parser.add_argument("--replace", action="store_true", help="forget all hosts named earlier")
    _add_targets(parser)


def _add_targets(parser: ArgumentParser) -> None:
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="ADDR[:PORT]",
        help="address or name of a host; the port is this host's own unless given",
    )


def _add_attach(parser: ArgumentParser) -> None:
    add_container(parser)
    add = parser.add_argument
    _add_addresses(parser)
    add("--ifname", default="eth0", metavar="NAME", help="name of the interface in the container (default: eth0)")
    add("--gateway", action="store_true", help="default route through this host, which must be exposed")
    add("--no-multicast-route", action="store_true", help="no route for 224.0.0.0/4 through the interface")
    add("--id", default="", metavar="ID", help="name for the container (default: made from its namespace)")
    add("--guard", action="store_true", help="keep the container from sending what is not its own")
    _add_guards(parser)
    add(
        "--hostname",
        action="append",
        default=[],
        metavar="NAME",
        help="name of the container, on all hosts, until it is detached; may be repeated",
    )
    _add_allocation_wait(parser)


def _add_detach(parser: ArgumentParser) -> None:
    add_container(parser).add_argument("--id", default="", metavar="ID", help="the container, as `ripstop ps` shows it")
    parser.add_argument("--ifname", default="", metavar="NAME", help="this interface only (default: all of ours)")


def _add_guard(parser: ArgumentParser) -> None:
    add_container(parser).add_argument("--id", default="", metavar="ID", help="the container, as `ripstop ps` shows it")
    parser.add_argument("--ifname", default="", metavar="NAME", help="this interface only (default: all of ours)")
    parser.add_argument("--off", action="store_true", help="guard it no longer")
    _add_guards(parser)


def _add_guards(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--guard-only",
        type=arguments.guards,
        default=(),
        metavar="LIST",
        help="only these guards, with commas: mac, ip, router, dhcp, multicast (default: all but multicast)",
    )
    parser.add_argument(
        "--allow",
        type=arguments.address,
        action="append",
        default=[],
        metavar="ADDRESS",
        help="an address that the guarded container may use besides its own; may be repeated",
    )


def _add_expose(parser: ArgumentParser) -> None:
    _add_addresses(parser)
    parser.add_argument(
        "--no-masquerade", action="store_true", help="let containers appear outside under their own addresses"
    )
    _add_allocation_wait(parser)


def _add_addresses(parser: ArgumentParser) -> None:
    parser.add_argument(
        "addresses",
        nargs="*",
        metavar="ADDRESS",
        help="ADDRESS/LEN to use as given; net:CIDR or net:default to have one allocated (default: net:default)",
    )


def _add_rmpeer(parser: ArgumentParser) -> None:
    parser.add_argument("hosts", nargs="+", metavar="HOST", help="name or nickname of a dead host")
    parser.add_argument(
        "--force", action="store_true", help="even if half of all hosts or more are dead: a host that only these knew "
        "may then have the same addresses"
    )  # fmt: skip
    _add_allocation_wait(parser, "how long to wait for the word of the others; it goes on when that is over")


def _add_reset(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--force", action="store_true", help="even if nobody is there to take the addresses; `rmpeer` on another host "
        "gets them back"
    )  # fmt: skip
    _add_allocation_wait(parser, "how long the host that takes them has to confirm")


def _add_allocation_wait(
    parser: ArgumentParser, what: str = "how long an allocation may take before it fails with its reason"
) -> None:
    parser.add_argument(
        "--wait",
        type=arguments.allocation_seconds,
        default=10.0,
        metavar="SECONDS",
        help=f"{what} (default: 10)",
    )
