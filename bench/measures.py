"""What is measured on one way, each as a function from a way to named numbers."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.ways import Way
from ripstop.lab import traffic

USER_HZ = 100  # clock ticks a second in /proc/stat, on x86-64 and arm64
GROUP = "239.192.7.1"  # organization-local scope: RFC 2365, section 6.2
Numbers = dict[str, float]
Measure = Callable[[Way, float], Numbers]


@dataclass(frozen=True, slots=True)
class Busy:
    """Processor time that the whole machine has spent, in clock ticks."""

    busy: int

    @classmethod
    def now(cls) -> "Busy":
        """Read /proc/stat.  Source: proc_stat(5); guest time is part of user time."""
        ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return cls(sum(ticks) - ticks[3] - ticks[4])  # idle, and idle while a disk works


def tcp(streams: int) -> Measure:
    """Return the measure of TCP throughput: Gbit/s, and Gbit/s per busy core of the whole machine."""

    def measure(way: Way, about: float) -> Numbers:
        seconds = max(1, round(about))
        before, start = Busy.now(), time.monotonic()
        gbps = traffic.iperf(way.source, way.target, way.target.address(), streams=streams, seconds=seconds)
        after, end = Busy.now(), time.monotonic()
        cores = _cores(before, after, end - start)
        share = seconds / (end - start)  # the rest of the time is starting and ending iperf3
        return {f"tcp{streams}_gbps": gbps, f"tcp{streams}_gbps_per_core": gbps * share / cores}

    return measure


def round_trip(protocol: str) -> Measure:
    """Return the measure of the round trip of a small message, in microseconds.

    Both ends share one processor: else most of the time is the wake-up of an idle processor, which differs from
    one moment to the next and is the same for all ways.
    """

    def measure(way: Way, seconds: float) -> Numbers:
        got = traffic.round_trips(way.source, way.target, way.target.address(), protocol, seconds, cpu=0)
        return {f"{protocol}_rr_p50_us": got.p50_us, f"{protocol}_rr_p99_us": got.p99_us}

    return measure


def udp(way: Way, seconds: float) -> Numbers:
    """Send UDP as fast as possible to one receiver; packets/s that arrived, and share that did not."""
    with traffic.feeding(way.source, [way.target], way.target.address(), seconds=seconds, apart=True) as feed:
        sent, received = feed.finish()
    return {"udp_pps": received[0].pps, "udp_lost": 1 - received[0].received / sent.sent}


def multicast(way: Way, seconds: float) -> Numbers:
    """Send multicast as fast as possible to two hosts; packets/s that arrived at each on average."""
    targets = [way.target, way.second]
    with traffic.feeding(way.source, targets, GROUP, group=True, seconds=seconds, apart=True) as feed:
        sent, received = feed.finish()
    return {
        "multicast_pps": sum(got.pps for got in received) / len(received),
        "multicast_lost": 1 - sum(got.received for got in received) / len(received) / sent.sent,
    }


MEASURES: Mapping[str, Measure] = {
    "tcp1": tcp(1),
    "tcp8": tcp(8),
    "icmp_rr": round_trip("icmp"),
    "udp_rr": round_trip("udp"),
    "tcp_rr": round_trip("tcp"),
    "udp": udp,
    "multicast": multicast,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a measure takes."""

    seconds: float
    slices: int = 1  # how often all ways are measured in each round


# a round trip is measured in short slices: the speed of a shared machine changes from one second to the next
PLANS: Mapping[str, Plan] = {
    "tcp1": Plan(3.0),
    "tcp8": Plan(3.0),
    "icmp_rr": Plan(0.3, slices=4),
    "udp_rr": Plan(0.3, slices=4),
    "tcp_rr": Plan(0.3, slices=4),
    "udp": Plan(2.0),
    "multicast": Plan(2.0),
}


def background(seconds: float = 2.0) -> float:
    """Return how many cores are busy while nothing is measured."""
    before, start = Busy.now(), time.monotonic()
    time.sleep(seconds)
    return _cores(before, Busy.now(), time.monotonic() - start)


def _cores(before: Busy, after: Busy, seconds: float) -> float:
    """Return how many cores were busy on average."""
    return (after.busy - before.busy) / USER_HZ / seconds
