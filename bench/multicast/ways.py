"""The labs in which multicast is measured, and the ways from one sender to many receivers."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench import baseline
from bench.ways import DIRECT, KERNEL, UNDERLAY
from ripstop.lab.lab import Lab
from ripstop.lab.node import Node
from ripstop.lab.plan import LabError

HOSTS = 6  # the sender's and five others
JUDGED_HOSTS = 3  # as in `make bench`
STANDARD, JUMBO = 1500, 9000  # bytes, MTU of underlays; the latter has room for packets of 8000 B
MTU_TIMEOUT = 60.0  # seconds until every host has found out how much passes
CONTAINERS = 2  # on each
KEYS = (UNDERLAY, KERNEL, DIRECT)
SPREADS = (1, 2, 5)  # on how many hosts receivers are
MEMBERSHIPS = 2048  # groups that one container may join; more than a port may have
MAX_GROUPS = 100  # of one scenario
POLL = 0.5  # seconds between two looks at what is waited for
# in this order: a querier counts as one, and the bridge stops flooding, once hosts have had the time to answer: 1 s
QUERIER = """
    ip link set br0 type bridge mcast_snooping 1 mcast_igmp_version 3 mcast_query_response_interval 100
    ip link set br0 type bridge mcast_querier 1
"""


@dataclass(frozen=True, slots=True)
class Way:
    """Where packets start, and where they may end; the interface is called `eth0` everywhere."""

    key: str
    source: Node  # on h1
    first: tuple[Node, ...]  # one on each of h2, h3 ...
    second: tuple[Node, ...]  # another on each

    def receivers(self, count: int, hosts: int) -> list[Node]:
        """Return so many receivers on so many hosts."""
        return [*self.first[:hosts], *self.second[:hosts]][:count]


def group(hosts: int) -> str:
    """Return the first of the groups whose members are on so many hosts: organization-local, RFC 2365, section 6.2."""
    return f"239.192.{hosts}.1"


@contextlib.contextmanager
def opened(progress: Callable[[str], None], count: int = HOSTS) -> Iterator[tuple[list[Way], Lab]]:
    """Yield all ways between so many hosts, and the lab of the one that is Ripstop's.

    The switch of the others snoops where it has to keep packets from hosts: with more than two to send to.  There the
    underlay takes jumbo frames, too.
    """
    mtu = JUMBO if count > JUDGED_HOSTS else STANDARD
    with contextlib.ExitStack() as stack:
        progress(f"lab for the underlay's own multicast and kernel VXLAN, {count} hosts")
        bare = stack.enter_context(
            Lab(count, name=f"mcast-bare-{count}", containers=CONTAINERS, mtu=mtu, daemons=False)
        )
        if count > JUDGED_HOSTS:
            bare.switch.run(["sh", "-ec", QUERIER])
        baseline.build(bare, filtered=True)
        _snoop(bare)
        _permit(bare, [*bare.hosts, *bare.containers])
        progress(f"lab for ripstop, {count} hosts")
        ours = stack.enter_context(Lab(count, name=f"mcast-ripstop-{count}", containers=CONTAINERS, mtu=mtu))
        _wait_for_mtu(ours, mtu - baseline.OVERHEAD)
        _permit(ours, ours.containers)
        hosts = tuple(bare.hosts[1:])
        yield [Way(UNDERLAY, bare.host("h1"), hosts, hosts), _containers(KERNEL, bare), _containers(DIRECT, ours)], ours


@contextlib.contextmanager
def pair(name: str, containers: int = 10) -> Iterator[Lab]:
    """Yield a lab of two hosts with many containers, which may join many groups."""
    with Lab(2, name=f"mcast-{name}", containers=containers) as lab:
        _permit(lab, lab.containers)
        yield lab


def _wait_for_mtu(lab: Lab, mtu: int) -> None:
    deadline = time.monotonic() + MTU_TIMEOUT
    while any(f"mtu {mtu} " not in one.run(["ip", "link", "show", "eth0"]).stdout for one in lab.containers):
        if time.monotonic() > deadline:
            raise LabError(f"containers have no MTU of {mtu} after {MTU_TIMEOUT:g} s")
        time.sleep(POLL)


def _containers(key: str, lab: Lab) -> Way:
    first, second = (tuple(lab.container(f"{host.name}c{c}") for host in lab.hosts[1:]) for c in (1, 2))
    return Way(key, lab.container("h1c1"), first, second)


def _snoop(lab: Lab) -> None:
    """Have bridges ask who wants what, and h1's VXLAN device send groups to the hosts that have members, alone."""
    for host in lab.hosts:
        host.run(["sh", "-ec", f"{QUERIER}\nbridge link set dev vxlan0 mcast_router 2"])
    others = [str(host.interface.ip) for host in lab.hosts[1:]]
    for hosts in (spread for spread in SPREADS if spread <= len(others)):
        try:
            lab.host("h1").run([sys.executable, "-m", "bench.multicast.mdb", "vxlan0", group(hosts), str(MAX_GROUPS),
                                *others[:hosts]])  # fmt: skip
        except LabError as error:
            raise LabError(f"no multicast database in the kernel's VXLAN, want Linux 6.4: {error}") from None


def _permit(lab: Lab, nodes: Sequence[Node]) -> None:
    settings = f"echo {MEMBERSHIPS} >/proc/sys/net/ipv4/igmp_max_memberships; echo 64 >/proc/sys/net/ipv4/igmp_max_msf"
    for node in nodes:
        node.run(["sh", "-ec", settings])
