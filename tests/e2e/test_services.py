"""Services of Kubernetes as kube-proxy makes them: its rules on two hosts, pods behind them, and somebody outside."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from tests.e2e.conftest import lab_name
from tests.e2e.proxies import WAYS, Service, host_port
from tests.kubernetes.conftest import running

PODS = "10.32.0.0/12"
PORT = 8080
HERE = Path(__file__).parent
WEB, NAMES, LOCAL, SELF, SILENT = "10.96.0.10", "10.96.0.11", "10.96.0.12", "10.96.0.13", "10.96.0.14"


@dataclass(frozen=True, slots=True)
class Town:
    """h1 and h2 are nodes with two pods each, h3 is outside."""

    lab: Lab

    def pod(self, name: str) -> str:
        """Return a pod's address."""
        return self.lab.container(name).address()

    def host(self, name: str) -> str:
        """Return a host's address on the underlay."""
        return str(self.lab.host(name).interface.ip)

    def ask(
        self, who: str, protocol: str, address: str, port: int, times: int = 1, size: int = 0, source: int = 0
    ) -> list[tuple[str, str, int]]:
        """Have somebody ask, and return who answered, whom that saw, and how many bytes came."""
        words = [protocol, address, str(port), str(times), str(size), *([str(source)] if source else [])]
        done = self.lab.node(who).run([sys.executable, str(HERE / "asking.py"), *words])
        lines = [line.split() for line in done.stdout.splitlines()]
        return [(name, peer, int(length)) for name, peer, length in lines]


def services(town: Town, host: Host) -> tuple[Service, ...]:
    """Return the services as kube-proxy sees them on a host."""
    members = tuple(town.pod(name) for name in ("h1c2", "h2c1"))
    here = tuple(town.pod(name) for name in ("h1c2", "h2c1") if name.startswith(host.name))
    own = (town.pod("h1c1"),)
    return (
        Service("WEB", WEB, "tcp", 80, members, PORT, node_port=30080),
        Service("NAMES", NAMES, "udp", 53, members, PORT),
        Service("LOCAL", LOCAL, "tcp", 80, members, PORT, node_port=30081, local=here),
        Service("SELF", SELF, "tcp", 80, own, PORT),
        Service("SILENT", SILENT, "udp", 53, (town.pod("h2c2"),), 9),
    )


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Lab(hosts=3, name=lab_name(), containers=2, daemons=False))
        nodes = [lab.host("h1"), lab.host("h2")]
        for host in nodes:
            host.start_daemon(["--init=consensus=2"])
        for host in nodes:
            host.wait(reachable=1)
            host.ripstop("expose")
            host.run(["ip", "route", "add", "default", "via", str(lab.host("h3").interface.ip)])
            for number in (1, 2):
                host.attach(lab.container(f"{host.name}c{number}"), gateway=True)
        for name in ("h1c1", "h1c2", "h2c1", "h2c2"):
            pod = lab.container(name)
            log = tmp_path_factory.mktemp(name) / "log"
            stack.enter_context(
                running(pod.command([sys.executable, str(HERE / "answering.py"), name, str(PORT)]), log)
            )
        yield Town(lab)


@pytest.fixture(scope="module", params=WAYS)
def town(hosts: Town, request: pytest.FixtureRequest) -> Iterator[Town]:
    """The hosts with kube-proxy's rules, in one way after the other."""
    way = WAYS[request.param]
    nodes = (hosts.lab.host("h1"), hosts.lab.host("h2"))
    for host in nodes:
        load(host, way.command, way.rules(services(hosts, host), PODS))
    yield hosts
    for host in nodes:
        flush(host)


def load(host: Host, command: tuple[str, ...], rules: str) -> None:
    done = subprocess.run(host.command(command), input=rules, text=True, capture_output=True, check=False)
    assert done.returncode == 0, (done.stderr, rules)


def flush(host: Host) -> None:
    for program in ("iptables-legacy", "iptables-nft"):
        for table in ("nat", "filter"):
            host.run([program, "-t", table, "-F"])
            host.run([program, "-t", table, "-X"])
    host.run(["nft", "delete", "table", "ip", "kube-proxy"], check=False)


def test_a_pod_reaches_members_here_and_there_and_is_seen_as_itself(town: Town) -> None:
    for protocol, address, port in (("tcp", WEB, 80), ("udp", NAMES, 53)):
        answers = town.ask("h1c1", protocol, address, port, times=24)
        assert {(name, peer) for name, peer, _ in answers} == {("h1c2", town.pod("h1c1")), ("h2c1", town.pod("h1c1"))}


