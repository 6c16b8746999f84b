"""Which flags a node's daemon gets, from what the API server says."""

import msgspec
import pytest

from ripstop.kubernetes import plan
from ripstop.kubernetes.objects import (
    DIVIDED,
    FOUNDER,
    RANGE,
    Address,
    Lease,
    Meta,
    Node,
    NodeSpec,
    NodeStatus,
    peer_name,
)
from ripstop.kubernetes.plan import PlanError


def node(name: str, *addresses: tuple[str, str], cidr: str = "") -> Node:
    found = tuple(Address(kind, address) for kind, address in addresses)
    return Node(Meta(name, f"uid-{name}"), NodeSpec(cidr), NodeStatus(found))


def cluster(founder: str, universe: str = "10.32.0.0/12") -> Lease:
    return Lease(Meta("ripstop", annotations={FOUNDER: founder, RANGE: universe}))


OWN = node("n1", ("InternalIP", "192.0.2.1"))
OTHER = node(
    "n2", ("Hostname", "n2"), ("ExternalIP", "198.51.100.2"), ("InternalIP", "fd00::2"), ("InternalIP", "192.0.2.2")
)
BARE = node("n3", ("Hostname", "n3"))


def test_a_peer_is_named_after_its_node_s_uid_alone() -> None:
    assert peer_name("a") == peer_name("a") != peer_name("b")
    assert OWN.peer == peer_name("uid-n1")
    assert len(OWN.peer) == 16


@pytest.mark.parametrize(
    ("addresses", "chosen"),
    [
        ([("InternalIP", "192.0.2.1")], "192.0.2.1"),
        ([("ExternalIP", "198.51.100.1"), ("InternalIP", "192.0.2.1")], "192.0.2.1"),
        ([("InternalIP", "fd00::1"), ("InternalIP", "192.0.2.1")], "192.0.2.1"),
        ([("InternalIP", "fd00::1"), ("ExternalIP", "198.51.100.1")], "198.51.100.1"),
        ([("InternalIP", "no address"), ("Hostname", "192.0.2.9")], ""),
        ([], ""),
    ],
)
def test_a_node_is_reached_at_its_first_internal_ipv4_address(addresses: list[tuple[str, str]], chosen: str) -> None:
    assert node("n1", *addresses).underlay == chosen


def test_the_founder_divides_the_range_and_the_others_take_part() -> None:
    founder = plan.make(OWN, (OWN, OTHER, BARE), cluster(OWN.peer), "")
    assert founder.targets == ("192.0.2.2",)
    assert founder.flags() == [
        f"--name={OWN.peer}", "--nickname=n1", "--range=10.32.0.0/12", "--init=consensus=1", "--advertise=192.0.2.1",
    ]  # fmt: skip
    other = plan.make(BARE, (OWN, OTHER, BARE), cluster(OWN.peer), "")
    assert other.targets == ("192.0.2.1", "192.0.2.2")
    assert other.flags()[-1] == "--init=observer"


def test_a_founder_that_lost_its_disk_makes_no_second_ring() -> None:
    agreed = Lease(Meta("ripstop", annotations={FOUNDER: OWN.peer, RANGE: "10.32.0.0/12", DIVIDED: "true"}))
    assert "--init=observer" in plan.make(OWN, (OWN, OTHER), agreed, "").flags()


def test_a_range_that_is_not_the_cluster_s_is_refused_with_both() -> None:
    assert plan.make(OWN, (OWN,), cluster("x"), "10.32.0.0/12").range == "10.32.0.0/12"
    with pytest.raises(PlanError, match=r"--range 10\.64\.0\.0/16 .* the cluster's is 10\.32\.0\.0/12"):
        plan.make(OWN, (OWN,), cluster("x"), "10.64.0.0/16")


def test_the_first_node_takes_the_flag_then_kubeadm_s_then_the_default() -> None:
    assert plan.choose_range("10.64.0.0/16", "10.244.0.0/16") == "10.64.0.0/16"
    assert plan.choose_range("", "10.244.0.0/16") == "10.244.0.0/16"
    assert plan.choose_range("", "") == "10.32.0.0/12"
    for bad in ("10.64.0.1/16", "fd00::/48", "x"):
        with pytest.raises(PlanError, match="range"):
            plan.choose_range(bad, "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("networking:\n  dnsDomain: x\n  podSubnet: 10.244.0.0/16\n  serviceSubnet: 10.96.0.0/12\n", "10.244.0.0/16"),
        ('  podSubnet: "10.244.0.0/16,fd00::/48"\n', "10.244.0.0/16"),
        ("networking:\n  serviceSubnet: 10.96.0.0/12\n", ""),
        ("# podSubnet: 10.244.0.0/16\n", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_reads_kubeadm_s_range_for_pods(text: str, found: str) -> None:
    assert plan.pod_subnet(text) == found


def test_a_pod_cidr_outside_the_range_is_noticed() -> None:
    made = plan.make(OWN, (OWN,), cluster("x"), "")
    for cidr, outside in (("", False), ("10.33.1.0/24", False), ("10.244.0.0/24", True), ("fd00::/64", False)):
        assert plan.is_outside(msgspec.structs.replace(OWN, spec=NodeSpec(cidr)), made) is outside


def test_a_kept_plan_is_read_as_it_was_written() -> None:
    made = plan.make(OWN, (OWN, OTHER), cluster(OWN.peer), "")
    assert msgspec.json.decode(msgspec.json.encode(made), type=plan.Plan) == made
