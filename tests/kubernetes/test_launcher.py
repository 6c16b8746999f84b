"""The launcher as a real process: what it asks, what it keeps, and a start without an API server."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ripstop.kubernetes.objects import CLUSTER_LEASE, lease_name, peer_name
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from tests.e2e.conftest import lab_name
from tests.e2e.polling import eventually
from tests.kubernetes.apiserver import LEASES, ApiServer
from tests.kubernetes.conftest import is_up, listen_on, running, words

PORT = 8001


@pytest.fixture
def host(api: ApiServer) -> Iterator[Host]:
    with Lab(hosts=1, name=lab_name(), daemons=False) as lab:
        (host,) = lab.hosts
        listen_on(api, host, PORT)
        yield host


def test_a_node_whose_api_server_is_away_starts_as_it_did_last(api: ApiServer, host: Host, account: Path) -> None:
    node = api.node(host.name, str(host.interface.ip), uid="the-first")
    configuration = {"ClusterConfiguration": "networking:\n  podSubnet: 10.48.0.0/14\n"}
    api.put("configmaps", "kubeadm-config", data=configuration)
    command, log = host.command(words("daemon", host, PORT, account)), host.directory / "daemon.log"
    with running(command, log):
        eventually(lambda: is_up(host), 60)
        assert host.status().name == peer_name("the-first")
        assert host.status().range == "10.48.0.0/14"
    assert sorted(api.names(LEASES)) == [CLUSTER_LEASE, lease_name(peer_name(node["metadata"]["uid"]))]
    api.stop()
    with running(command, log):
        eventually(lambda: is_up(host), 60)
        assert host.status().name == peer_name("the-first")
        assert "starting as peer" in log.read_text()
        host.ripstop("down")


def test_a_first_start_waits_for_the_api_server_and_says_so(api: ApiServer, host: Host, account: Path) -> None:
    api.refuse("nodes", 403, 500)
    with running(host.command(words("daemon", host, PORT, account)), host.directory / "daemon.log"):
        eventually(lambda: "apply the ClusterRole" in (host.directory / "daemon.log").read_text(), 30)
        eventually(lambda: "HTTP status 404" in (host.directory / "daemon.log").read_text(), 30)  # no such Node yet
        api.node(host.name, str(host.interface.ip))
        eventually(lambda: is_up(host), 60)
        host.ripstop("down")


def test_another_range_than_the_cluster_s_ends_it_with_one_line(api: ApiServer, host: Host, account: Path) -> None:
    api.node(host.name, str(host.interface.ip))
    api.put(LEASES, CLUSTER_LEASE, metadata={"annotations": {"ripstop/range": "10.32.0.0/12", "ripstop/founder": "x"}})
    done = subprocess.run(
        host.command(words("daemon", host, PORT, account, "--range=10.64.0.0/16")), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "--range 10.64.0.0/16 was asked for, but the cluster's is 10.32.0.0/12" in done.stderr.splitlines()[-1]


def test_without_a_pod_it_says_what_is_missing(host: Host) -> None:
    for missing, line in (
        ([], "which Node is this? give --node"),
        (["--node=n1"], "no API server: this is no pod (KUBERNETES_SERVICE_HOST is not set); give --server URL"),
    ):
        done = host.ripstop("kubernetes", "daemon", *missing, check=False)
        assert done.returncode == 1
        assert line in done.stderr
