"""`ripstop expose` and `hide`: the host itself on the overlay."""

import argparse

from ripstop.api.types import Exposed, ExposeRequest
from ripstop.cli.output import present
from ripstop.client import Client


def expose(args: argparse.Namespace) -> int:
    """Give the host an address on the overlay."""
    request = ExposeRequest(addresses=tuple(args.addresses), masquerade=not args.no_masquerade, wait=args.wait)
    present(Client(args.run_dir).call("expose", request), show_exposed, json=args.json)
    return 0


def hide(args: argparse.Namespace) -> int:
    """Take the host's addresses on the overlay away."""
    present(Client(args.run_dir).call("hide"), show_exposed, json=args.json)
    return 0


def show_exposed(exposed: Exposed) -> None:
    """Print the addresses given or taken away, one a line, for scripts to read."""
    for address in exposed.addresses:
        print(address)
