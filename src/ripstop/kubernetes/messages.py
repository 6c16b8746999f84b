"""What the cluster's state machine is told, and what it wants done."""

from dataclasses import dataclass

from ripstop.core.names import PeerName
from ripstop.kubernetes.objects import Lease, Node


@dataclass(frozen=True, slots=True)
class ListNodes:
    """Ask for all Nodes; the answer is `NodesListed`."""


@dataclass(frozen=True, slots=True)
class WatchNodes:
    """Be told of changes after `version`, until `WatchEnded`."""

    version: str


@dataclass(frozen=True, slots=True)
class Dial:
    """Have the daemon dial these addresses and no others."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expose:
    """Give the host its overlay address, pods' gateway; the answer is `DaemonReady`."""


@dataclass(frozen=True, slots=True)
class MarkAvailable:
    """Write into our own Node that its network is there."""


@dataclass(frozen=True, slots=True)
class FindLeases:
    """Ask for all Leases of ours; the answer is `LeasesFound`."""


@dataclass(frozen=True, slots=True)
class CheckNode:
    """Ask whether the Node of this Lease is gone, and our daemon able to take over; the answer is `NodeChecked`."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class TakeLease:
    """Write ourselves into a Lease, if it is unchanged; the answer is `LeaseTaken`."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class WriteOff:
    """Have the daemon take over what a dead peer owned; `live` are the peers of all Nodes but our own."""

    lease: Lease
    live: tuple[PeerName, ...]


@dataclass(frozen=True, slots=True)
class DropLease:
    """Delete a Lease, if it is unchanged: its work is done."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class RestartDaemon:
    """End the daemon; it is started again under the name that its node has now."""

    why: str


Action = (
    ListNodes | WatchNodes | Dial | Expose | MarkAvailable | FindLeases | CheckNode | TakeLease | WriteOff | DropLease
    | RestartDaemon
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NodesListed:
    """All Nodes there are, and the version of that."""

    nodes: tuple[Node, ...]
    version: str


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A Node is new or has changed."""

    node: Node


@dataclass(frozen=True, slots=True)
class NodeGone:
    """A Node was deleted."""

    node: Node


@dataclass(frozen=True, slots=True)
class VersionReached:
    """All there is to tell up to this version has been told."""

    version: str


@dataclass(frozen=True, slots=True)
class WatchEnded:
    """The API server tells us no more."""

    expired: bool = False  # it has forgotten what happened since our version
    error: str = ""  # "" for the end of its time


@dataclass(frozen=True, slots=True)
class DaemonReady:
    """The daemon runs under this name, and the host has an overlay address."""

    peer: PeerName


@dataclass(frozen=True, slots=True)
class LeasesFound:
    """All Leases of ours."""

    leases: tuple[Lease, ...]


@dataclass(frozen=True, slots=True)
class NodeChecked:
    """Whether the Node of a Lease is gone for certain."""

    lease: Lease
    gone: bool


@dataclass(frozen=True, slots=True)
class LeaseTaken:
    """A Lease is ours, as it is now."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Done:
    """An action without an answer of its own was carried out."""

    action: Action


@dataclass(frozen=True, slots=True)
class Failed:
    """An action was not carried out; it is tried again, later."""

    action: Action
    error: str
    gone: bool = False  # its object is not there any more
    changed: bool = False  # its object is not as the action took it to be


Event = (
    NodesListed | NodeSeen | NodeGone | VersionReached | WatchEnded | DaemonReady | LeasesFound | NodeChecked
    | LeaseTaken | Done | Failed
)  # fmt: skip
