"""What is read of Kubernetes' objects, and what is concluded from one alone."""

import hashlib
from ipaddress import AddressValueError, IPv4Address

import msgspec

from ripstop.core.names import PeerName

ROLE = "ripstop/role"  # label of our Leases
PEER, CLUSTER = "peer", "cluster"  # its values
NODE, UID, RANGE, FOUNDER = "ripstop/node", "ripstop/uid", "ripstop/range", "ripstop/founder"  # annotations
CLUSTER_LEASE = "ripstop"  # the Lease that holds what all nodes must agree on
UNAVAILABLE = "NetworkUnavailable"  # condition of a Node


class Meta(msgspec.Struct, frozen=True, rename="camel"):
    """`metadata` of any object."""

    name: str = ""
    uid: str = ""
    resource_version: str = ""
    annotations: dict[str, str] = {}
    labels: dict[str, str] = {}


class Address(msgspec.Struct, frozen=True):
    """One address of a Node."""

    type: str = ""
    address: str = ""


class Condition(msgspec.Struct, frozen=True):
    """One condition of a Node."""

    type: str = ""
    status: str = ""


class NodeStatus(msgspec.Struct, frozen=True):
    """`status` of a Node."""

    addresses: tuple[Address, ...] = ()
    conditions: tuple[Condition, ...] = ()


class NodeSpec(msgspec.Struct, frozen=True):
    """`spec` of a Node."""

    pod_cidr: str = msgspec.field(default="", name="podCIDR")


class Node(msgspec.Struct, frozen=True):
    """A Node."""

    metadata: Meta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def name(self) -> str:
        """What people call it; a later Node may have the same."""
        return self.metadata.name

    @property
    def peer(self) -> PeerName:
        """The name of its peer in the mesh."""
        return peer_name(self.metadata.uid)

    @property
    def underlay(self) -> str:
        """The IPv4 address at which other nodes reach it, "" if it has none: InternalIP before ExternalIP."""
        for kind in ("InternalIP", "ExternalIP"):
            for one in self.status.addresses:
                if one.type == kind and _is_ipv4(one.address):
                    return one.address
        return ""

    @property
    def has_network(self) -> bool:
        """Whether it says so, in the words of Kubernetes: the network is not unavailable."""
        return any(one.type == UNAVAILABLE and one.status == "False" for one in self.status.conditions)


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel"):
    """`spec` of a Lease."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    lease_transitions: int | None = None


class Lease(msgspec.Struct, frozen=True):
    """A Lease of ours: of a peer, or the cluster's."""

    metadata: Meta
    spec: LeaseSpec = LeaseSpec()

    @property
    def peer(self) -> PeerName:
        """The peer that it is of."""
        return peer_name(self.uid)

    @property
    def node(self) -> str:
        """The name of the peer's Node."""
        return self.metadata.annotations.get(NODE, "")

    @property
    def uid(self) -> str:
        """The UID of the peer's Node."""
        return self.metadata.annotations.get(UID, "")

    @property
    def role(self) -> str:
        """`PEER` or `CLUSTER`."""
        return self.metadata.labels.get(ROLE, "")

    @property
    def holder(self) -> str:
        """Who works on it, "" if nobody does."""
        return self.spec.holder_identity or ""


def peer_name(uid: str) -> PeerName:
    """Return the name of the peer of the Node with this UID: 16 hex digits that no other UID gives."""
    return PeerName(hashlib.sha256(uid.encode()).hexdigest()[:16])


def lease_name(peer: PeerName) -> str:
    """Return the name of a peer's Lease."""
    return f"ripstop-{peer}"


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True
