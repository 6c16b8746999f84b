"""What may be typed after `ripstop kubernetes`."""

from argparse import ArgumentParser
from collections.abc import Iterator

from ripstop.cli import arguments
from ripstop.cli.flags import Formatter, add_common

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
HEALTH = "127.0.0.1:6785"


def fill(parser: ArgumentParser) -> Iterator[tuple[str, ArgumentParser]]:
    """Add the subcommands, and yield the name and parser of each."""
    commands = parser.add_subparsers(dest="kubernetes_command", metavar="COMMAND", title="commands", required=True)

    def add(name: str, summary: str, more: str) -> ArgumentParser:
        description = f"{summary[0].upper()}{summary[1:]}. {more}"
        made = commands.add_parser(name, help=summary, description=description, formatter_class=Formatter)
        add_common(made)
        _add_pod(made)
        return made

    agent = add(
        "agent", "keep this node's daemon and the cluster in step", "Runs until SIGTERM or SIGINT; the network goes on."
    )
    agent.add_argument(
        "--health",
        default=HEALTH,
        metavar="ADDR:PORT",
        help=f"where /livez and /readyz are answered, empty for nowhere (default: {HEALTH})",
    )
    yield "agent", agent
    daemon = add(
        "daemon",
        "find out the flags for this node's daemon, then become it",
        "State is kept in a directory of its own for each UID that the Node has had.",
    )
    daemon.add_argument(
        "--range",
        default="",
        metavar="CIDR",
        help="addresses of pods, the same on every node (default: what the first node was given, "
        "else kubeadm's podSubnet, else 10.32.0.0/12)",
    )
    daemon.add_argument("flags", nargs="*", metavar="-- FLAG", help="more flags for `ripstop daemon`")
    yield "daemon", daemon


def _add_pod(parser: ArgumentParser) -> None:
    """Add what a pod says of itself."""
    add = parser.add_argument
    add("--node", default="", metavar="NAME", help="name of this Node (default: NODE_NAME in the environment)")
    add("--server", default="", metavar="URL", help="the API server (default: that of the pod this runs in)")
    add("--namespace", default="", metavar="NAME", help="where our Leases are (default: the pod's)")
    add(
        "--account",
        type=arguments.directory,
        default=arguments.directory(ACCOUNT),
        metavar="DIR",
        help=f"token and ca.crt of the service account (default: {ACCOUNT})",
    )
    add(
        "--log-level",
        default="info",
        choices=("debug", "info", "warning", "error"),
        help="least severe messages to log (default: info)",
    )
