"""What is lost: streams at a rate, and many packets at a share of the highest rate without loss."""

import contextlib
from collections.abc import Callable

from bench.multicast.ways import Way, group
from ripstop.lab import traffic
from ripstop.lab.lab import Lab

SIZE = 1300  # bytes
STREAM = 10e6 / 8 / SIZE  # packets a second of 10 Mbit/s
STREAMS = 10
SHARE = 0.7  # of the highest rate without loss


def each_its_own(lab: Lab, times: float, seconds: float) -> dict[str, float]:
    """Send ten streams to ten groups, each with one receiver, all on the other host."""
    source = lab.container("h1c1")
    with contextlib.ExitStack() as stack:
        feeds = [
            stack.enter_context(
                traffic.feeding(source, [lab.container(f"h2c{i}")], f"239.192.30.{i}", group=True, size=SIZE,
                                rate=STREAM * times, seconds=seconds, port=str(7700 + i))
            )
            for i in range(1, STREAMS + 1)
        ]  # fmt: skip
        done = [feed.finish() for feed in feeds]
    mbps = sum(sent.pps for sent, _ in done) * SIZE * 8 / 1e6
    return {f"own_x{times:g}_mbps": mbps, f"own_x{times:g}_lost": float(sum(got.lost for _, [got] in done))}


def all_to_every(lab: Lab, seconds: float) -> dict[str, float]:
    """Send all groups to everybody, then ten times that, or as far as it goes: halved until nothing is lost.

    A sender that cannot send faster takes longer, so the rate is what was sent, not what was asked for.
    """
    mbps, lost = _all_to_every(lab, 1.0, seconds)
    found = {"all_x1_mbps": mbps, "all_x1_lost": float(lost)}
    times = 10.0
    while True:
        mbps, lost = _all_to_every(lab, times, seconds / times * 2)
        if not lost or times <= 1:
            return found | {"all_highest_mbps": mbps, "all_highest_lost": float(lost)}
        times /= 2


def bisect(lossless: Callable[[float], bool], top: float, steps: int) -> float:
    """Return the highest of the tried rates at which nothing was lost, 0 if there was none.

    Args:
        lossless: whether nothing is lost at a rate.
        top: where to begin; if nothing is lost there, it is the answer.
        steps: how often to halve what is left.
    """
    if lossless(top):
        return top
    low, high = 0.0, top
    for _ in range(steps):
        middle = (low + high) / 2
        if lossless(middle):
            low = middle
        else:
            high = middle
    return low


def long_run(way: Way, packets: int, seconds: float) -> dict[str, float]:
    """Find the highest rate without loss to two hosts, and send many packets at 70 % of it."""
    receivers = way.receivers(2, 2)

    def tried(rate: float) -> tuple[float, int]:
        with traffic.feeding(
            way.source, receivers, group(2), group=True, size=SIZE, rate=rate, seconds=seconds
        ) as feed:
            sent, received = feed.finish()
        return sent.pps, sum(got.lost for got in received)

    top, lost = tried(0.0)  # flat out; the sender's processor carries packets to the receivers' sockets
    best = top if not lost else bisect(lambda rate: not tried(rate)[1], top, steps=6)
    with traffic.feeding(
        way.source, receivers, group(2), group=True, size=SIZE, rate=best * SHARE, count=packets
    ) as feed:
        sent, received = feed.finish()
    return {
        "lossless_pps": best,
        "long_pps": sent.pps,
        "long_packets": float(sent.sent),
        "long_lost": float(sum(got.lost for got in received)),
        "long_reordered": float(sum(got.reordered for got in received)),
    }


def _all_to_every(lab: Lab, times: float, seconds: float) -> tuple[float, int]:
    """Send ten groups, all of which each of ten receivers has joined; Mbit/s sent, and how many packets were lost."""
    targets = [lab.container(f"h2c{i}") for i in range(1, STREAMS + 1)]
    rate = STREAM * times * STREAMS
    with traffic.feeding(
        lab.container("h1c1"),
        targets,
        "239.192.31.1",
        group=True,
        size=SIZE,
        rate=rate,
        seconds=seconds,
        groups=STREAMS,
    ) as feed:
        sent, received = feed.finish()
    return sent.pps * SIZE * 8 / 1e6, sum(got.lost for got in received)
