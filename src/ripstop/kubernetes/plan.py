"""Which flags a node's daemon gets.  No I/O."""

import re

import msgspec

from ripstop.core.address import Range
from ripstop.core.errors import RequestError, RipstopError
from ripstop.kubernetes.objects import FOUNDER, RANGE, Lease, Node

DEFAULT_RANGE = "10.32.0.0/12"
_POD_SUBNET = re.compile(r"^\s*podSubnet:\s*[\"']?([0-9./]+)", re.MULTILINE)


class PlanError(RipstopError):
    """Node and cluster do not go together; the text says what to do."""


class Plan(msgspec.Struct, frozen=True):
    """What a daemon is told, and kept on disk for the day on which nobody can be asked."""

    peer: str
    node: str
    range: str
    advertise: str  # "": the addresses of its interfaces
    founder: bool  # it divides the range among the peers that are there; the others take part in what it has made
    targets: tuple[str, ...] = ()

    def flags(self) -> list[str]:
        """Return the flags for `ripstop daemon`."""
        advertise = [f"--advertise={self.advertise}"] if self.advertise else []
        init = "consensus=1" if self.founder else "observer"
        return [f"--name={self.peer}", f"--nickname={self.node}", f"--range={self.range}", f"--init={init}", *advertise]


def pod_subnet(cluster_configuration: str) -> str:
    """Return the range for pods that `kubeadm` was given, "" if none is found.

    Args:
        cluster_configuration: that key of the ConfigMap kube-system/kubeadm-config, YAML.
    """
    found = _POD_SUBNET.search(cluster_configuration)
    return found[1] if found else ""


def choose_range(wanted: str, kubeadm: str) -> str:
    """Return the range of a cluster that has none yet: what people asked for, or what kubeadm was given."""
    chosen = wanted or kubeadm or DEFAULT_RANGE
    try:
        Range.parse(chosen)
    except RequestError as error:
        raise PlanError(str(error)) from None
    return chosen


def make(own: Node, nodes: tuple[Node, ...], cluster: Lease, wanted: str) -> Plan:
    """Return the plan for our node.

    Args:
        own: our Node.
        nodes: all of them.
        cluster: what all must agree on.
        wanted: the range asked for here, "" for the cluster's.

    Raises:
        PlanError: the range asked for is not the cluster's.
    """
    agreed = cluster.metadata.annotations
    universe = agreed.get(RANGE, DEFAULT_RANGE)
    if wanted and wanted != universe:
        raise PlanError(
            f"--range {wanted} was asked for, but the cluster's is {universe}, as the annotation {RANGE} of its Lease"
            f" {cluster.metadata.name} says; addresses of it are in use: leave the flag as it was"
        )
    others = {node.underlay for node in nodes if node.metadata.uid != own.metadata.uid} - {""}
    return Plan(
        peer=own.peer,
        node=own.name,
        range=universe,
        advertise=own.underlay,
        founder=agreed.get(FOUNDER) == own.peer,
        targets=tuple(sorted(others)),
    )


def is_outside(own: Node, plan: Plan) -> bool:
    """Return whether the node's own pod CIDR is not of the range: then `kube-proxy` may take pods for strangers."""
    if not own.spec.pod_cidr:
        return False
    try:
        return not Range.parse(plan.range).covers(Range.parse(own.spec.pod_cidr))
    except RequestError:
        return False  # IPv6
