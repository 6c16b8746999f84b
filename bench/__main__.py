"""`make bench`: measure all ways in turn and say how they compare."""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from bench import command, facts, measures, report, results
from bench.measures import MEASURES, PLANS
from bench.results import Results, Sample
from bench.ways import KEYS, Way, opened

NOISE = 0.1  # busy cores before anything is measured that are worth a warning


def main() -> int:
    """Measure, and print what came of it."""
    args = _parse()
    return command.end(lambda: _show(_run(args), args))


def _parse() -> argparse.Namespace:
    parser = command.parser_of("bench", __doc__)
    parser.add_argument("--ways", default=",".join(KEYS), help="only these (default: %(default)s)")
    parser.add_argument("--measures", default=",".join(MEASURES), help="only these (default: %(default)s)")
    args = command.parse(parser)
    args.ways, args.measures = args.ways.split(","), args.measures.split(",")
    if unknown := sorted((set(args.ways) - set(KEYS)) | (set(args.measures) - set(MEASURES))):
        parser.error(f"unknown: {', '.join(unknown)}")
    return args


def _show(done: Results, args: argparse.Namespace) -> None:
    print()
    print(report.table(done))
    print()
    print(report.verdicts(done))
    if not args.dry:
        print(f"\nwritten to {report.save(done, args.directory)}")


def _run(args: argparse.Namespace) -> Results:
    machine = facts.gather()
    start = time.monotonic()
    samples: dict[str, list[Sample]] = {measure: [] for measure in args.measures}
    with opened([key for key in KEYS if key in args.ways], lambda line: print(line, file=sys.stderr)) as ways:
        machine["background"] = f"{measures.background():.2f}"  # idle daemons included
        if float(machine["background"]) > NOISE:
            print(f"something else runs here: {machine['background']} cores are busy; expect noise", file=sys.stderr)
        for number in range(1 if args.quick else args.rounds):
            for measure in args.measures:
                samples[measure] += _sample(measure, ways, number, quick=args.quick)
                print(
                    f"{time.monotonic() - start:4.0f} s  round {number + 1}  {measure}: {_latest(samples[measure])}",
                    flush=True,
                )
    by_way: dict[str, dict[str, float]] = {way.key: {} for way in ways}
    ratios: dict[str, dict[str, float]] = {}
    for taken in samples.values():
        for key, numbers in results.medians(taken).items():
            by_way[key] |= numbers
        ratios |= results.ratios(taken)
    settings = {name: f"{plan.seconds:g} s × {plan.slices}" for name, plan in PLANS.items()}
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Results(date, args.quick, machine, settings, by_way, ratios, results.judge(samples), samples)


def _sample(measure: str, ways: Sequence[Way], number: int, *, quick: bool) -> list[Sample]:
    """Measure all ways one right after the other, beginning with another one each round."""
    plan = PLANS[measure]
    seconds, slices = (0.3, 1) if quick else (plan.seconds, plan.slices)
    by_key = {way.key: way for way in ways}
    return [
        results.in_turn(list(by_key), number, lambda key: MEASURES[measure](by_key[key], seconds))
        for _ in range(slices)
    ]


def _latest(samples: Sequence[Sample]) -> str:
    first = {way: next(iter(numbers.values())) for way, numbers in samples[-1].items()}
    return "  ".join(f"{way} {value:,.1f}" for way, value in first.items())


if __name__ == "__main__":
    sys.exit(main())
