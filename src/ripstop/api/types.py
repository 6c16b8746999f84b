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
    guard: bool = False  # stop what claims to be of somebody else, or comes from rogue routers and DHCP servers
    guards: tuple[
        str, ...
    ] = ()  # of "mac", "ip", "router", "dhcp", "multicast", these only; empty = the first four (needs `guard`)
    allowed: tuple[str, ...] = ()  # addresses that it may use besides its own (needs `guard`)
    network: str = ""  # of a container runtime, to which it belongs
    mac: str = ""  # of the interface inside; default: made from the container id
    mtu: int = 0  # bytes, at most the overlay's; 0 = as large as that
    hostnames: tuple[str, ...] = ()  # names for its addresses, within the domain or with it


class Port(msgspec.Struct):
    """One attached interface."""

    container: str
    netns: str
    ifname: str  # inside
    host_ifname: str  # the port on the host
    mac: str
    addresses: tuple[str, ...]  # ADDRESS/LEN
    mtu: int  # bytes
    guards: tuple[str, ...] = ()  # of "mac", "ip", "router", "dhcp", "multicast"; empty = it is not guarded
    allowed: tuple[str, ...] = ()  # addresses that it may use besides its own
    stopped: dict[str, int] = {}  # frames that its guard stopped, by drop reason
    names: tuple[str, ...] = ()  # without the domain


class GuardRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/guard: guard attached interfaces from now on, or no longer; by namespace or by container id."""

    netns: str = ""
    container: str = ""
    ifname: str = ""  # empty = every interface of ours in it
    guard: bool = True
    guards: tuple[str, ...] = ()  # as in `AttachRequest`
    allowed: tuple[str, ...] = ()


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
    free: int = 0  # exact for this host; for others as they said when they last changed what they own
    lost: bool = False  # of a former self of that host, which lost its state, or of one written off


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
    ring: str = ""  # id, drawn when the range was divided; all hosts that share addresses have the same
    doubt: str = ""  # why nothing of our own is used yet, "" if it is
    taking: str = ""  # what taking over from dead hosts waits for, "" if it does not
    strays: tuple[str, ...] = ()  # addresses in use here that another host owns
    foreign: tuple[str, ...] = ()  # other rings and ranges among the hosts, one line each


class PrimeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/prime: see to it that the range is divided, though no container waits for an address."""

    wait: float = 10.0  # seconds until it fails with its reason


class RemovePeersRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/rmpeer: take over what dead hosts owned."""

    peers: tuple[str, ...]  # nicknames or names
    force: bool = False  # however many of all they are
    wait: float = 10.0


class ResetRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/reset: give away what this host owns, delete its state, and end."""

    force: bool = False  # delete the state even if nobody takes what it owns
    wait: float = 10.0


class Moved(msgspec.Struct):
    """How many addresses changed their owner."""

    addresses: int


EVERY_GROUP = {"0.0.0.0": 4, "::": 6}  # what stands for every group of a family


class MulticastMember(msgspec.Struct):
    """Somebody who wants packets to a group: a port of this host, or another host for all that it has."""

    group: str  # one of EVERY_GROUP where why is "router"
    host: str  # nickname
    peer: str
    container: str  # "" for another host; "host" for this host's own interface on the overlay
    ifname: str  # inside; "" for another host
    mode: str  # "include": from these sources only | "exclude": from all but these
    sources: tuple[str, ...]
    why: str  # "report" | "static" | "router"; "peer" for another host
    reporters: tuple[str, ...] = ()  # addresses of the hosts behind the port that said so


class MulticastStream(msgspec.Struct):
    """What one source sends to one group, as it came in here; all counts since it was first seen."""

    group: str
    source: str
    host: str  # nickname of the host on which the source is
    peer: str
    container: str  # of the source, if it is on this host, else ""; "host" for this host itself
    ifname: str
    packets: int
    bytes: int  # of whole frames
    delivered: int  # copies to ports of this host
    sent: int  # copies to other hosts
    dropped: int  # packets that went to nobody
    idle: float  # seconds since the last packet


