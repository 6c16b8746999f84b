"""What the grammars of several commands share: flags, and how parsers complain and help."""

import argparse
from argparse import SUPPRESS, ArgumentParser
from typing import NoReturn

from ripstop.cli import arguments

RUN_DIR = "/run/ripstop"
STATE_DIR = "/var/lib/ripstop"


def add_common(parser: ArgumentParser) -> None:
    """Add the flags that may stand before and after the command; the last one wins."""
    add = parser.add_argument
    add(
        "--run-dir",
        type=arguments.directory,
        default=SUPPRESS,  # a command's own default would hide what stands before the command
        metavar="DIR",
        help=f"where the daemon's socket is (default: {RUN_DIR})",
    )
    add(
        "--state-dir",
        type=arguments.directory,
        default=SUPPRESS,
        metavar="DIR",
        help=f"where the daemon keeps its state (default: {STATE_DIR})",
    )
    add("--json", action="store_true", default=SUPPRESS, help="print JSON")


def add_container(parser: ArgumentParser) -> "argparse._MutuallyExclusiveGroup":
    """Add the ways to say which container; exactly one must be taken."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--netns",
        type=arguments.netns,
        metavar="PATH",
        help="network namespace of the container; a bare NAME means /run/netns/NAME",
    )
    which.add_argument(
        "--pid", dest="netns", type=arguments.netns_of_pid, metavar="N", help="a process in the container"
    )
    return which


class Parser(ArgumentParser):
    """Complains in one line, as all of our errors do."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"ripstop: {message}; see `{self.prog} --help`\n")


class Formatter(argparse.HelpFormatter):
    """Help that is the same on every terminal, so that the documentation can hold it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=100)
