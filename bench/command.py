"""What the commands of all benchmarks have in common: flags, and how they end."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from bench import report
from ripstop.core.errors import RipstopError
from ripstop.lab.signals import raising

MIN_ROUNDS = 5  # for a result that counts


def parser_of(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the flags that every benchmark has."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    add = parser.add_argument
    add("--rounds", type=int, default=7, help="how often each way is measured, at least 5 (default: %(default)s)")
    add("--quick", action="store_true", help="one short round, to see that it works; proves nothing")
    add("--directory", type=Path, default=report.DIRECTORY, help="where results go (default: bench/results)")
    add("--dry", action="store_true", help="write no files")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the flags; few rounds prove nothing, and have to be called quick."""
    args = parser.parse_args()
    if args.rounds < MIN_ROUNDS and not args.quick:
        parser.error(f"--rounds: at least {MIN_ROUNDS}, or --quick")
    return args


def end(work: Callable[[], None]) -> int:
    """Run a benchmark; return 1 if it could not be run, not if a bar was missed."""
    try:
        with raising():
            work()
    except RipstopError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130  # as a shell reports SIGINT
    return 0
