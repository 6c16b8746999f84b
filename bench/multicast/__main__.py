"""`make bench-multicast`: measure all parts in turn and say what became of each bar."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bench import command, facts, measures, results
from bench import report as common
from bench.multicast import bars, copies, latency, loss, rates, report, scale, ways
from bench.multicast.rates import JUDGED, SCENARIOS
from bench.results import Results, Sample
from bench.ways import DIRECT
from ripstop.lab.lab import Lab

PARTS = ("rates", "copies", "loss", "latency", "scale")
PREFIX = "multicast-"
SLICE = 0.3  # seconds: a shared machine changes its speed within one
SLICES = 8  # turns of each way in one round, where a bar is about the ratio of two rates


@dataclass(frozen=True, slots=True)
class Run:
    """What is measured, how long, and what came of it so far."""

    only: frozenset[str]
    rounds: int
    quick: bool
    packets: int  # of the long run
    start: float = field(default_factory=time.monotonic)
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def wants(self, *names: str) -> bool:
        """Whether any of these is to be measured."""
        return not self.only.isdisjoint(names)

    def seconds(self, about: float) -> float:
        """How long to measure something."""
        return 0.3 if self.quick else about

    def packets_of(self, about: int) -> int:
        """How many packets to measure something with."""
        return about // 10 if self.quick else about

    def alternate(
        self, measure: str, keys: Sequence[str], number: int, take: Callable[[str], dict[str, float]]
    ) -> None:
        """Measure all of `keys`, in the order of this round."""
        self.note(measure, results.in_turn(keys, number, take))

    def alone(self, measure: str, numbers: Mapping[str, float]) -> None:
        """Take down numbers of Ripstop alone."""
        self.note(measure, {DIRECT: numbers})

    def note(self, measure: str, sample: Sample) -> None:
        """Take a sample down, and show it."""
        self.samples.setdefault(measure, []).append(sample)
        shown = "  ".join(f"{way} {next(iter(numbers.values())):,.1f}" for way, numbers in sample.items())
        print(f"{time.monotonic() - self.start:4.0f} s  {measure}: {shown}", flush=True)


def main() -> int:
    """Measure, and print what came of it."""
    args = _parse()
    return command.end(lambda: _show(_run(args), args))


def _parse() -> argparse.Namespace:
    parser = command.parser_of("bench.multicast", __doc__)
    only = f"parts, or scenarios of rates: {', '.join(SCENARIOS)} (default: %(default)s)"
    parser.add_argument("--only", default=",".join(PARTS), metavar="NAMES", help=only)
    packets = "of the long run (default: 10,000,000; with --quick 100,000)"
    parser.add_argument("--packets", type=int, help=packets)
    args = command.parse(parser)
    args.only = frozenset(args.only.split(","))
    args.packets = args.packets or (10**5 if args.quick else 10**7)
    if unknown := sorted(args.only - {*PARTS, *SCENARIOS}):
        parser.error(f"unknown: {', '.join(unknown)}")
    return args


def _show(done: Results, args: argparse.Namespace) -> None:
    print(f"\n{report.tables(done)}\n\n{common.verdicts(done)}")
    if not args.dry:
        print(f"\nwritten to {common.save(done, args.directory, prefix=PREFIX, draw=report.chart)}")


def _run(args: argparse.Namespace) -> Results:
    machine = facts.gather()
    machine["background"] = f"{measures.background():.2f}"
    run = Run(args.only, 1 if args.quick else args.rounds, args.quick, args.packets)
    if run.wants("rates", JUDGED):
        with ways.opened(_progress, ways.JUDGED_HOSTS) as (found, _):
            _rates(run, {way.key: way for way in found}, [JUDGED], SLICES)
    elsewhere = [name for name in SCENARIOS if name != JUDGED]
    if run.wants("rates", "copies", "loss", "latency", *elsewhere):
        with ways.opened(_progress) as (found, ours):
            _between_ways(run, {way.key: way for way in found}, ours)
    if run.wants("latency"):
        with ways.pair("joins") as lab:  # alone: what 74,000 memberships beside it have to say takes turns with it
            run.alone("joins", latency.joins(lab, 20 if run.quick else 300))
    if run.wants("loss", "scale"):
        keys = tuple(scale.LOADS) if run.wants("scale") else (scale.ONE,)
        with scale.opened(_progress, keys) as labs:
            _between_loads(run, labs)
    by_way: dict[str, dict[str, float]] = {}
    ratios: dict[str, dict[str, float]] = {}
    for taken in run.samples.values():
        for key, numbers in results.medians(taken).items():
            by_way.setdefault(key, {}).update(numbers)
        ratios |= results.ratios(taken)
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    settings = {
        "rounds": str(run.rounds),
        "packets": str(run.packets),
        "underlay_mtu": f"{ways.STANDARD} (judged, scale), {ways.JUMBO}",
        "kernel": "mdb",
    }
    judged = results.judge(run.samples, bars.TARGETS)
    return Results(date, args.quick, machine, settings, by_way, ratios, judged, run.samples)


def _between_ways(run: Run, by_key: Mapping[str, ways.Way], ours: Lab) -> None:
    _rates(run, by_key, [name for name in SCENARIOS if name != JUDGED and run.wants("rates", name)])
    for number in range(run.rounds):
        if run.wants("latency"):
            run.alternate("one_way", ways.KEYS, number, lambda key: latency.one_way(by_key[key], run.packets_of(5000)))
    if run.wants("copies"):
        packets = run.packets_of(2000)
        for members in copies.MEMBERS:
            wanted_copies = copies.expected(ours, members)
            counted = copies.measure(ours, members, packets)
            run.alone(f"copies_{members}", copies.numbers(members, counted, wanted_copies, packets))
    if run.wants("loss"):
        run.alone("long", loss.long_run(by_key[DIRECT], run.packets, run.seconds(1.5)))


def _rates(run: Run, by_key: Mapping[str, ways.Way], names: Sequence[str], slices: int = 1) -> None:
    for number in range(run.rounds * slices):
        for name in names:

            def rate(key: str, name: str = name) -> dict[str, float]:
                return rates.measure(name, by_key[key], run.seconds(1.0 if slices == 1 else SLICE))

            run.alternate(name, ways.KEYS, number, rate)


def _between_loads(run: Run, labs: Mapping[str, Lab]) -> None:
    if run.wants("scale"):
        daemons = {key: scale.Daemons.of(lab) for key, lab in labs.items()}
        for number in range(run.rounds * SLICES):
            run.alternate("scale", tuple(labs), number, lambda key: scale.rate(labs[key], SLICE))
        run.note("memory", {key: scale.memory(lab) | daemons[key].since() for key, lab in labs.items()})
    one = labs[scale.ONE]
    if run.wants("loss"):
        seconds = 1.0 if run.quick else 3.0
        for times in (1.0, 10.0):
            run.alone(f"own_x{times:g}", loss.each_its_own(one, times, seconds))
        run.alone("all", loss.all_to_every(one, seconds))


def _progress(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
