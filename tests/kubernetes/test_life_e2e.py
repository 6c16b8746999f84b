"""The DaemonSet from its first pod to nothing left, by its manifests, on machines with Debian's containerd."""

import socket
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ripstop.api.types import Port
from ripstop.lab.lab import Lab
from tests.bpf.packets import BROADCAST, ethernet
from tests.cni.containers import make_image
from tests.e2e.conftest import lab_name
from tests.e2e.multicast.sockets import inside
from tests.e2e.polling import eventually
from tests.kubernetes.apiserver import NODES, ApiServer
from tests.kubernetes.conftest import has_network, listen_on
from tests.kubernetes.cri import CriError
from tests.kubernetes.machine import Machine, Pod, machine_of
from tests.kubernetes.test_agent import make_certificate
from tests.kubernetes.test_manifest import daemon_set, rendered, written

PORT = 8443  # of the API server, on every machine's loopback
PINGS = 3000
PATIENCE = 60.0  # seconds
EXPERIMENT = 0x88B5  # IEEE 802, local experimental EtherType
Object = dict[str, Any]


class Cluster:
    """Machines with an API server, and what the DaemonSet controller and kubelets do."""

    def __init__(self, machines: list[Machine], api: ApiServer, account: Path) -> None:
        self.machines, self.api, self._account = machines, api, account

    def start(self, machine: Machine, objects: list[Object]) -> Pod:
        """Start the pod of a DaemonSet on a machine, and wait until its probes say that it is ready."""
        template = daemon_set(objects)["spec"]["template"]
        environment = {"NODE_NAME": machine.host.name, "KUBERNETES_SERVICE_HOST": "127.0.0.1",
                       "KUBERNETES_SERVICE_PORT": str(PORT)}  # fmt: skip
        account = self._account if template["spec"].get("automountServiceAccountToken", True) else None
        pod = machine.start(template, environment=environment, account=account)
        eventually(partial(is_ready, machine, pod, template["spec"]["containers"]), PATIENCE)
        return pod

    def install(self, *settings: str) -> list[Pod]:
        """Start the DaemonSet everywhere and wait until every Node has its network."""
        pods = [self.start(machine, rendered(*settings)) for machine in self.machines]
        for machine in self.machines:
            eventually(partial(has_network, self.api, machine.host.name), PATIENCE)
            eventually(partial(is_installed, machine), PATIENCE)
        return pods


def is_ready(machine: Machine, pod: Pod, containers: list[Object]) -> bool:
    """Ask all probes of a pod's containers, as the manifest has them."""
    for container in reversed(containers):  # those that cost least first
        for probe in (value for key, value in container.items() if key.endswith("Probe")):
            if command := probe.get("exec", {}).get("command"):
                if machine.run(pod, container["name"], command, probe.get("timeoutSeconds", 1))[0]:
                    return False
            else:
                at = probe["httpGet"]
                asked = ["curl", "--silent", "--fail", f"http://{at['host']}:{at['port']}{at['path']}"]
                if machine.host.run(asked, check=False).returncode:
                    return False
    return True


def is_installed(machine: Machine) -> bool:
    """Return whether the runtime finds the network."""
    return "10-ripstop.conflist" in machine.look("ls", "/etc/cni/net.d")


def application(machine: Machine, namespace: str = "default", guard: str = "") -> tuple[Pod, Port]:
    """Start a pod that does nothing; return it and its interface."""
    known = {port.container for port in machine.host.client.call("ports")}
    meta = {"namespace": namespace, "annotations": {"ripstop/guard": guard} if guard else {}}
    idle = {"name": "idle", "command": ["/bin/sleep", "1000000"]}
    spec = {"containers": [idle], "terminationGracePeriodSeconds": 0}
    pod = machine.start({"metadata": meta, "spec": spec}, environment={})
    (port,) = [port for port in machine.host.client.call("ports") if port.container not in known]
    return pod, port


def address(port: Port) -> str:
    return port.addresses[0].partition("/")[0]