def test_large_answers_come_whole_be_they_segmented_or_fragmented(town: Town) -> None:
    for protocol, address, port, size in (("tcp", WEB, 80, 1 << 20), ("udp", NAMES, 53, 6000)):
        answers = town.ask("h1c1", protocol, address, port, times=12, size=size)
        assert {(name, length) for name, _, length in answers} == {("h1c2", size), ("h2c1", size)}


def test_a_pod_reaches_itself_through_its_service(town: Town) -> None:
    ((name, _, _),) = town.ask("h1c1", "tcp", SELF, 80)
    assert name == "h1c1"


def test_a_refusal_comes_back_though_it_quotes_the_member(town: Town) -> None:
    assert town.ask("h1c1", "udp", SILENT, 53) == [("error", "ConnectionRefusedError", 0)]


def test_a_host_reaches_services_and_pods(town: Town) -> None:
    assert {name for name, _, _ in town.ask("h1", "tcp", WEB, 80, times=24)} == {"h1c2", "h2c1"}
    for pod in ("h1c1", "h2c1"):
        ((name, _, _),) = town.ask("h1", "tcp", town.pod(pod), PORT)
        assert name == pod
    assert town.lab.node("h1c1").ping(town.host("h1")) is not None
    assert town.lab.node("h1c1").ping(town.host("h2")) is not None


def test_outside_a_node_port_is_open_on_every_node(town: Town) -> None:
    for node in ("h1", "h2"):
        answers = town.ask("h3", "tcp", town.host(node), 30080, times=24)
        assert {name for name, _, _ in answers} == {"h1c2", "h2c1"}


def test_with_the_policy_local_the_client_is_seen_as_itself(town: Town) -> None:
    for node, member in (("h1", "h1c2"), ("h2", "h2c1")):
        answers = town.ask("h3", "tcp", town.host(node), 30081, times=4)
        assert {(name, peer) for name, peer, _ in answers} == {(member, town.host("h3"))}


def test_pods_reach_node_ports_of_their_own_node_and_of_others(town: Town) -> None:
    for node in ("h1", "h2"):
        for port in (30080, 30081):
            answers = town.ask("h1c1", "tcp", town.host(node), port, times=12)
            assert {name for name, _, _ in answers} <= {"h1c2", "h2c1"}


def test_a_connection_past_the_service_from_the_same_port_is_not_turned(town: Town) -> None:
    member = town.pod("h2c1")
    load(town.lab.host("h1"), ("nft", "-f", "-"), ONE_WAY.format(member=member, port=PORT))
    try:
        for protocol in ("tcp", "udp"):
            for address in ("10.96.0.20", member, "10.96.0.20", member):
                assert [name for name, _, _ in town.ask("h1c1", protocol, address, PORT, source=40000)] == ["h2c1"]
    finally:
        town.lab.node("h1").run(["nft", "delete", "table", "ip", "one-way"])


ONE_WAY = """
table ip one-way {{
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr 10.96.0.20 dnat to {member}
    }}
}}
"""


def test_what_leaves_the_cluster_is_masqueraded_and_nothing_else(hosts: Town, tmp_path: Path) -> None:
    outside = hosts.lab.node("h3")
    with running(outside.command([sys.executable, str(HERE / "answering.py"), "h3", str(PORT)]), tmp_path / "log"):
        seen: set[str] = set()
        while not seen:
            seen = {peer for name, peer, _ in hosts.ask("h1c1", "tcp", hosts.host("h3"), PORT) if name == "h3"}
        assert seen == {hosts.host("h1")}
    own = hosts.pod("h1c1")
    for pod in ("h1c2", "h2c1"):
        assert [(name, peer) for name, peer, _ in hosts.ask("h1c1", "tcp", hosts.pod(pod), PORT)] == [(pod, own)]


@pytest.mark.parametrize("program", ["iptables-legacy-restore", "iptables-nft-restore"])
def test_a_host_port_is_the_pods_for_outsiders_neighbors_and_itself(hosts: Town, program: str) -> None:
    host, member = hosts.lab.host("h1"), hosts.pod("h1c2")
    load(host, (program, "--noflush"), host_port("tcp", 8443, member, PORT, PODS))
    try:
        for who in ("h3", "h1c1", "h2c1", "h1c2", "h1"):
            assert [name for name, _, _ in hosts.ask(who, "tcp", hosts.host("h1"), 8443)] == ["h1c2"], who
        ((_, peer, _),) = hosts.ask("h3", "tcp", hosts.host("h1"), 8443)
        assert peer == hosts.host("h3")
    finally:
        flush(host)
