"""What may be typed after `ripstop cni`."""

from argparse import ArgumentParser
from collections.abc import Iterator

from ripstop.cli import arguments
from ripstop.cli.flags import Formatter, add_common

BIN_DIR = "/opt/cni/bin"
CONFIG_DIR = "/etc/cni/net.d"


def fill(parser: ArgumentParser) -> Iterator[tuple[str, ArgumentParser]]:
    """Add the subcommands; yield each by its name."""
    commands = parser.add_subparsers(dest="subcommand", metavar="COMMAND", title="commands", required=True)

    def add(name: str, summary: str, more: str) -> ArgumentParser:
        description = f"{summary[0].upper()}{summary[1:]}. {more}"
        made = commands.add_parser(name, help=summary, description=description, formatter_class=Formatter)
        add_common(made)
        _add_places(made)
        return made

    install = add("install", "have container runtimes use this network", "Waits until the daemon can give addresses; "
                  "before that, nothing is written. Repeat it after an upgrade.")  # fmt: skip
    _add_install(install)
    yield "install", install
    yield "remove", add("remove", "take away what install wrote", "Nothing there is fine. Needs no daemon; do it "
                        "after the last container is gone, as its removal calls the plugin.")  # fmt: skip


def _add_places(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--bin-dir", type=arguments.directory, default=BIN_DIR, metavar="DIR",
        help=f"where runtimes look for plugins (default: {BIN_DIR})")  # fmt: skip
    add("--config-dir", type=arguments.directory, default=CONFIG_DIR, metavar="DIR",
        help=f"where they look for networks (default: {CONFIG_DIR})")  # fmt: skip


def _add_install(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--name", default="ripstop", metavar="NAME", help="name of the network (default: ripstop)")
    add("--subnet", metavar="CIDR", help="where addresses are taken from (default: as the daemon's)")
    add("--mtu", type=int, metavar="BYTES", help="of the interfaces (default: as large as the overlay carries)")
    add("--no-default-route", action="store_true", help="containers reach the overlay only")
    add("--no-guard", action="store_true", help="containers may send under any address, and be routers")
    add("--guard-by-annotation", action="append", default=[], metavar="NAMESPACE",
        help="pods of this namespace may choose their guard by the annotation ripstop/guard, '*' for all; may be "
        "repeated")  # fmt: skip
    add("--no-multicast", action="store_true", help="containers neither send to groups nor get what is sent to them")
    add("--no-multicast-route", action="store_true", help="no route for 224.0.0.0/4 through the interface")
    add("--chain", action="append", default=None, metavar="PLUGIN",
        help="plugin that comes after ours; may be repeated (default: portmap if it is there)")  # fmt: skip
    add("--python", type=arguments.directory, default="/usr/bin/python3", metavar="PATH",
        help="interpreter for what the plugin does without a daemon, as the runtime sees it "
        "(default: /usr/bin/python3)")  # fmt: skip
    add("--wait", type=arguments.seconds, default=30.0, metavar="SECONDS",
        help="how long the daemon may take until it is ready (default: 30)")  # fmt: skip
