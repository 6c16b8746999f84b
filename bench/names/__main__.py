"""`make bench-names`: measure how fast names are answered, and say what became of each bar."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from bench import command, facts, report, results
from bench.ipam import daemon
from bench.names import load, pace, swap, table
from bench.names.servers import DNSMASQ, ECHO, RIPSTOP, SERVERS, Running, questions
from bench.results import Results, Sample, Target

PREFIX = "names-"
FEW, MANY = 1000, 100_000  # names
ASKED = 20_000  # questions, asked again and again
IDLE = "idle"  # no flood


def _bar(number: str, against: str, want: float, *, at_most: bool = False) -> Target:
    return Target(number, against, want, kind="ratio" if against else "value", at_most=at_most, of=RIPSTOP)


TARGETS = (
    _bar("qps", DNSMASQ, 1.0),
    _bar("p99_ms", "", 2.0, at_most=True),
    _bar("many_qps", DNSMASQ, 1.0),
    _bar("many_share", "", 0.9),
    _bar("start_s", "", 2.0, at_most=True),
    _bar("learn_s", "", 2.0, at_most=True),
    _bar("swap_out_worst_ms", "", 200.0, at_most=True),
)
SWAPS = 20
ROWS = {
    "qps": ("1,000 names, answers/s", "1/s", "{:,.0f}"),
    "busy_us": ("  processor time of one", "µs", "{:.2f}"),
    "p50_ms": ("  at half of its own peak, p50", "ms", "{:.3f}"),
    "p99_ms": ("  p99", "ms", "{:.3f}"),
    "waited_ms": ("  other processes had its processor, of each second", "ms", "{:.0f}"),
    "stolen_ms": ("  other machines had any processor, of each second", "ms", "{:.0f}"),
    "retaken": ("  taken again, as they had it longer, slices for each that counts", "", "{:.1f}"),
    "same_p50_ms": ("  at half of the lower peak, p50", "ms", "{:.3f}"),
    "same_p99_ms": ("  p99", "ms", "{:.3f}"),
    "same_waited_ms": ("  other processes had its processor, of each second", "ms", "{:.0f}"),
    "same_stolen_ms": ("  other machines had any processor, of each second", "ms", "{:.0f}"),
    "same_retaken": ("  taken again, as they had it longer, slices for each that counts", "", "{:.1f}"),
    "resident_mb": ("  memory", "MB", "{:.1f}"),
    "many_qps": ("100,000 names, answers/s", "1/s", "{:,.0f}"),
    "many_busy_us": ("  processor time of one", "µs", "{:.2f}"),
    "many_share": ("  share of that with 1,000", "", "{:.2f}"),
    "start_s": ("  start to first answer", "s", "{:.2f}"),
    "many_resident_mb": ("  memory, all asked about", "MB", "{:.1f}"),
    "learn_s": ("100,000 names of 50 hosts learnt by one that starts", "s", "{:.2f}"),
    "learn_cpu_s": ("  processor time", "s", "{:.2f}"),
    "longest_step_ms": ("  the longest the daemon does nothing else", "ms", "{:.0f}"),
    "table_mb": ("  memory in the daemon", "MB", "{:.1f}"),
    "gossip_mb": ("  sent by gossip", "MB", "{:.1f}"),
    "change_bytes": ("one more name on a host that has 32,000, sent", "B", "{:,.0f}"),
    "swap_out_ms": ("one of three addresses taken out, on three hosts", "ms", "{:.1f}"),
    "swap_out_worst_ms": ("  worst", "ms", "{:.1f}"),
    "swap_in_ms": ("  and put in again", "ms", "{:.1f}"),
    "swap_in_worst_ms": ("  worst", "ms", "{:.1f}"),
    "own_p50_ms": ("control plane meanwhile: an allocation, p50", "ms", "{:.2f}"),
    "own_p99_ms": ("  p99", "ms", "{:.2f}"),
}


def main() -> int:
    """Measure, and print what came of it."""
    args = command.parse(command.parser_of("bench.names", __doc__))
    return command.end(lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    machine = facts.gather()
    rounds, seconds = (1, 1.0) if args.quick else (args.rounds, 3.0)
    with tempfile.TemporaryDirectory() as directory:
        few, many = Path(directory, "few"), Path(directory, "many")
        rng = Random(1)
        questions([rng.randrange(FEW) for _ in range(ASKED)], few)
        questions(rng.sample(range(MANY), ASKED), many)
        names = [_round(number, few, many, seconds) for number in range(rounds)]
        peaks = {way: numbers["qps"] for way, numbers in results.medians(names).items()}
        samples: dict[str, list[Sample]] = {
            "names": names,
            "pace": pace.measure(peaks, FEW, few, 2 if args.quick else rounds * pace.SLICES),
            "flood": [_flood(few, 100 if args.quick else 1000)],
            "table": [{RIPSTOP: table.measure(MANY // 10 if args.quick else MANY)}],
            "swap": [{RIPSTOP: swap.measure(3 if args.quick else SWAPS)}],
        }
    medians: dict[str, dict[str, float]] = {}
    for taken in samples.values():
        for way, numbers in results.medians(taken).items():
            medians.setdefault(way, {}).update(numbers)
    ratios = {
        number: {f"{RIPSTOP}/{DNSMASQ}": results.ratio(samples[measure], number, RIPSTOP, DNSMASQ)}
        for measure in ("names", "pace")
        for number in samples[measure][0][RIPSTOP]
        if all(sample[DNSMASQ][number] for sample in samples[measure])
    }
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    settings = {"rounds": str(rounds), "seconds": str(seconds), "outstanding": "100", "asked": str(ASKED)}
    judged = results.judge(samples, TARGETS)
    done = Results(date, args.quick, machine, settings, medians, ratios, judged, samples)
    print(f"\n{_table(done)}\n\n{report.verdicts(done)}")
    if not args.dry:
        print(f"\nwritten to {report.save(done, args.directory, prefix=PREFIX, draw=report.nothing)}")


def _round(number: int, few: Path, many: Path, seconds: float) -> Sample:
    sample = results.in_turn((RIPSTOP, DNSMASQ), number, lambda way: _measure(way, few, many, seconds))
    print(f"round {number + 1}: " + ", ".join(f"{way} {sample[way]['qps']:,.0f}/s" for way in sample), flush=True)
    return sample


def _measure(way: str, few: Path, many: Path, seconds: float) -> dict[str, float]:
    """Return all numbers of one server; names are asked about once before it counts."""
    with SERVERS[way](FEW) as server:
        numbers = _peak(server, few, seconds)
        numbers["resident_mb"] = server.resident_mb
    with SERVERS[way](MANY) as server:
        numbers |= {f"many_{number}": value for number, value in _peak(server, many, seconds).items()}
        numbers["many_share"] = numbers["many_qps"] / numbers["qps"]
        numbers["start_s"], numbers["many_resident_mb"] = server.started, server.resident_mb
    return numbers


def _peak(server: Running, asked: Path, seconds: float) -> dict[str, float]:
    load.once(server.port, asked)
    before = server.busy
    numbers = load.peak(server.port, asked, seconds)
    numbers["busy_us"] = (server.busy - before) / (numbers["qps"] * seconds) * 1e6
    return numbers


def _flood(few: Path, allocations: int) -> Sample:
    """Return what an allocation takes, without a flood of questions and with one on each server."""
    sample = {IDLE: _control_plane(allocations)}
    for way in (RIPSTOP, DNSMASQ):
        with SERVERS[way](FEW) as server, load.flood(server.port, few):
            sample[way] = _control_plane(allocations)
    return sample


def _control_plane(allocations: int) -> dict[str, float]:
    measured = daemon.measure(allocations, 10)
    return {number: measured[number] for number in ("own_p50_ms", "own_p99_ms")}


def _table(done: Results) -> str:
    ways: Sequence[str] = (RIPSTOP, DNSMASQ, ECHO, IDLE)
    lines = [["", "", *ways, f"{RIPSTOP}/{DNSMASQ}"]]
    for number, (title, unit, form) in ROWS.items():
        values = [form.format(done.medians[way][number]) if number in done.medians.get(way, {}) else "" for way in ways]
        shown = done.ratios.get(number, {}).values()
        lines.append([title, unit, *values, *(f"{ratio:.2f}" for ratio in shown or ()), *([] if shown else [""])])
    return report.aligned(lines)


if __name__ == "__main__":
    sys.exit(main())