def left(machine: Machine) -> str:
    """Return what a machine has that a network could leave behind."""
    places = "/opt/cni/bin /etc/cni /run/ripstop /var/lib/ripstop /run/netns /sys/fs/bpf"
    return machine.look(
        "sh", "-c", f'ip -brief link | cut -d" " -f1; ip -4 route show table all; tc qdisc show; nft list ruleset;'
        f" find {places} | sort"
    )  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    make_certificate(tmp_path, "ca")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "ca.key")
    make_image(tmp_path / "image.tar")
    account = tmp_path / "account"
    account.mkdir()
    (account / "namespace").write_text("kube-system")
    (account / "ca.crt").write_bytes((tmp_path / "ca.crt").read_bytes())
    with ApiServer(context=context) as api, Lab(hosts=2, name=lab_name(), daemons=False) as lab:
        (account / "token").write_text(api.token)
        for host in lab.hosts:
            listen_on(api, host, PORT)
            api.node(host.name, str(host.interface.ip))
        one, two = lab.hosts
        image = tmp_path / "image.tar"
        with machine_of(one, tmp_path / "1", image) as first, machine_of(two, tmp_path / "2", image) as second:
            yield Cluster([first, second], api, account)


def test_from_install_over_a_rolling_update_to_nothing_left(cluster: Cluster) -> None:
    one, two = cluster.machines
    before = [left(machine) for machine in cluster.machines]
    pods = cluster.install()
    (here, port), (there, target) = application(one), application(two)
    sender = one.node(port.netns)
    assert sender.ping(address(target)) is not None

    pings = sender.start(["ping", "-q", "-i", "0.002", "-c", str(PINGS), address(target)])
    for at, machine in enumerate(cluster.machines):
        machine.stop(pods[at])
        pods[at] = cluster.start(machine, written())
    said, _ = pings.communicate(timeout=120)
    assert f"{PINGS} packets transmitted, {PINGS} received" in said, said

    for machine, pod in zip(cluster.machines, pods, strict=True):
        assert not machine.host.status().problems
        machine.stop(pod)
    assert sender.ping(address(target)) is not None  # as the page on uninstalling says
    one.stop(here)
    two.stop(there)
    for machine, had in zip(cluster.machines, before, strict=True):
        machine.stop(cluster.start(machine, written("uninstall.yaml")))
        assert left(machine) == had


def test_the_agent_ends_a_daemon_whose_node_was_made_again(cluster: Cluster) -> None:
    """By a signal to a process of another container, without any capability."""
    machine = cluster.machines[0]
    pod = cluster.start(machine, written())
    eventually(partial(has_network, cluster.api, machine.host.name), PATIENCE)
    cluster.api.delete(NODES, machine.host.name)
    cluster.api.node(machine.host.name, str(machine.host.interface.ip))
    eventually(lambda: has_ended(machine, pod, "daemon"), PATIENCE)
    assert "ending the daemon" in machine.said("agent")


def has_ended(machine: Machine, pod: Pod, container: str) -> bool:
    """Return whether a container runs no more."""
    try:
        machine.run(pod, container, ["true"])
    except CriError as error:
        return "CONTAINER_EXITED" in str(error)
    return False


def test_a_pod_has_the_guard_of_its_annotation_where_its_namespace_may(cluster: Cluster) -> None:
    one, two = cluster.machines
    cluster.install("--set", "cni.flags={--guard-by-annotation=vms}")
    _, ordinary = application(one)
    _, virtual = application(one, "vms", "off")
    _, router = application(one, "vms", "mac,dhcp")
    _, listener = application(two)
    assert ordinary.guards == ("mac", "ip", "router", "dhcp")
    assert (virtual.guards, router.guards) == ((), ("mac", "dhcp"))
    with pytest.raises(CriError, match="pods of namespace 'default' may not have 'off'"):
        application(one, "default", "off")
    with pytest.raises(CriError, match="guard 'arp' is not one of"):
        application(one, "vms", "arp")
    assert len(one.host.client.call("ports")) == 3

    with inside(two.node(listener.netns)):
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EXPERIMENT))
        ear.bind(("eth0", EXPERIMENT))
    with ear:
        ear.settimeout(PATIENCE)
        for port in (ordinary, virtual):
            with inside(one.node(port.netns)), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as mouth:
                mouth.bind(("eth0", 0))
                mouth.send(ethernet(BROADCAST, "0a:00:00:00:00:99", port.container.encode(), EXPERIMENT))
        assert virtual.container.encode() in ear.recv(1 << 16)  # and the one that was sent before it did not come
