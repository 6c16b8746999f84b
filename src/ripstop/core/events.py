"""What can happen to a node: the closed set of events that `Node.receive` takes."""

from collections.abc import Mapping
from dataclasses import dataclass

from ripstop.core.address import Range
from ripstop.core.dns.messages import Binding
from ripstop.core.mesh.messages import Message, Probe
from ripstop.core.multicast import messages as multicast
from ripstop.core.multicast.filters import Filter
from ripstop.core.multicast.tables import Delivery
from ripstop.core.names import (
    ConnectionId,
    ContainerId,
    Holder,
    MulticastIp,
    PeerName,
    PortId,
    RequestId,
    SourceIp,
    UnderlayIp,
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a control port can be dialed."""

    address: str  # IPv4 address, or a name for the shell to resolve
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Dialed:
    """A `Dial` succeeded."""

    endpoint: Endpoint
    connection: ConnectionId
    local: UnderlayIp
    remote: UnderlayIp


@dataclass(frozen=True, slots=True)
class DialFailed:
    """A `Dial` did not."""

    endpoint: Endpoint
    reason: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """Somebody connected to us."""

    connection: ConnectionId
    local: UnderlayIp
    remote: UnderlayIp


@dataclass(frozen=True, slots=True)
class Closed:
    """A connection ended, by whichever side; not sent for one the core closed itself."""

    connection: ConnectionId
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """A whole, well-formed message came."""

    connection: ConnectionId
    message: Message


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe or its answer came in on the data path."""

    remote: UnderlayIp  # outer source address
    local: UnderlayIp  # outer destination address
    probe: Probe


@dataclass(frozen=True, slots=True)
class UnderlayChanged:
    """Our own addresses, as the kernel has them now; also sent once at start."""

    addresses: tuple[UnderlayIp, ...]  # usable ones, best first
    mtu: int  # largest IP MTU among their links, bytes


@dataclass(frozen=True, slots=True)
class ConnectRequested:
    """`ripstop connect`: add targets; with `replace`, forget the others."""

    targets: tuple[Endpoint, ...]
    replace: bool = False


@dataclass(frozen=True, slots=True)
class ForgetRequested:
    """`ripstop forget`: dial these no more; a live connection stays."""

    targets: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class LeaveRequested:
    """`ripstop down`: say goodbye to everyone."""


@dataclass(frozen=True, slots=True)
class AllocateRequested:
    """A container needs an address; the same container asking again for the same subnet gets the same one."""

    request: RequestId
    container: ContainerId
    subnet: Range  # within the universe
    wait: float  # seconds until an answer must be given, whatever it is


@dataclass(frozen=True, slots=True)
class ClaimRequested:
    """A container was given this address; outside the universe it is recorded only."""

    request: RequestId
    container: ContainerId
    address: int
    wait: float


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """All addresses of a container are free again."""

    container: ContainerId


@dataclass(frozen=True, slots=True)
class Reconciled:
    """These containers are there, with these addresses, and no others; those that are being attached aside."""

    living: Mapping[ContainerId, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class PrimeRequested:
    """`ripstop prime`: see to it that there is a ring."""

    request: RequestId
    wait: float


@dataclass(frozen=True, slots=True)
class RemoveRequested:
    """`ripstop rmpeer`: take over what dead peers owned."""

    request: RequestId
    peers: tuple[PeerName, ...]
    wait: float
    force: bool = False  # however many they are


@dataclass(frozen=True, slots=True)
class ResetRequested:
    """`ripstop reset`: give away all that we own, for good."""

    request: RequestId
    wait: float


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Whoever asked has gone: answer nothing, keep nothing."""

    request: RequestId


@dataclass(frozen=True, slots=True)
class PortsChanged:
    """These are the ports of our switch now, the host's own among them while it has addresses on the overlay."""

    ports: tuple[PortId, ...]  # sorted


@dataclass(frozen=True, slots=True)
class Snooped:
    """A host or a router behind a port spoke of groups; None: with bytes that mean nothing."""

    port: PortId
    sender: SourceIp
    message: multicast.Message | None


@dataclass(frozen=True, slots=True)
class FormerRows:
    """What the kernel does with groups since a former life; sent once, after the ports of that life."""

    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class JoinRequested:
    """`ripstop multicast join`: a port wants packets of a group though nobody behind it says so."""

    request: RequestId
    port: PortId
    group: MulticastIp
    wanted: Filter


@dataclass(frozen=True, slots=True)
class LeaveGroupRequested:
    """`ripstop multicast leave`: end what `JoinRequested` began."""

    request: RequestId
    port: PortId
    group: MulticastIp


@dataclass(frozen=True, slots=True)
class NamesRestored:
    """These are the names that we have at start, and there are no others; sent once."""

    holders: Mapping[Holder, tuple[Binding, ...]]


@dataclass(frozen=True, slots=True)
class NamesRequested:
    """Holders are to have these names instead of those they have, all of them or none."""

    request: RequestId
    holders: Mapping[Holder, tuple[Binding, ...]]


@dataclass(frozen=True, slots=True)
class NamesDropped:
    """A holder has gone, and its names with it."""

    holder: Holder


@dataclass(frozen=True, slots=True)
class NamesForgotten:
    """These peers are dead for good, and so are their names."""

    peers: tuple[PeerName, ...]


Event = (
    Dialed | DialFailed | Accepted | Closed | Received | Probed | UnderlayChanged
    | ConnectRequested | ForgetRequested | LeaveRequested
    | AllocateRequested | ClaimRequested | ReleaseRequested | CancelRequested
    | Reconciled | PrimeRequested | RemoveRequested | ResetRequested
    | PortsChanged | Snooped | FormerRows | JoinRequested | LeaveGroupRequested
    | NamesRestored | NamesRequested | NamesDropped | NamesForgotten
)  # fmt: skip
