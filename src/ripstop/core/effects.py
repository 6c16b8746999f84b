"""What a node can ask of its shell: the closed set of effects.  Shells `match` on them and end in `assert_never`.

What is to be saved is saved first, in one transaction, then effects are performed in order.  If that fails, all
`Answer`s in the same list are refusals, so nothing is promised that is not on disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ripstop.core.dns.messages import NameRow
from ripstop.core.errors import RequestError
from ripstop.core.events import Endpoint
from ripstop.core.ipam.messages import IpamMessage
from ripstop.core.mesh.messages import Entry, Message, Probe
from ripstop.core.mesh.routes import Place
from ripstop.core.multicast.port import SendQuery
from ripstop.core.multicast.tables import Row
from ripstop.core.names import NO_PEER, ConnectionId, PeerName, RequestId, ShortId, UnderlayIp
from ripstop.core.overlay.forwarding import ForwardingTables


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect; comes back as `Dialed` or `DialFailed`."""

    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message; a connection that is gone swallows it (its `Closed` is on the way)."""

    connection: ConnectionId
    message: Message


@dataclass(frozen=True, slots=True)
class Close:
    """Close once everything sent before is out."""

    connection: ConnectionId
    reason: str


@dataclass(frozen=True, slots=True)
class SendProbe:
    """Send a probe through the real encapsulation to `remote`, padded to `probe.mtu` unless it is an ack."""

    remote: UnderlayIp
    probe: Probe
    target: ShortId = NO_PEER  # whose datapath may answer by itself; NO_PEER: only a daemon may


@dataclass(frozen=True, slots=True)
class Publish:
    """The kernel's tables must now hold this."""

    tables: ForwardingTables


@dataclass(frozen=True, slots=True)
class Distribute:
    """The kernel's tables of groups must now have these rows; with `complete`, and no others."""

    rows: tuple[Row, ...]
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Serve:
    """The name server must now answer by these rows, each in place of what it had for that name."""

    rows: tuple[NameRow, ...]
    complete: bool = False  # and has no other names
    pending: bool = False  # and does not know all that we know, which follows at once


@dataclass(frozen=True, slots=True)
class UseMtu:
    """Container interfaces must now have this MTU."""

    mtu: int  # bytes


@dataclass(frozen=True, slots=True)
class Save:
    """Put these on disk in one transaction before anything after them is performed; None deletes."""

    items: tuple[tuple[str, bytes | None], ...]
    promised: bool = True  # others are about to rely on it; else it can be learnt again, and holds nothing up


@dataclass(frozen=True, slots=True)
class Answer:
    """Resolves the caller of a request."""

    request: RequestId
    result: int | RequestError  # an address in host order, or why not


@dataclass(frozen=True, slots=True)
class Notice:
    """Something people may want to know; feeds log, metrics and status."""

    level: str  # "debug" | "info" | "warning" | "error"
    text: str


Effect = Dial | Send | Close | SendProbe | Publish | Distribute | SendQuery | Serve | UseMtu | Save | Answer | Notice


@dataclass(frozen=True, slots=True)
class Announce:
    """From a feature core to the mesh, through the node: these entries are ours and new."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Learned:
    """From the mesh to a feature core, through the node: these entries of its channel are news."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Tell:
    """From a feature core to the mesh, through the node: carry this to one peer."""

    peer: PeerName
    body: IpamMessage


@dataclass(frozen=True, slots=True)
class Heard:
    """From the mesh to a feature core, through the node: a peer told us this."""

    peer: PeerName
    body: IpamMessage


@dataclass(frozen=True, slots=True)
class ReachabilityChanged:
    """From the mesh to feature cores, through the node: the peers that can be reached now, sorted, without us."""

    peers: tuple[PeerName, ...]


@dataclass(frozen=True, slots=True)
class WaysChanged:
    """From the mesh to feature cores, through the node: the peers that frames reach now, sorted, without us."""

    peers: tuple[PeerName, ...]


@dataclass(frozen=True, slots=True)
class TreesChanged:
    """From the mesh to feature cores, through the node: who the peers are, and our places in their flood trees.

    Comes after the `Publish` of these trees, and not before the kernel may be told.
    """

    ids: Mapping[PeerName, ShortId]  # by name, our own too
    places: Mapping[ShortId, Place]  # by source


Internal = Announce | Learned | Tell | Heard | ReachabilityChanged | WaysChanged | TreesChanged  # never leave the node
