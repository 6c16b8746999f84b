"""`make bench-ipam`: measure addresses and say what became of each bar."""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import command, facts, report, results
from bench.ipam import daemon, donation, ring
from bench.results import Results, Target
from bench.ways import DIRECT

PREFIX = "ipam-"
PARTS = ("daemon", "donation", "ring")
ROUNDS = 5  # of `daemon`: a stall of the disk belongs to the round in which it came, and the median round is judged


def _at_most(number: str, want: float) -> Target:
    return Target(number, "", want, kind="value", at_most=True)


TARGETS = (
    _at_most("own_p50_ms", 1),
    _at_most("burst_p99_ms", 20),
    _at_most("donation_ms", 50),
    _at_most("state_kb_busy", 1024),
    _at_most("merge_ms_busy", 50),
    _at_most("tokens_per_peer", 2),
)


def main() -> int:
    """Measure, and print what came of it."""
    args = _parse()
    return command.end(lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "daemon": lambda: daemon.measure(100 if args.quick else 400, 250),
        "donation": lambda: donation.measure(3 if args.quick else 20),
        "ring": lambda: ring.measure(*((50, 5000) if args.quick else (1000, 100_000))),
    }
    samples: dict[str, list[results.Sample]] = {}
    machine = facts.gather()
    for name in args.only:
        samples[name] = [{DIRECT: parts[name]()} for _ in range(ROUNDS if name == "daemon" else 1)]
        for number, value in results.medians(samples[name])[DIRECT].items():
            print(f"{number:<18} {value:>12,.2f}", flush=True)
    medians = {DIRECT: {n: value for taken in samples.values() for n, value in results.medians(taken)[DIRECT].items()}}
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    judged = results.judge(samples, TARGETS)
    done = Results(date, args.quick, machine, {"at_once": "250"}, medians, {}, judged, samples)
    print(f"\n{report.verdicts(done)}")
    if not args.dry:
        print(f"\nwritten to {report.save(done, args.directory, prefix=PREFIX, draw=report.nothing)}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.ipam", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="little of everything, to see that it works; proves nothing")
    add("--only", default=",".join(PARTS), metavar="PARTS", help="only these (default: %(default)s)")
    add("--directory", type=Path, default=report.DIRECTORY, help="where results go (default: bench/results)")
    add("--dry", action="store_true", help="write no files")
    args = parser.parse_args()
    args.only = args.only.split(",")
    if unknown := sorted(set(args.only) - set(PARTS)):
        parser.error(f"unknown: {', '.join(unknown)}")
    return args


if __name__ == "__main__":
    sys.exit(main())
