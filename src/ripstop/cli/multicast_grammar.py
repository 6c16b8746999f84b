"""What may be typed after `ripstop multicast`."""

from argparse import ArgumentParser
from collections.abc import Iterator

from ripstop.cli import arguments
from ripstop.cli.flags import Formatter, add_common, add_container


def fill(parser: ArgumentParser) -> Iterator[tuple[str, ArgumentParser]]:
    """Add the subcommands, and yield the name and parser of each."""
    commands = parser.add_subparsers(dest="multicast_command", metavar="COMMAND", title="commands", required=True)

    def add(name: str, summary: str, more: str = "") -> ArgumentParser:
        description = f"{summary[0].upper()}{summary[1:]}.{more and ' '}{more}"
        made = commands.add_parser(name, help=summary, description=description, formatter_class=Formatter)
        add_common(made)
        return made

    yield "groups", add("groups", "show every group, and how multicast is doing here")
    members = add("members", "show who wants which group", "Ports of this host, and other hosts as a whole.")
    _add_filter(members)
    yield "members", members
    sources = add("sources", "show who sends to which group", "As the packets came in on this host.")
    _add_filter(sources)
    yield "sources", sources
    trace = add("trace", "draw the way from a source to all members of a group", "Host by host, as it is now.")
    _add_trace(trace)
    yield "trace", trace
    top = add("top", "show how much is sent to groups", "Source by source, the fastest first, or by place.")
    _add_top(top)
    yield "top", top
    join = add(
        "join",
        "join a group for a container that cannot do so itself",
        "In place of what was joined for it before. Prints the port's memberships of the group.",
    )
    _add_port(join)
    _add_sources(join)
    yield "join", join
    leave = add(
        "leave",
        "end what `join` began",
        "What the container itself has joined stays. Prints the port's memberships of the group that remain.",
    )
    _add_port(leave)
    yield "leave", leave


def _add_filter(parser: ArgumentParser) -> None:
    parser.add_argument("group", nargs="?", type=arguments.group, metavar="GROUP", help="this group only")


def _add_trace(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("source", type=arguments.address, metavar="SOURCE", help="address of the sender")
    add("group", type=arguments.address, metavar="GROUP", help="address of the group")
    add("--host", default="", metavar="NAME", help="host on which the source is (default: found out)")


def _add_top(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--seconds",
        type=arguments.sampling_seconds,
        default=1.0,
        metavar="S",
        help="time between two looks (default: 1)",
    )
    add("--count", type=arguments.times, default=1, metavar="N", help="how often; 0: until Ctrl-C (default: 1)")
    add("--by", choices=("port", "host"), help="sum up what each port of this host, or each host, sends and gets")


def _add_port(parser: ArgumentParser) -> None:
    parser.add_argument("group", type=arguments.group, metavar="GROUP", help="address of the group")
    which = add_container(parser)
    which.add_argument("--id", default="", metavar="ID", help="the container, as `ripstop ps` shows it")
    which.add_argument("--host", action="store_true", help="this host itself, on its interface ripstop0")
    parser.add_argument("--ifname", metavar="NAME", help="its interface in the container (default: eth0)")


def _add_sources(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--source",
        action="append",
        default=[],
        type=arguments.source,
        metavar="ADDR",
        help="from this sender only; may be repeated (default: from all)",
    )
    add("--exclude", action="store_true", help="from all senders but those")
