"""A lab on whatever kernel this is, for machines so slow that the tests' own patience would not do.

Three hosts in a row, so that all between the first and the last is relayed.  The first and the last have two containers
on the switch, the one between has more than a flood visits by plain calls (`FEW_DEVICES` in `bpf/lib/local.h`).
"""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

from ripstop.core.errors import RipstopError
from ripstop.lab import traffic
from ripstop.lab.lab import Lab
from ripstop.lab.node import Container

PATIENCE = 300.0  # seconds for anything to come about
MANY = 10  # containers on the host between; two on the others
TCP_LEAST = 20.0  # Mbit/s: far below what emulation carries, far above what is left when segments are lost
TCP_SECONDS = 4
RATE = 100.0  # packets a second
COUNT = 300  # packets
SIZE = 1300  # bytes
LINES = 30  # of each log that are shown after a failure
GROUP = "239.192.7.1"  # RFC 2365: organization-local
BROKEN = 20.0  # seconds for which packets are sent while a daemon dies and comes back, at least


class CheckError(RipstopError):
    """What was to be checked is not so."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to see; `run` returns what it measured, or raises."""

    name: str
    run: Callable[[Lab, Sequence[Container]], str]


def run() -> bool:
    """Build the lab, make all checks, print a line for each, and return whether all are well."""
    with Lab(hosts=3, name="kernel", topology="chain", containers=MANY, daemons=False) as lab:
        try:
            attached = _start(lab)
            passed = [_passes(check, lab, attached) for check in CHECKS]
        except RipstopError as error:
            print(f"FAIL daemons: {error}", flush=True)
            passed = [False]
        if not all(passed):
            _show(lab)
        return all(passed)


def _start(lab: Lab) -> list[Container]:
    """Start daemons and attach containers, with patience; return who is on the switch."""
    started = time.monotonic()
    for host in lab.hosts:
        host.start_daemon()
    for host in lab.hosts:
        host.wait(reachable=2, timeout=PATIENCE)
    print(f"ok   daemons: settled after {time.monotonic() - started:.0f} s", flush=True)
    attached = [c for c in lab.containers if c.host == "h2" or c.name.endswith(("c1", "c2"))]
    for container in attached:
        lab.host(container.host).attach(container)
    for container in attached:
        container.wait_until_valid()
    return attached


def _passes(check: Check, lab: Lab, attached: Sequence[Container]) -> bool:
    started = time.monotonic()
    try:
        measured = check.run(lab, attached)
    except RipstopError as error:
        print(f"FAIL {check.name}: {error}", flush=True)
        return False
    print(f"ok   {check.name}: {measured} ({time.monotonic() - started:.0f} s)", flush=True)
    return True


def _show(lab: Lab) -> None:
    """Print what may tell why something went wrong; the lab is gone afterwards."""
    said = {str(host.log): host.log.read_text(errors="replace") for host in lab.hosts if host.log.exists()}
    said["dmesg"] = subprocess.run(["dmesg"], capture_output=True, text=True, check=False).stdout
    for source, text in said.items():
        print(f"--- {source}", *text.splitlines()[-LINES:], sep="\n", flush=True)


def _ping(lab: Lab, attached: Sequence[Container]) -> str:
    few = [container for container in attached if container.name.endswith(("c1", "c2"))]
    for source, target in permutations(few, 2):
        for address in (target.address(), f"{target.link_local()}%eth0"):
            if source.ping(address, seconds=10.0) is None:
                raise CheckError(f"{source.name} does not reach {target.name} at {address}")
    return f"{len(few)} containers, all pairs, IPv4 and IPv6"


def _tcp(target: str, version: int) -> Callable[[Lab, Sequence[Container]], str]:
    def run(lab: Lab, attached: Sequence[Container]) -> str:
        source, sink = lab.container("h1c1"), lab.container(target)
        address = sink.address() if version == 4 else f"{sink.link_local()}%eth0"
        carried = traffic.iperf(source, sink, address, seconds=TCP_SECONDS) * 1000
        if carried < TCP_LEAST:
            raise CheckError(f"{carried:.1f} Mbit/s, want {TCP_LEAST:g}")
        return f"{carried:.0f} Mbit/s"

    return run


def _hear(
    source: Container, targets: Sequence[Container], address: str, meanwhile: Callable[[], None] | None = None
) -> str:
    """Send numbered packets to one address; each of the targets must get each packet once, in order."""
    amount = {"count": COUNT} if meanwhile is None else {"seconds": PATIENCE}
    group = address.startswith("239.")
    with traffic.feeding(
        source, targets, address, group=group, size=SIZE, rate=RATE, wait=60.0, idle=10.0, **amount
    ) as feed:
        if meanwhile is None:
            sent, heard = feed.finish()
        else:
            feed.wait_until_heard()
            meanwhile()
            sent, heard = feed.stop()
    for target, count in zip(targets, heard, strict=True):
        if count.lost or count.duplicated or count.reordered or count.received != sent.sent:
            raise CheckError(
                f"{target.name} got {count.received} of {sent.sent} packets from {source.name},"
                f" {count.duplicated} twice, {count.reordered} out of order"
            )
    return f"{sent.sent} packets of {SIZE} bytes at {RATE:g}/s, {len(targets)} receivers"


def _udp(lab: Lab, attached: Sequence[Container]) -> str:
    source, target = lab.container("h1c1"), lab.container("h3c1")
    return _hear(source, [target], target.address())


def _flood(source: str, group: str = "") -> Callable[[Lab, Sequence[Container]], str]:
    def run(lab: Lab, attached: Sequence[Container]) -> str:
        sender = lab.container(source)
        network = next(i.network for i in sender.interfaces() if i.version == 4)
        return _hear(sender, [c for c in attached if c.name != source], group or str(network.broadcast_address))

    return run


def _restart(victim: str, address: str) -> Callable[[Lab, Sequence[Container]], str]:
    def run(lab: Lab, attached: Sequence[Container]) -> str:
        source, target = lab.container("h1c1"), lab.container("h3c1")
        host = lab.host(victim)
        paused = 0.0

        def kill_and_restart() -> None:
            nonlocal paused
            started = time.monotonic()
            host.kill_daemon()
            host.restart_daemon(timeout=PATIENCE)
            paused = time.monotonic() - started
            time.sleep(max(0.0, BROKEN - paused))  # what a daemon that is back does must not lose anything either

        heard = _hear(source, [target], address or target.address(), kill_and_restart)
        return f"{heard}, settled after {paused:.0f} s"

    return run


CHECKS = (
    Check("ping", _ping),
    Check("TCP over IPv4 to the next host", _tcp("h2c1", 4)),
    Check("TCP over IPv6 to the next host", _tcp("h2c1", 6)),
    Check("TCP over IPv4 relayed", _tcp("h3c1", 4)),
    Check("TCP over IPv6 relayed", _tcp("h3c1", 6)),
    Check("UDP relayed", _udp),
    Check("multicast to all containers", _flood("h1c1", GROUP)),
    Check("broadcast to every port, from afar", _flood("h3c1")),
    Check("broadcast to every port, from beside them", _flood("h2c1")),
    Check("a killed relay loses no packet", _restart("h2", "")),
    Check("a killed receiver loses no packet", _restart("h3", "")),
    Check("a killed relay loses no multicast packet", _restart("h2", GROUP)),
)