class MulticastRefusal(msgspec.Struct):
    """What hosts behind one port said of groups and what had no effect, by reason."""

    container: str
    ifname: str
    reason: str
    count: int


class MulticastStatus(msgspec.Struct):
    """GET /v1/multicast."""

    snooping: bool  # False: every group goes to everyone
    unknown: str  # "drop" | "flood": what happens to groups that nobody joined anywhere
    members: tuple[MulticastMember, ...]
    streams: tuple[MulticastStream, ...]
    refusals: tuple[MulticastRefusal, ...]
    groups: int  # entries known in the mesh: a group counts once for each host that wants it


class TraceRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/multicast/trace: which way the packets of one source to one group go."""

    group: str
    source: str
    host: str = ""  # nickname or name of the host on which the source is; "" = found out


class TraceHop(msgspec.Struct):
    """One host of a tree."""

    host: str  # nickname
    peer: str
    parent: str  # nickname of the host that sends it the packets; "" for the root
    depth: int  # 0 for the root
    member: bool  # it has somebody to deliver to
    ports: tuple[str, ...]  # "CONTAINER IFNAME" of each member, of this host only


class MulticastTrace(msgspec.Struct):
    """The tree as it is, pruned to the hosts that packets of this source to this group pass."""

    group: str
    source: str
    root: str  # nickname of the host on which the source is
    hops: tuple[TraceHop, ...]  # depth first, the root first


class GroupRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/multicast/join and leave: a static membership, for what cannot speak IGMP or MLD."""

    group: str
    sources: tuple[str, ...] = ()  # from these only; empty = from all; a leave ends the membership whatever they are
    exclude: bool = False  # from all but these
    netns: str = ""
    container: str = ""  # instead of netns; "host" = this host's own interface on the overlay
    ifname: str = "eth0"  # ripstop0 for the host


class NameRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/dns/add and remove: a name for a container of this host, for an address, or for this host itself."""

    name: str  # within the domain or with it
    container: str = ""  # id; "host" for this host itself
    address: str = ""  # instead of a container; removed: all of the name that this host has, if neither is given
    services: tuple[str, ...] = ()  # NAME/PROTOCOL:PORT; not of a removal


class LookupRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/dns/lookup."""

    what: str  # a name or an address


class Name(msgspec.Struct):
    """One address under one name."""

    name: str  # without the domain
    host: str  # nickname of the host that says so
    peer: str
    container: str  # "" for a bare address; "host" for the host itself
    address: str
    services: tuple[str, ...]  # NAME/PROTOCOL:PORT
    hidden: bool  # its host cannot be reached, so it is not answered


class DnsHost(msgspec.Struct):
    """How much one host has to say."""

    host: str  # nickname
    peer: str
    addresses: int  # under names: each counts once for each of its names
    hidden: bool


class DnsListener(msgspec.Struct):
    """One address on which names are to be answered."""

    address: str
    port: int
    since: float | None  # seconds for which they have been; None: they are not
    problem: str  # why not, "" if they are


class DnsServer(msgspec.Struct):
    """The process that answers."""

    pid: int  # 0: it does not run
    restarts: int
    problem: str  # what the last one died of, "" if none did
    listening: tuple[DnsListener, ...]
    names: int  # that it knows
    upstreams: tuple[str, ...]  # whom it asks about other domains
    counters: dict[str, int]  # since it started


class DnsStatus(msgspec.Struct):
    """GET /v1/dns."""

    domain: str
    names: int  # different ones, hidden ones too
    hosts: tuple[DnsHost, ...]
    server: DnsServer | None  # None: this host answers nobody, by order of the user


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
    multicast: MulticastStatus
    dns: DnsStatus
    names: tuple[Name, ...]  # the first of them
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
