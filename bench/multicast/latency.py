"""How long things take: from a join to the first packet, from a leave to the last, and one way."""

from statistics import median

import msgspec

from bench.multicast.ways import Way, group
from ripstop.lab import traffic
from ripstop.lab.lab import Lab

FEED = 10_000.0  # packets a second while somebody joins and leaves
RATE = 5000.0  # packets a second whose time is taken
GROUP = "239.192.40.1"


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


def joins(lab: Lab, count: int, rounds: int) -> dict[str, float]:
    """Join and leave again and again on another host while a feed runs; times are medians of the rounds'.

    One stall of a shared machine would else be the 99th percentile of all.
    """
    feed = [traffic.program("udp_send"), "--size=200", f"--rate={FEED:g}", "--seconds=600", "--interface=eth0", GROUP,
            traffic.PORT]  # fmt: skip
    sender = lab.container("h1c1").start(feed)
    try:
        got = [_join_round(lab, count) for _ in range(rounds)]
    finally:
        sender.terminate()
        sender.communicate()
    names = [f"{what}_{number}" for what in ("join", "leave") for number in ("p50", "p99", "max")]
    times = {f"{name}_ms": median(one[name] for one in got) for name in names}
    return times | {"join_late": sum(one["late"] for one in got)}


def _join_round(lab: Lab, count: int) -> dict[str, float]:
    done = lab.container("h2c1").run([traffic.program("join_time"), f"--joins={count}", GROUP], timeout=120.0)
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=dict[str, float])
