"""How long things take: from a join to the first packet, from a leave to the last, and one way."""

from collections.abc import Sequence
from statistics import median, quantiles

import msgspec

from bench.multicast.ways import Way, group
from ripstop.lab import traffic
from ripstop.lab.lab import Lab
from ripstop.lab.plan import LabError

FEED = 10_000.0  # packets a second while somebody joins and leaves
RATE = 5000.0  # packets a second whose time is taken
GROUP = "239.192.40.1"


class _Joins(msgspec.Struct):
    late: int
    joins: list[tuple[float, int]]  # ms, hundredths of a second stolen
    leaves: list[tuple[float, int]]


class _OneWay(msgspec.Struct):
    received: int
    p50_us: float
    p99_us: float


def one_way(way: Way, packets: int) -> dict[str, float]:
    """Take the time of packets to one receiver on another host, which spins on a processor of its own."""
    [receiver] = way.receivers(1, 1)
    command = [traffic.program("one_way"), "recv", f"--count={packets}", "--cpu=1", group(1), traffic.PORT]
    send = [traffic.program("one_way"), "send", f"--rate={RATE:g}", "--cpu=0", group(1), traffic.PORT]
    with traffic.serving(receiver, command) as process:
        sender = way.source.start(send)
        try:
            printed, _ = process.communicate(timeout=traffic.END_TIMEOUT + packets / RATE)
        finally:
            sender.terminate()
            sender.communicate()
    got = msgspec.json.decode(printed, type=_OneWay)
    return {"one_way_p50_us": got.p50_us, "one_way_p99_us": got.p99_us}


def joins(lab: Lab, count: int) -> dict[str, float]:
    """Join and leave again and again on another host while a feed runs, and take the times.

    Those while a processor of this machine was another machine's tell more of that one than of us: they are counted,
    and in `all_`, but not in the times that are judged.
    """
    feed = [traffic.program("udp_send"), "--size=200", f"--rate={FEED:g}", "--seconds=600", "--interface=eth0", GROUP,
            traffic.PORT]  # fmt: skip
    sender = lab.container("h1c1").start(feed)
    try:
        done = lab.container("h2c1").run([traffic.program("join_time"), f"--joins={count}", GROUP], timeout=count * 2.0)
    finally:
        sender.terminate()
        sender.communicate()
    got = msgspec.json.decode(done.stdout.splitlines()[-1], type=_Joins)
    return {"join_late": got.late, **_times("join", got.joins), **_times("leave", got.leaves)}


def _times(name: str, samples: Sequence[tuple[float, int]]) -> dict[str, float]:
    every = [ms for ms, _ in samples]
    own = [ms for ms, stolen in samples if not stolen]
    if len(own) < len(every) / 4:
        raise LabError(f"other machines took a processor in {len(every) - len(own)} of {len(every)}; try again later")
    return {
        f"{name}_p50_ms": median(own),
        f"{name}_p99_ms": _p99(own),
        f"{name}_max_ms": max(own),
        f"{name}_stolen": float(len(every) - len(own)),
        f"{name}_all_p50_ms": median(every),
        f"{name}_all_p99_ms": _p99(every),
    }


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98]
