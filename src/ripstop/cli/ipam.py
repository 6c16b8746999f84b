"""`ripstop prime`, `rmpeer` and `reset`: what people have to say about who owns the addresses."""

import argparse
import os

from ripstop.api.types import Moved, PrimeRequest, RemovePeersRequest, ResetRequest
from ripstop.cli.background import await_end
from ripstop.cli.output import count, present
from ripstop.client import Client


def prime(args: argparse.Namespace) -> int:
    """Wait until the range is divided."""
    Client(args.run_dir).call("prime", PrimeRequest(args.wait))
    return 0


def rmpeer(args: argparse.Namespace) -> int:
    """Take over what dead hosts owned."""
    request = RemovePeersRequest(tuple(args.hosts), args.force, args.wait)
    present(Client(args.run_dir).call("rmpeer", request), show_taken, json=args.json)
    return 0


def reset(args: argparse.Namespace) -> int:
    """Leave, and wait until the daemon has ended."""
    client = Client(args.run_dir)
    process = os.pidfd_open(client.daemon_pid())
    try:
        moved = client.call("reset", ResetRequest(args.force, args.wait))
        await_end(process)
    finally:
        os.close(process)
    present(moved, show_given, json=args.json)
    return 0


def show_taken(moved: Moved) -> None:
    """Print what this host has now that was another's."""
    print(f"{count(moved.addresses, 'address', 'addresses')} taken over")


def show_given(moved: Moved) -> None:
    """Print what another host has now that was this one's."""
    print(f"{count(moved.addresses, 'address', 'addresses')} given away, state deleted, daemon ended")
