"""`make bench-cni`: measure how long containers wait for their interface, and say what became of each bar."""

import argparse
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from uuid import uuid4

from bench import command, facts, report, results
from bench.cni.plugins import Plugin, burst, containers, pair
from bench.results import Results, Sample, Target
from bench.ways import DIRECT, KERNEL
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab

PREFIX = "cni-"
EACH = 100  # containers of one round, one after the other
AT_ONCE = 250
NUMBERS = ("add_p50_ms", "add_p99_ms", "del_p50_ms", "del_p99_ms")
BURST = ("burst_add_s", "burst_add_failed", "burst_del_s", "burst_del_failed", "rss_mb")


def _at_most(number: str, want: float) -> Target:
    return Target(number, "", want, kind="value", at_most=True)


TARGETS = (
    *(Target(number, KERNEL, 1.0, at_most=True) for number in NUMBERS),
    _at_most("burst_add_s", 5.0),
    _at_most("burst_add_failed", 0),
    _at_most("burst_del_s", 5.0),
    _at_most("burst_del_failed", 0),
    _at_most("rss_mb", 100),
)


def main() -> int:
    """Measure, and print what came of it."""
    parser = command.parser_of("bench.cni", __doc__)
    args = command.parse(parser)
    return command.end(lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    rounds, each, at_once = (1, 10, 20) if args.quick else (args.rounds, EACH, AT_ONCE)
    machine = facts.gather()
    with Lab(hosts=1, name=f"b{uuid4().hex[:6]}") as lab:
        host = lab.host("h1")
        plugins = pair(host)
        with containers(host, max(each, at_once)) as names:
            for plugin in plugins:  # what is made once and for all
                plugin.call("ADD", names[0])
                plugin.call("DEL", names[0])
            turns = [_round(plugins, names[:each], number) for number in range(rounds)]
            bursts: list[Sample] = [{plugin.key: _burst(plugin, names[:at_once], host) for plugin in plugins}]
    samples = {"one_after_the_other": turns, "at_once": bursts}
    medians = {
        way: {**results.medians(turns)[way], **results.medians(bursts)[way]} for way in (DIRECT, KERNEL)
    }  # fmt: skip
    ratios = {number: {f"{DIRECT}/{KERNEL}": results.ratio(turns, number, DIRECT, KERNEL)} for number in NUMBERS}
    judged = results.judge(samples, TARGETS)
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    settings = {"rounds": str(rounds), "each": str(each), "at_once": str(at_once), KERNEL: "bridge + host-local"}
    done = Results(date, args.quick, machine, settings, medians, ratios, judged, samples)
    print(f"{'':<18} {'ripstop':>10} {'bridge':>10} {'ratio':>7}")
    for number in (*NUMBERS, *BURST):
        shown = f"{ratios[number][f'{DIRECT}/{KERNEL}']:7.2f}" if number in ratios else ""
        print(f"{number:<18} {medians[DIRECT][number]:>10.2f} {medians[KERNEL][number]:>10.2f} {shown}")
    print(f"\n{report.verdicts(done)}")
    if not args.dry:
        print(f"\nwritten to {report.save(done, args.directory, prefix=PREFIX, draw=report.nothing)}")


def _round(plugins: tuple[Plugin, Plugin], names: list[str], number: int) -> Sample:
    """Add and remove containers one after the other, each by both plugins, in turn the one or the other first."""
    took: dict[str, dict[str, list[float]]] = {plugin.key: {"ADD": [], "DEL": []} for plugin in plugins}
    for verb in ("ADD", "DEL"):
        for turn, name in enumerate(names):
            for plugin in plugins if (turn + number) % 2 else reversed(plugins):
                took[plugin.key][verb].append(plugin.call(verb, name))
    return {
        key: {
            f"{verb.lower()}_p{percent}_ms": quantiles(times, n=100)[percent - 1]
            for verb, times in found.items()
            for percent in (50, 99)
        }
        for key, found in took.items()
    }


def _burst(plugin: Plugin, names: list[str], host: Host) -> dict[str, float]:
    """Add all containers at once, and remove them at once."""
    added, add_failed = burst(plugin, "ADD", names)
    resident = _resident(host)
    removed, del_failed = burst(plugin, "DEL", names)
    return {
        "burst_add_s": added, "burst_add_failed": add_failed, "burst_del_s": removed, "burst_del_failed": del_failed,
        "rss_mb": resident,
    }  # fmt: skip


def _resident(host: Host) -> float:
    """Return how much memory the daemon has, in MB."""
    status = Path(f"/proc/{host.daemon_pid()}/status").read_text()
    found = re.search(r"^VmRSS:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    sys.exit(main())
