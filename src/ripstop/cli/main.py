"""The entry point: reads the line, calls one command, turns what goes wrong into a line and an exit code."""

import argparse
import os
import sys
from collections.abc import Sequence

from ripstop import __version__
from ripstop.cli.grammar import build

DONE, REFUSED, USAGE, UNREACHABLE = 0, 1, 2, 3  # exit codes
INTERRUPTED, BROKEN_PIPE = 130, 141  # 128 + signal, as a shell reports SIGINT and SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        code = _run(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has had enough; the interpreter flushes once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


def _run(words: list[str]) -> int:
    grammar = build(with_lab="lab" in words)
    try:
        args = grammar.parser.parse_args(words)
    except SystemExit as done:  # after --help or an error that argparse has printed already
        return done.code if isinstance(done.code, int) else USAGE
    if args.version:
        print(f"ripstop {__version__}")
        return DONE
    if args.command is None:
        return _complain("say what to do; `ripstop --help` lists the commands", USAGE)
    return _guarded(args)


def _guarded(args: argparse.Namespace) -> int:
    """Run the command; every error we raise on purpose becomes one line."""
    from ripstop.cli.errors import FailedError
    from ripstop.client import DaemonUnreachableError
    from ripstop.core.errors import RipstopError

    try:
        return _dispatch(args)
    except BrokenPipeError:
        raise
    except DaemonUnreachableError as error:
        return _complain(str(error), UNREACHABLE)
    except FailedError as error:
        return _complain(str(error), error.code)
    except (RipstopError, OSError) as error:
        return _complain(str(error), REFUSED)


def _dispatch(args: argparse.Namespace) -> int:
    """Call the command, importing only what it needs."""
    match args.command:
        case "daemon" | "up" | "down":
            from ripstop.cli import instance

            return {"daemon": instance.daemon, "up": instance.up, "down": instance.down}[args.command](args)
        case "status":
            from ripstop.cli import status

            return status.run(args)
        case "connect" | "forget":
            from ripstop.cli import targets

            return {"connect": targets.connect, "forget": targets.forget}[args.command](args)
        case "attach" | "detach" | "guard" | "ps":
            from ripstop.cli import containers

            commands = {"attach": containers.attach, "detach": containers.detach, "guard": containers.guard}
            return (commands | {"ps": containers.ps})[args.command](args)
        case "expose" | "hide":
            from ripstop.cli import host

            return {"expose": host.expose, "hide": host.hide}[args.command](args)
        case "prime" | "rmpeer" | "reset":
            from ripstop.cli import ipam

            return {"prime": ipam.prime, "rmpeer": ipam.rmpeer, "reset": ipam.reset}[args.command](args)
        case "multicast":
            from ripstop.cli import multicast

            return multicast.run(args)
        case "dns":
            from ripstop.cli import dns

            return dns.run(args)
        case "cni":
            from ripstop.cli import cni

            return cni.run(args)
        case "kubernetes":
            from ripstop.kubernetes import command as kubernetes

            return kubernetes.run(args)
        case "report" | "version":
            from ripstop.cli import report

            return {"report": report.report, "version": report.version}[args.command](args)
        case "lab":
            from ripstop.lab import command

            return command.run(args)
        case _:
            raise AssertionError(f"no code for command {args.command}")


def _complain(text: str, code: int) -> int:
    from ripstop.cli.output import safe

    print(f"ripstop: {safe(text)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
