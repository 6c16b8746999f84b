"""How many packets a second arrive, in scenarios of sizes, receivers, groups and senders."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.multicast.ways import Way, group
from ripstop.lab import traffic

Numbers = dict[str, float]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of traffic."""

    title: str
    size: int = 1300  # of the payload, bytes
    receivers: int = 2
    hosts: int = 2  # on which they are
    groups: int = 1
    segments: int = 1  # that the sender hands to the kernel as one
    every: int = 0  # microseconds between two looks of the receivers; 0 = packets wake them


JUDGED = "judged"  # in labs of its own
SCENARIOS: Mapping[str, Scenario] = {
    "two": Scenario("1300 B, 1 → 2 hosts of 5"),
    "awake": Scenario("1300 B, 1 → 2, no wake-ups", every=200),
    "one": Scenario("1300 B, 1 → 1 host", receivers=1, hosts=1),
    "five": Scenario("1300 B, 1 → 5 on 5 hosts", receivers=5, hosts=5),
    "ten": Scenario("1300 B, 1 → 10 on 5 hosts", receivers=10, hosts=5),
    "small": Scenario("200 B, 1 → 2 hosts", size=200),
    "large": Scenario("8000 B (jumbo), 1 → 2 hosts of 5", size=8000),
    "gso": Scenario("1300 B by 40 (GSO), 1 → 2 hosts", segments=40),
    "gso_ten": Scenario("1300 B by 40 (GSO), 1 → 10 on 5", receivers=10, hosts=5, segments=40),
    "groups": Scenario("1300 B, 100 groups, 1 → 2 hosts", groups=100),
    JUDGED: Scenario("1300 B, 1 → 2 hosts of 2"),
}


def measure(name: str, way: Way, seconds: float) -> Numbers:
    """Send as fast as possible; packets/s and Mbit/s that arrived at each receiver, and the share that did not."""
    it = SCENARIOS[name]
    with traffic.feeding(
        way.source,
        way.receivers(it.receivers, it.hosts),
        group(it.hosts),
        group=True,
        size=it.size,
        seconds=seconds,
        groups=it.groups,
        segments=it.segments,
        every=it.every,
        apart=True,
    ) as feed:
        sent, received = feed.finish()
    pps = sum(got.pps for got in received) / len(received)
    return {
        f"{name}_pps": pps,
        f"{name}_mbps": pps * it.size * 8 / 1e6,
        f"{name}_lost": 1 - sum(got.received for got in received) / len(received) / sent.sent,
    }
