"""Three pretend hosts as Nodes: real launchers, agents and daemons, and an API server that is played."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ripstop.client import DaemonUnreachableError, RefusedError
from ripstop.core.names import PeerName
from ripstop.kubernetes.objects import CLUSTER_LEASE, lease_name, peer_name
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from tests.e2e.conftest import lab_name
from tests.e2e.polling import eventually
from tests.kubernetes.apiserver import LEASES, NODES, ApiServer
from tests.kubernetes.conftest import has_network, listen_on, running, words

PORT = 8001  # on the loopback of every pretend host
ALL = 1 << 20  # addresses in the default range


class Nodes:
    """The pods of the DaemonSet: what runs on each host."""

    def __init__(self, lab: Lab, api: ApiServer, account: Path) -> None:
        self.lab, self.api, self.account = lab, api, account
        self._open: dict[str, contextlib.ExitStack] = {}

    def start(self, host: Host, *commands: str) -> None:
        """Start programs of the pod: `daemon`, `agent`."""
        host.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for command in commands:
            line = words(command, host, PORT, self.account)
            stack = self._open.setdefault(f"{host.name}/{command}", contextlib.ExitStack())
            stack.enter_context(running(host.command(line), host.directory / f"{command}.log"))

    def stop(self, host: Host, *commands: str) -> None:
        """End programs of the pod by SIGTERM."""
        for command in commands:
            self._open.pop(f"{host.name}/{command}").close()

    def stop_all(self) -> None:
        """End everything."""
        for stack in self._open.values():
            stack.close()


@pytest.fixture
def nodes(api: ApiServer, account: Path) -> Iterator[Nodes]:
    with Lab(hosts=3, name=lab_name(), containers=1, daemons=False) as lab:
        for host in lab.hosts:
            listen_on(api, host, PORT)
            api.node(host.name, str(host.interface.ip))
        nodes = Nodes(lab, api, account)
        try:
            yield nodes
        finally:
            nodes.stop_all()


def shares(host: Host) -> dict[str, int]:
    try:
        return {peer.nickname: peer.addresses for peer in host.client.call("ipam").peers if not peer.lost}
    except (DaemonUnreachableError, RefusedError):
        return {}


def come_up(nodes: Nodes) -> tuple[Host, ...]:
    """Start daemon and agent on all nodes, and wait until pods could run there."""
    for host in nodes.lab.hosts:
        nodes.start(host, "daemon", "agent")
    eventually(lambda: all(has_network(nodes.api, host.name) for host in nodes.lab.hosts), 60)
    return nodes.lab.hosts


def test_a_cluster_comes_up_loses_a_node_while_agents_are_down_and_takes_its_addresses_back_once(nodes: Nodes) -> None:
    lab, api = nodes.lab, nodes.api
    one, two, three = come_up(nodes)
    for host in lab.hosts:
        container = lab.container(f"{host.name}c1")
        host.attach(container, gateway=True)
    assert lab.container("h1c1").ping(lab.container("h3c1").address()) is not None
    eventually(lambda: set(shares(one)) == {"h1", "h2", "h3"} and shares(one) == shares(two))
    cluster = api.get(LEASES, CLUSTER_LEASE)
    assert cluster is not None
    assert cluster["metadata"]["annotations"]["ripstop/divided"] == "true"
    lost = shares(one)["h3"]
    gone = api.get(NODES, "h3")
    assert gone is not None
    peer = peer_name(gone["metadata"]["uid"])
    assert three.status().name == peer

    nodes.stop(one, "agent")
    nodes.stop(two, "agent")
    nodes.stop(three, "agent", "daemon")
    lab.unplug("h3")
    api.delete(NODES, "h3")
    assert lease_name(peer) in api.names(LEASES)
    nodes.start(one, "agent")
    nodes.start(two, "agent")
    eventually(lambda: lease_name(peer) not in api.names(LEASES), 90)
    assert lost > 0
    eventually(lambda: shares(one) == shares(two) and set(shares(one)) == {"h1", "h2"})
    assert sum(shares(one).values()) == ALL
    told = [(host.directory / "agent.log").read_text() for host in (one, two)]
    assert sum(text.count(f"{lost} addresses taken over") for text in told) == 1, told
    eventually(lambda: [target.address for target in one.client.call("targets")] == [f"{two.interface.ip}:6783"])


def test_work_is_finished_for_an_agent_that_died_after_it_had_addresses_taken_back(nodes: Nodes) -> None:
    lab, api = nodes.lab, nodes.api
    one, two, three = come_up(nodes)
    peer = PeerName(three.status().name)
    nodes.stop(one, "agent")
    nodes.stop(two, "agent")
    nodes.stop(three, "agent", "daemon")
    lab.unplug("h3")
    eventually(lambda: all(is_lost(host, peer) for host in (one, two)), 60)
    one.ripstop("rmpeer", "h3")  # as its agent does; then it dies
    api.delete(NODES, "h3")
    nodes.start(two, "agent")
    eventually(lambda: lease_name(peer) not in api.names(LEASES), 60)
    eventually(lambda: shares(one) == shares(two) and set(shares(one)) == {"h1", "h2"})
    assert sum(shares(one).values()) == ALL


def is_lost(host: Host, peer: PeerName) -> bool:
    return all(one.state == "unreachable" for one in host.client.call("peers") if one.name == peer)


def test_a_node_made_again_under_its_name_is_a_new_peer_and_its_former_self_is_written_off(nodes: Nodes) -> None:
    lab, api = nodes.lab, nodes.api
    one, two, _ = lab.hosts
    api.delete(NODES, "h3")
    for host in (one, two):
        nodes.start(host, "daemon", "agent")
    eventually(lambda: all(has_network(api, host.name) for host in (one, two)), 60)
    former = two.status().name
    two.attach(lab.container("h2c1"))
    api.delete(NODES, "h2")
    made = api.node("h2", str(two.interface.ip))
    again = peer_name(made["metadata"]["uid"])
    assert again != former
    process = nodes
    eventually(lambda: "ending the daemon" in (two.directory / "agent.log").read_text(), 60)
    process.stop(two, "daemon")
    process.start(two, "daemon")  # as the kubelet does
    eventually(lambda: bool(shares(two)) and two.status().name == again, 60)
    eventually(lambda: lease_name(again) in api.names(LEASES) and has_network(api, "h2"), 60)
    eventually(lambda: f"ripstop-{former}" not in api.names(LEASES), 90)
    ipam = json.loads(two.ripstop("status", "ipam", "--json").stdout)
    assert [path.name for path in two.state_dir.iterdir() if path.is_dir()] == [again]
    container = lab.container("h2c1").address()
    eventually(lambda: not json.loads(two.ripstop("status", "ipam", "--json").stdout)["strays"], 60)
    assert container in [held["address"] for held in ipam["allocations"]]
