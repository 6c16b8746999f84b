"""`ripstop connect` and `forget`: the hosts that this one dials."""

import argparse

from ripstop.api.types import TargetsRequest
from ripstop.cli.output import present
from ripstop.cli.status import show_targets
from ripstop.client import Client


def connect(args: argparse.Namespace) -> int:
    """Dial more hosts."""
    request = TargetsRequest(targets=tuple(args.targets), replace=args.replace)
    present(Client(args.run_dir).call("connect", request), show_targets, json=args.json)
    return 0


def forget(args: argparse.Namespace) -> int:
    """Dial hosts no more."""
    request = TargetsRequest(targets=tuple(args.targets))
    present(Client(args.run_dir).call("forget", request), show_targets, json=args.json)
    return 0
