"""What a lab consists of, before anything is made: names, addresses, links and cuts.  Pure."""

import json
import re
from collections import deque
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import combinations
from pathlib import Path

from ripstop.core.errors import RipstopError

SHAPES = ("full", "chain", "star")
MAX_HOSTS = 1000  # ports of a Linux bridge: BR_MAX_PORTS is 1024
MAX_CONTAINERS = 200  # per host
SMALL_UNDERLAY = IPv4Network("192.0.2.0/24")  # RFC 5737, for documentation
SMALL_HOSTS = 250
LARGE_UNDERLAY = IPv4Network("198.18.0.0/15")  # RFC 2544, for benchmarks
MIN_MTU, MAX_MTU = 1280, 65535  # bytes
_LAB = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")
_HOST = re.compile(r"h([1-9][0-9]{0,3})")

Pair = tuple[str, str]  # names of two hosts, the lower number first


class LabError(RipstopError):
    """The lab cannot do what was asked: one line that says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One lab: hosts h1..hN on one switch, M containers on each, and the pairs between which frames are dropped."""

    name: str
    hosts: int
    containers: int = 0  # per host
    mtu: int = 1500  # of the underlay, bytes
    cuts: tuple[Pair, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        check_name(self.name)
        if not 1 <= self.hosts <= MAX_HOSTS:
            raise LabError(f"{self.hosts} hosts: want 1 to {MAX_HOSTS}")
        if not 0 <= self.containers <= MAX_CONTAINERS:
            raise LabError(f"{self.containers} containers: want 0 to {MAX_CONTAINERS}")
        if not MIN_MTU <= self.mtu <= MAX_MTU:
            raise LabError(f"mtu {self.mtu}: want {MIN_MTU} to {MAX_MTU}")

    @property
    def host_names(self) -> tuple[str, ...]:
        """Names of all hosts, in order."""
        return tuple(f"h{i}" for i in range(1, self.hosts + 1))

    def container_names(self, host: str) -> tuple[str, ...]:
        """Names of the containers on `host`, in order."""
        return tuple(f"{host}c{i}" for i in range(1, self.containers + 1))

    @property
    def switch_netns(self) -> str:
        """The namespace that holds the switch."""
        return self.netns("switch")

    def netns(self, node: str) -> str:
        """The network namespace of a host or container."""
        return f"ripstop-{self.name}-{node}"

    def address(self, host: str) -> IPv4Interface:
        """The address of a host on the underlay."""
        network = SMALL_UNDERLAY if self.hosts <= SMALL_HOSTS else LARGE_UNDERLAY
        return IPv4Interface((IPv4Address(int(network.network_address) + number(host)), network.prefixlen))

    def linked(self, a: str, b: str) -> bool:
        """Whether frames pass between two hosts."""
        return pair(a, b) not in self.cuts

    def dials(self) -> dict[str, str | None]:
        """Return whom each host is told of: its parent in a breadth-first tree of the links; None for each root.

        One address is enough for a peer to find all others, and a tree joins all that can be joined.
        """
        cut = frozenset(self.cuts)
        parents: dict[str, str | None] = {}
        for root in self.host_names:
            if root in parents:
                continue
            parents[root] = None
            queue = deque([root])
            while queue:
                here = queue.popleft()
                for there in self.host_names:
                    if there not in parents and pair(here, there) not in cut:
                        parents[there] = here
                        queue.append(there)
        return parents


def check_name(name: str) -> None:
    """Raise LabError unless `name` may name a lab."""
    if not _LAB.fullmatch(name):
        raise LabError(f"lab name {name!r}: want at most 24 of a-z, 0-9 and -, no - at either end")


def number(host: str) -> int:
    """Return the number of a host."""
    match = _HOST.fullmatch(host)
    if match is None:
        raise LabError(f"no host {host!r}; hosts are h1, h2 ...")
    return int(match[1])


def pair(a: str, b: str) -> Pair:
    """Return two hosts as a pair, whichever was named first."""
    if number(a) == number(b):
        raise LabError(f"{a} and {b} are one host; name two")
    return (a, b) if number(a) < number(b) else (b, a)


def cuts_of(topology: str, hosts: int) -> tuple[Pair, ...]:
    """Return the pairs that have no link.

    Args:
        topology: `full`, `chain`, `star` (h1 is its centre), or the path of a JSON file that lists links:
            `[["h1", "h2"], ["h2", "h3"]]`.
        hosts: how many there are.

    Raises:
        LabError: the file cannot be read, is something else, or names a host that is not there.
    """
    match topology:
        case "full":
            return ()
        case "chain":
            links = [(i, i + 1) for i in range(1, hosts)]
        case "star":
            links = [(1, i) for i in range(2, hosts + 1)]
        case _:
            links = _read_links(Path(topology), hosts)
    keep = frozenset(links)
    return tuple((f"h{a}", f"h{b}") for a, b in combinations(range(1, hosts + 1), 2) if (a, b) not in keep)


def _read_links(path: Path, hosts: int) -> list[tuple[int, int]]:
    try:
        listed: object = json.loads(path.read_text())
    except OSError as error:
        raise LabError(f"topology {path}: {error.strerror}; want {', '.join(SHAPES)} or a file of links") from None
    except ValueError as error:
        raise LabError(f"topology {path}: not JSON: {error}") from None
    if not isinstance(listed, list):
        raise LabError(f'topology {path}: want a list of links such as [["h1", "h2"]]')
    return [_read_link(path, link, hosts) for link in listed]


def _read_link(path: Path, link: object, hosts: int) -> tuple[int, int]:
    match link:
        case [str(a), str(b)]:
            first, second = (number(host) for host in pair(a, b))
        case _:
            raise LabError(f'topology {path}: {json.dumps(link)} is no link; write it as ["h1", "h2"]')
    if second > hosts:
        raise LabError(f"topology {path}: link {a}-{b}, but there are only {hosts} hosts")
    return first, second
