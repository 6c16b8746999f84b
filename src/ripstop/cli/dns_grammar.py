"""What may be typed after `ripstop dns`."""

from argparse import ArgumentParser
from collections.abc import Iterator

from ripstop.cli import arguments
from ripstop.cli.flags import Formatter, add_common


def fill(parser: ArgumentParser) -> Iterator[tuple[str, ArgumentParser]]:
    """Add the subcommands, and yield the name and parser of each."""
    commands = parser.add_subparsers(dest="dns_command", metavar="COMMAND", title="commands", required=True)

    def add(name: str, summary: str, more: str = "") -> ArgumentParser:
        description = f"{summary[0].upper()}{summary[1:]}.{more and ' '}{more}"
        made = commands.add_parser(name, help=summary, description=description, formatter_class=Formatter)
        add_common(made)
        return made

    adding = add(
        "add",
        "give a name to a container of this host, to an address, or to this host itself",
        "A container's name goes when it is detached, this host's when it is hidden; an address keeps it until it is "
        "removed. Prints all that has the name now, on any host.",
    )
    _add_bearer(adding, "what has the name (default: this host itself, which must be exposed)")
    adding.add_argument(
        "--service",
        action="append",
        default=[],
        metavar="NAME/PROTOCOL:PORT",
        help="what listens there, for SRV records, as in http/tcp:8080; may be repeated",
    )
    yield "add", adding
    removing = add("remove", "take away what `add` or `attach --hostname` gave", "Prints all that still has the name.")
    _add_bearer(removing, "what has the name no more (default: everything on this host)")
    yield "remove", removing
    lookup = add("lookup", "show who has a name or an address, on any host", "Also what is not answered now, and why.")
    lookup.add_argument("what", metavar="NAME|ADDRESS", help="with the domain or without it")
    yield "lookup", lookup
    yield "list", add("list", "show all names of all hosts")
    args = add(
        "args",
        "print the flags with which `docker run` has a container ask this host for names",
        "As in: docker run $(ripstop dns args) IMAGE",
    )
    args.add_argument("--resolv-conf", action="store_true", help="print the lines of a resolv.conf instead")
    yield "args", args


def _add_bearer(parser: ArgumentParser, what: str) -> None:
    parser.add_argument("name", metavar="NAME", help="with the domain or without it; may have dots")
    which = parser.add_argument_group(what).add_mutually_exclusive_group()
    which.add_argument("--container", default="", metavar="ID", help="the container, as `ripstop ps` shows it")
    which.add_argument("--address", type=arguments.address, metavar="ADDR", help="any address, IPv4 or IPv6")
