"""How many copies of a packet there are, and where, counted by capture."""

import contextlib
from collections.abc import Mapping

from ripstop.lab import traffic
from ripstop.lab.lab import Lab
from ripstop.lab.node import Node
from ripstop.lab.sniffer import sniffing

MEMBERS = (0, 1, 2, 4)  # hosts with a member, of the five that are not the sender's
RATE = 2000.0  # packets a second: a capture in Python keeps up


def expected(lab: Lab, members: int) -> dict[str, int]:
    """Return how many copies of each packet should pass every interface: those of hosts, then of containers."""
    wanted = {f"h{i}" for i in range(2, 2 + members)}
    at_hosts = {host.name: int(host.name in wanted) for host in lab.hosts} | {"h1": members}
    at_containers = {c.name: int(c.host in wanted and c.name.endswith("c1")) for c in lab.containers}
    return at_hosts | at_containers | {"h1c1": 1}  # the sender's own


def measure(lab: Lab, members: int, packets: int) -> dict[str, int]:
    """Send packets to a group with members on so many hosts; how many were seen at each interface."""
    group = f"239.192.20.{members}"
    source = lab.container("h1c1")
    inside = [lab.container(f"h{i}c1") for i in range(2, 2 + members)]
    nodes: list[Node] = [*lab.hosts, *lab.containers]
    with contextlib.ExitStack() as stack:
        for node in inside:
            stack.enter_context(traffic.serving(node, [traffic.program("hold_groups"), group]))
        if inside:  # what it sends first ends when joins are known everywhere; they are held beyond its end
            with traffic.feeding(source, inside, group, group=True, rate=RATE, count=10) as feed:
                feed.finish()
        with contextlib.ExitStack() as ears:
            counts = {node.name: ears.enter_context(sniffing(node, "eth0", group)) for node in nodes}
            source.run([traffic.program("udp_send"), f"--count={packets}", f"--rate={RATE:g}", "--no-end",
                        "--interface=eth0", group, traffic.PORT])  # fmt: skip
    return {name: count.packets for name, count in counts.items()}


def numbers(members: int, counted: Mapping[str, int], wanted: Mapping[str, int], packets: int) -> dict[str, float]:
    """Return copies per packet where they matter, and at how many interfaces there were more or fewer than wanted."""
    idle = [name for name, copies in wanted.items() if not copies]
    return {
        f"copies_{members}_sent": counted["h1"] / packets,
        f"copies_{members}_elsewhere": float(sum(counted[name] for name in idle)),
        f"copies_{members}_wrong": float(sum(counted[name] != wanted[name] * packets for name in wanted)),
    }
