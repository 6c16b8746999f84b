"""How long answers take at a steady rate: in many short slices, all servers in turn, as others share the machine.

A slice in which another machine had a processor of ours for long tells more of that one than of any server, so it is
taken again; how often is told.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from bench import results
from bench.names import load
from bench.names.servers import DNSMASQ, ECHO, RIPSTOP, SERVERS, Running
from bench.results import Sample

SLICE = 1.0  # seconds, the least that dnsperf does
SLICES = 4  # of each server in each round
MAY_BE_STOLEN = 50.0  # milliseconds of a slice
TRIES = 5  # of which the last counts, whatever was stolen
WAYS = (RIPSTOP, DNSMASQ, ECHO)


def measure(peaks: Mapping[str, float], names: int, asked: Path, slices: int) -> list[Sample]:
    """Ask each server at half of its own peak, and all of them at half of the lowest."""
    slowest = min(peaks.values())
    with ExitStack() as stack:
        running = {way: stack.enter_context(SERVERS[way](names)) for way in WAYS}
        for server in running.values():
            load.once(server.port, asked)
        taken: list[Sample] = []
        for number in range(slices):
            own = results.in_turn(list(peaks), number, lambda way: _slice(running[way], asked, peaks[way] / 2))
            same = results.in_turn(WAYS, number, lambda way: _slice(running[way], asked, slowest / 2))
            alike = {way: {f"same_{key}": value for key, value in same[way].items()} for way in WAYS}
            taken.append({way: {**own.get(way, {}), **alike[way]} for way in WAYS})
    return taken


def _slice(server: Running, asked: Path, rate: float) -> dict[str, float]:
    """Return how long answers took, and what kept the server from its work: other processes, other machines."""
    for retaken in range(TRIES):
        waited, stolen = server.waited, _stolen()
        numbers = load.latency(server.port, asked, SLICE, rate)
        numbers["waited_ms"] = (server.waited - waited) / SLICE * 1e3
        numbers["stolen_ms"] = (_stolen() - stolen) / SLICE * 1e3
        numbers["retaken"] = float(retaken)
        if numbers["stolen_ms"] <= MAY_BE_STOLEN:
            break
    return numbers


def _stolen() -> float:
    """Return for how many seconds a processor of ours was another machine's: proc_stat(5)."""
    fields = Path("/proc/stat").read_text().split(maxsplit=9)
    return int(fields[8]) / 100
