"""Every pair of containers: ARP, ping, IPv6 ping, and TCP both ways."""

import contextlib
from dataclasses import dataclass
from itertools import combinations

import msgspec

from ripstop.lab import traffic
from ripstop.lab.demo.stage import Guest, Stage
from ripstop.lab.plan import LabError

VOLUME = "8M"  # of TCP each way


@dataclass(frozen=True, slots=True)
class Row:
    """What one pair could do; None = could not."""

    a: Guest
    b: Guest
    path: str
    ping_ms: float | None
    arp: bool
    ping6_ms: float | None
    tcp_gbps: float | None
    back_gbps: float | None

    @property
    def ok(self) -> bool:
        """Whether it could do everything."""
        return self.arp and None not in (self.ping_ms, self.ping6_ms, self.tcp_gbps, self.back_gbps)

    def __str__(self) -> str:
        gbps = [f"{g:.2f}" if g is not None else "FAILED" for g in (self.tcp_gbps, self.back_gbps)]
        pings = [f"{ms:.3f}" if ms is not None else "FAILED" for ms in (self.ping_ms, self.ping6_ms)]
        arp = self.b.mac if self.arp else "FAILED"
        return (
            f"{self.a.name} - {self.b.name}  {self.path:<9}  {arp:<17}  {pings[0]:>7}  {pings[1]:>7}"
            f"  {gbps[0]:>6}  {gbps[1]:>6}"
        )


HEADING = "pair         path       ARP says           ping ms  IPv6 ms  TCP ->   <- Gbit/s"


def show(stage: Stage) -> None:
    """Try every pair and print a table."""
    stage.say(HEADING)
    with contextlib.ExitStack() as stack:
        for guest in stage.guests:
            stack.enter_context(traffic.iperf_server(guest.node))
        for a, b in combinations(stage.guests, 2):
            row = _try(stage, a, b)
            stage.say(str(row))
            stage.outcome.pairs_ok += stage.outcome.expect(row.ok, f"{a.name} and {b.name} cannot do everything")


def speed(stage: Stage) -> None:
    """Measure TCP between two hosts, direct and relayed."""
    source, direct, relayed = (stage.guest(name) for name in ("h1c1", "h2c1", "h3c1"))
    stage.outcome.tcp_gbps = traffic.iperf(source.node, direct.node, direct.address, seconds=2)
    stage.say(f"h1c1 to h2c1, direct:  {stage.outcome.tcp_gbps:.2f} Gbit/s")
    stage.outcome.relay_tcp_gbps = traffic.iperf(source.node, relayed.node, relayed.address, seconds=2)
    stage.say(f"h1c1 to h3c1, relayed: {stage.outcome.relay_tcp_gbps:.2f} Gbit/s")


def all_ping(stage: Stage) -> None:
    """Ping between every pair once more, and say how many answered."""
    silent = [f"{a.name} - {b.name}" for a, b in combinations(stage.guests, 2) if a.node.ping(b.address) is None]
    stage.outcome.expect(not silent, f"no ping between {', '.join(silent)}")
    stage.say(f"ping between every pair: {'all answer' if not silent else 'SILENT: ' + ', '.join(silent)}")


def _try(stage: Stage, a: Guest, b: Guest) -> Row:
    a.node.run(["ip", "neigh", "flush", "dev", "eth0"])
    return Row(
        a,
        b,
        path=stage.path(a, b),
        ping_ms=a.node.ping(b.address, count=3),
        arp=_resolved(a, b),
        ping6_ms=a.node.ping(f"{b.link_local}%eth0", count=3),
        tcp_gbps=_tcp(a, b),
        back_gbps=_tcp(b, a),
    )


class _Neighbor(msgspec.Struct):
    dst: str
    lladdr: str = ""


def _resolved(a: Guest, b: Guest) -> bool:
    """Return whether ARP, whose cache was empty before the ping, has led to the other's own MAC."""
    listed = a.node.run(["ip", "-json", "neigh", "show", "dev", "eth0", "to", b.address]).stdout
    return any(n.lladdr == b.mac for n in msgspec.json.decode(listed or "[]", type=list[_Neighbor]))


def _tcp(a: Guest, b: Guest) -> float | None:
    try:
        return traffic.iperf(a.node, b.node, b.address, volume=VOLUME, server=False)
    except LabError:
        return None
