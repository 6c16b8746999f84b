"""What requests and answers hold; the daemon encodes these as JSON and `ripstop.client` decodes them."""

import msgspec


class ErrorAnswer(msgspec.Struct):
    """The body of every answer that is not 2xx."""

    error: str  # one line: what happened, to what, what to do


class AttachRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/attach: put an interface into a container."""

    netns: str  # path of its network namespace, e.g. /run/netns/c1 or /proc/123/ns/net
    ifname: str = "eth0"
    addresses: tuple[str, ...] = ()  # ADDRESS/LEN, or net:CIDR / net:default to allocate; empty = net:default
    gateway: bool = False  # default route through the host (needs `expose`)
    multicast_route: bool = True  # 224.0.0.0/4 through this interface
    container: str = ""  # id under which it is known; default: made from the namespace's inode
    wait: float = 10.0  # seconds until an allocation fails with its reason


class Port(msgspec.Struct):
    """One attached interface."""

    container: str
    netns: str
    ifname: str  # inside
    host_ifname: str  # the port on the host
    mac: str
    addresses: tuple[str, ...]  # ADDRESS/LEN
    mtu: int  # bytes


class DetachRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/detach: take it out again; by namespace or by container id."""

    netns: str = ""
    container: str = ""
    ifname: str = ""  # empty = every interface of ours in it


class Detached(msgspec.Struct):
    """What was taken out."""

    ports: tuple[Port, ...]


class ExposeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/expose: give the host an address on the overlay."""

    addresses: tuple[str, ...] = ()  # ADDRESS/LEN or net:CIDR; empty = allocate one in the default subnet
    masquerade: bool = True
    wait: float = 10.0


class Exposed(msgspec.Struct):
    """The host's addresses on the overlay; also the answer of POST /v1/hide (what was taken away)."""

    ifname: str
    addresses: tuple[str, ...]


class TargetsRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/connect and /v1/forget."""

    targets: tuple[str, ...]  # ADDRESS[:PORT]
    replace: bool = False


class Target(msgspec.Struct):
    """One address that we dial by order of the user."""

    address: str  # ADDRESS:PORT
    state: str  # "connected" | "dialing" | "waiting"
    retry_in: float | None  # seconds; None while connected
    error: str = ""  # why the last attempt failed


class Peer(msgspec.Struct):
    """One known peer, ourselves included."""

    name: str
    nickname: str
    short_id: int
    incarnation: int
    addresses: tuple[str, ...]
    state: str  # "self" | "direct" | "relayed" | "unreachable" | "left"
    version: str = ""


class Connection(msgspec.Struct):
    """How one peer is connected: the TCP session and the data path."""

    peer: str
    nickname: str
    address: str  # of the TCP session, or of the last attempt
    direction: str  # "outbound" | "inbound" | ""
    control: str  # "established" | "connecting" | "closed"
    path: str  # "vxlan" | "relay" | "none"
    path_address: str
    mtu: int  # bytes the data path carries inside; 0 = none
    rtt_ms: float | None  # of the last probe
    error: str  # last failure of either, "" if none


class Route(msgspec.Struct):
    """How frames reach one peer."""

    peer: str
    nickname: str
    via: str  # next hop's nickname; the peer itself when direct
    hops: int
    mtu: int


class IpamPeer(msgspec.Struct):
    """One owner's share of the address space."""

    peer: str
    nickname: str
    addresses: int  # owned
    share: float  # 0..1 of the universe
    reachable: bool


class Allocation(msgspec.Struct):
    """One address held by a local container."""

    address: str
    container: str


class Pending(msgspec.Struct):
    """A request that waits."""

    container: str
    why: str


class IpamStatus(msgspec.Struct):
    """GET /v1/ipam."""

    range: str
    ready: bool  # a ring exists
    why: str  # what it waits for, "" when ready
    free: int  # addresses free in our own space
    peers: tuple[IpamPeer, ...]
    allocations: tuple[Allocation, ...]
    pending: tuple[Pending, ...]
    contested: tuple[str, ...]  # ranges


class Drop(msgspec.Struct):
    """Why packets were dropped in the datapath, and how many."""

    reason: str
    count: int


class Status(msgspec.Struct):
    """GET /v1/status."""

    version: str
    name: str
    nickname: str
    short_id: int
    incarnation: int
    pid: int
    uptime: float  # seconds
    port: int
    encryption: str  # "none: set a password to encrypt"
    range: str
    mtu: int
    addresses: tuple[str, ...]  # underlay
    peers: int  # known, without ourselves
    reachable: int
    connections: int  # established
    containers: int
    exposed: tuple[str, ...]
    settled: bool  # every known, not departed peer is reachable, every target tried, tables written
    waiting: tuple[str, ...]  # why not settled, one line each
    drops: tuple[Drop, ...]
    problems: tuple[str, ...]  # what is wrong now, one line each


class Report(msgspec.Struct):
    """GET /v1/report: everything, for a bug report."""

    status: Status
    peers: tuple[Peer, ...]
    connections: tuple[Connection, ...]
    routes: tuple[Route, ...]
    targets: tuple[Target, ...]
    ipam: IpamStatus
    ports: tuple[Port, ...]
    counters: dict[str, int]
    control: dict[str, int]  # of the control plane: bad messages, strangers, reconnects
    fdb: tuple[dict[str, str], ...]
    kernel: dict[str, str]  # release, features, devices
    log: tuple[str, ...]  # the last lines


class Version(msgspec.Struct):
    """GET /v1/version."""

    version: str
    protocol: int
    abi: str  # hash of the datapath's map layout
