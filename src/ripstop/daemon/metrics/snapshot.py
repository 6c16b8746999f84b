"""All that a scrape says, at one time; immutable, so that another thread can write it down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ripstop.api import types
from ripstop.core.ipam.status import AllocatorStatus
from ripstop.core.names import PeerName, PortId
from ripstop.kernel.datapath import Counter
from ripstop.kernel.streams import Stream

MAX_STREAMS = 200  # told one by one: five series each, and every one costs the scraper memory for hours


@dataclass(frozen=True, slots=True)
class KernelCounts:
    """What the kernel counts, as the kernel thread read it."""

    counters: Mapping[str, Counter]  # by class
    drops: Mapping[str, int]  # by reason
    stations: Mapping[str, int]  # learnt MAC addresses, by where they are
    rows: Mapping[str, int]  # entries of the maps for groups, by name
    streams: tuple[Stream, ...]  # the busiest
    known_streams: int
    port_names: Mapping[PortId, str]


@dataclass(frozen=True, slots=True)
class MeshCounts:
    """How this host stands with the others."""

    peers: Sequence[types.Peer]
    connections: Sequence[types.Connection]
    targets: Sequence[types.Target]
    routes: int
    settled: bool
    problems: int
    control: Mapping[str, int]  # counters of control connections
    probes: Mapping[str, int]  # that came to nothing, by why


@dataclass(frozen=True, slots=True)
class Heard:
    """How often hosts behind one port said something of groups."""

    container: str
    ifname: str
    family: str  # "ipv4" | "ipv6"
    message: str  # "report" | "query" | "hello"
    count: int


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """Who wants which groups and who sends to them, counted."""

    groups: int
    members: Mapping[str, int]  # behind our ports, by why
    remote: Mapping[str, int]  # of other hosts, by why
    heard: Sequence[Heard]
    refusals: Sequence[types.MulticastRefusal]
    queries: Mapping[str, int]  # sent, by family
    streams: Sequence[types.MulticastStream]


@dataclass(frozen=True, slots=True)
class Stopped:
    """How many frames of one guarded port were stopped for one reason."""

    container: str
    ifname: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One host."""

    version: types.Version
    own: PeerName
    ports: int  # attached interfaces of containers
    guarded: int  # of them, those with a guard
    stopped: Sequence[Stopped]
    mtu: int  # bytes; 0 = not known yet
    mesh: MeshCounts
    datapath: KernelCounts
    ipam: AllocatorStatus
    multicast: GroupCounts
    dns: types.DnsStatus
