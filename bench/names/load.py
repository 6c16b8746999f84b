"""Questions by the second: dnsperf, and what it says."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from ripstop.core.errors import StartError

PROCESSOR = 0  # the load's own: left to the kernel, it shares one with the server now and then
_LATENCY = re.compile(r"^> \w+ \S+ \S+ ([0-9.]+)$", re.MULTILINE)


def peak(port: int, questions: Path, seconds: float) -> dict[str, float]:
    """Ask as fast as answers come, a hundred questions at a time; return answers/s and the share that was lost."""
    printed = _run(port, questions, seconds)
    return {
        "qps": _number(printed, "Queries per second"),
        "lost": _number(printed, "Queries lost") / max(1.0, _number(printed, "Queries sent")),
    }


def once(port: int, questions: Path) -> None:
    """Ask each question once."""
    _run(port, questions, 60, "-n", "1")


def latency(port: int, questions: Path, seconds: float, rate: float) -> dict[str, float]:
    """Ask at a steady rate; return how long answers take, in ms."""
    printed = _run(port, questions, seconds, "-Q", str(int(rate)), "-v")
    times = [float(text) * 1000 for text in _LATENCY.findall(printed)]
    if len(times) < 100:
        raise StartError(f"dnsperf heard {len(times)} answers only")
    cuts = quantiles(times, n=100)
    return {"p50_ms": cuts[49], "p99_ms": cuts[98]}


@contextmanager
def flood(port: int, questions: Path) -> Iterator[None]:
    """Ask as fast as answers come, meanwhile."""
    process = subprocess.Popen(_command(port, questions, 600), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _run(port: int, questions: Path, seconds: float, *more: str) -> str:
    # Memory: a pipe would have to be emptied meanwhile, and a disk makes dnsperf wait, which counts as the server's.
    with os.fdopen(os.memfd_create("dnsperf"), "w+") as output:
        subprocess.run([*_command(port, questions, seconds), *more], stdout=output, stderr=output, check=True)
        output.seek(0)
        return output.read()


def _command(port: int, questions: Path, seconds: float) -> list[str]:
    return ["taskset", "-c", str(PROCESSOR), "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(questions),
            "-l", str(int(seconds))]  # fmt: skip


def _number(printed: str, what: str) -> float:
    found = re.search(rf"{what}:\s+([0-9.]+)", printed)
    if found is None:
        raise StartError(f"dnsperf does not say {what!r}: {printed[-200:]}")
    return float(found[1])
