"""`ripstop kubernetes agent` and `ripstop kubernetes daemon`."""

import argparse
import asyncio
import logging
import os
import sys

from ripstop.kubernetes.settings import Settings, from_pod


def run(args: argparse.Namespace) -> int:
    """Run one of them until it is told to end."""
    logging.basicConfig(
        stream=sys.stderr, level=args.log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    if args.kubernetes_command == "daemon":
        from ripstop.kubernetes import launcher

        launcher.main(_settings(args), args.flags)
        return 1  # not reached
    from ripstop.kubernetes import agent

    asyncio.run(agent.main(_settings(args), args.health))
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    return from_pod(
        os.environ, run_dir=args.run_dir, state_dir=args.state_dir, node=args.node, server=args.server,
        namespace=args.namespace, universe=getattr(args, "range", ""), account=args.account,
    )  # fmt: skip
