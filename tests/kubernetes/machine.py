"""A pretend host as a machine of a cluster: Debian's containerd, and pods started on it as a kubelet does.

The machine has a mount namespace of its own, where the places that manifests mount from the host are directories of
the test.  Images have nothing in them but busybox: what else a container needs is the real machine's, read-only.  With
the path of a tar archive in the environment variable RIPSTOP_IMAGE, what the manifests call for is that image instead.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from ripstop.lab.host import Host
from ripstop.lab.node import Node
from tests.cni.containers import CONFIG, IMAGE, MOUNTS, TIME_LIMIT, make_directories, remove_control_groups
from tests.kubernetes import cri

ROOT = Path(__file__).parents[2]
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
SYSTEM = ("/bin", "/sbin", "/lib", "/lib64", "/usr", sys.base_prefix, str(ROOT))  # of the real machine, in containers
BUILT = os.environ.get("RIPSTOP_IMAGE", "")
_PODS = """
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  disable_tcp_service = true
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
"""
_MOUNTS = """
mkdir /opt/run /opt/state
mount --bind {run} /opt/run
mount --bind {state} /opt/state
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mkdir -p /run/ripstop /run/netns /var/lib/ripstop
mount --move /opt/run /run/ripstop
mount --move /opt/state /var/lib/ripstop
mount -t bpf bpf /sys/fs/bpf
mount --make-rshared /
exec containerd --config {directory}/config.toml
"""
_POD, _NODE = 0, 2  # NamespaceMode
_RUNTIME_DEFAULT = 0  # SecurityProfile: stricter than what kubelets do by default, and some do it
_PRIVATE, _FROM_HOST = 0, 1  # MountPropagation
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
Object = dict[str, Any]


@dataclass(slots=True)
class Pod:
    """A pod that runs."""

    sandbox: str
    config: cri.Message
    containers: dict[str, str] = field(default_factory=dict)  # id, by name
    grace: int = 30  # seconds


class Machine:
    """Runs containerd, and what it is told to."""

    def __init__(self, host: Host, directory: Path, image: Path) -> None:
        self.host, self._directory = host, directory
        self._socket = directory / "containerd.sock"
        make_directories(directory)
        for made in (directory / "logs", host.run_dir, host.state_dir):
            made.mkdir(parents=True)
        config = CONFIG.format(directory=directory, disabled="") + _PODS.format(image=IMAGE)
        (directory / "config.toml").write_text(config)
        self._pods: list[Pod] = []
        mounts = (MOUNTS + _MOUNTS).format(directory=directory, run=host.run_dir, state=host.state_dir)
        with (directory / "containerd.log").open("ab") as log:
            self._containerd = subprocess.Popen(
                host.command(["unshare", "--mount", "sh", "-c", mounts]), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._await()
        for path in filter(None, (str(image), BUILT)):
            load = ["ctr", "--address", str(self._socket), "--namespace", "k8s.io", "images", "import",
                    "--snapshotter", "native", path]  # fmt: skip
            subprocess.run(load, check=True, capture_output=True)

    def look(self, *command: str) -> str:
        """Run a command on the machine itself, and return what it says."""
        entering = ["nsenter", f"--target={self._containerd.pid}", "--mount", "--net", "--", *command]
        return subprocess.run(entering, check=True, capture_output=True, text=True).stdout

    def start(self, template: Object, **about: Any) -> Pod:
        """Start a pod by the template in a manifest.

        Args:
            template: `metadata` and `spec` of the pod.
            about: namespace, annotations, and what the kubelet adds of its own: environment, account.
        """
        spec, name = template["spec"], template["metadata"].get("name", f"pod-{uuid4().hex[:6]}")
        network = _NODE if spec.get("hostNetwork") else _POD
        annotations = template["metadata"].get("annotations", {})
        namespaces = {1: network, 2: _POD if spec.get("shareProcessNamespace") else 1, 3: _POD}
        config = {
            1: {1: name, 2: uuid4().hex, 3: template["metadata"].get("namespace", "default")},
            2: "" if network == _NODE else name,
            3: f"{self._directory}/logs",
            7: cri.text_map(annotations),
            8: {1: f"/{self.host.netns}", 2: {1: namespaces, 9: {1: _RUNTIME_DEFAULT}}},
        }
        sandbox = self._call("RunPodSandbox", {1: config})[1][0].decode()
        pod = Pod(sandbox, config, grace=spec.get("terminationGracePeriodSeconds", 30))
        self._pods.append(pod)
        volumes = {one["name"]: one.get("hostPath", {}).get("path") or self._empty() for one in spec.get("volumes", [])}
        for container in spec["containers"]:
            made = self._container(container, volumes, namespaces, **about)
            answer = self._call("CreateContainer", {1: sandbox, 2: made, 3: config})
            pod.containers[container["name"]] = answer[1][0].decode()
            self._call("StartContainer", {1: pod.containers[container["name"]]})
        return pod

    def stop(self, pod: Pod) -> None:
        """End a pod as the kubelet does when it is deleted."""
        for container in pod.containers.values():
            self._call("StopContainer", {1: container, 2: pod.grace}, pod.grace + TIME_LIMIT)
        self._call("StopPodSandbox", {1: pod.sandbox})
        self._call("RemovePodSandbox", {1: pod.sandbox})
        self._pods.remove(pod)

    def run(self, pod: Pod, container: str, command: list[str], seconds: int = 20) -> tuple[int, str]:
        """Run a command in a container, as exec probes do; return its exit code and what it says."""
        answer = self._call("ExecSync", {1: pod.containers[container], 2: command, 3: seconds})
        said = b"".join((*answer.get(1, []), *answer.get(2, [])))
        return answer.get(3, [0])[0], said.decode(errors="replace")

    def said(self, container: str) -> str:
        """Return what all containers of that name have printed."""
        return "".join(path.read_text() for path in sorted((self._directory / "logs").glob(f"{container}-*.log")))

    def node(self, path: str) -> Node:
        """Return a namespace of this machine, given by its path there, as a node of the lab."""
        return Node("pod", f"../../proc/{self._containerd.pid}/root{path.replace('/var/run', '/run', 1)}")

    def close(self) -> None:
        """End everything."""
        for pod in reversed(self._pods[:]):
            with contextlib.suppress(cri.CriError):
                pod.grace = 0
                self.stop(pod)
        self._containerd.terminate()
        self._containerd.wait(TIME_LIMIT)
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self._directory).encode() in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
        remove_control_groups(self.host.netns)

    def _container(
        self, container: Object, volumes: Mapping[str, str], namespaces: cri.Message, *,
        environment: Mapping[str, str], account: Path | None = None,
    ) -> cri.Message:  # fmt: skip
        context = container.get("securityContext", {})
        wanted = context.get("capabilities", {})
        limits = container.get("resources", {}).get("limits", {})
        mounts = [
            _mount(volumes[one["name"]], one["mountPath"], one.get("mountPropagation", ""))
            for one in container.get("volumeMounts", [])
        ]
        if account is not None:
            mounts.append(_mount(str(account), ACCOUNT) | {3: True})
        built = container.get("image") if BUILT else None
        if built is None:
            mounts += [_mount(str(Path(one).resolve()), one) | {3: True} for one in dict.fromkeys(SYSTEM)]
            environment = {**environment, "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"}
        return {
            1: {1: container["name"]},
            2: {1: built or IMAGE},
            3: container["command"],
            6: [{1: key, 2: value} for key, value in environment.items()],
            7: mounts,
            11: f"{container['name']}-{uuid4().hex[:6]}.log",
            15: {
                1: {4: _bytes(limits.get("memory", "0"))},
                2: {
                    1: {1: wanted.get("add", []), 2: wanted.get("drop", [])},
                    3: namespaces,
                    7: context.get("readOnlyRootFilesystem", False),
                    11: not context.get("allowPrivilegeEscalation", True),
                    15: {1: _RUNTIME_DEFAULT},
                },
            },
        }

    def _empty(self) -> str:
        made = self._directory / "empty" / uuid4().hex
        made.mkdir(parents=True)
        return str(made)

    def _call(self, method: str, message: cri.Message, seconds: float = TIME_LIMIT) -> dict[int, list[Any]]:
        return cri.call(self._socket, method, message, seconds)

    def _await(self) -> None:
        deadline = time.monotonic() + TIME_LIMIT
        while True:
            try:
                self._call("Version", {})
            except cri.CriError:
                said = (self._directory / "containerd.log").read_text()[-800:]
                assert self._containerd.poll() is None and time.monotonic() < deadline, said
                time.sleep(0.05)
            else:
                return


def _mount(source: str, target: str, propagation: str = "") -> dict[int, Any]:
    return {1: target, 2: source, 5: _FROM_HOST if propagation == "HostToContainer" else _PRIVATE}


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) * _UNITS[quantity[-2:]] if quantity[-2:] in _UNITS else int(quantity)


@contextlib.contextmanager
def machine_of(host: Host, directory: Path, image: Path) -> Iterator[Machine]:
    """Run a machine; nothing of it is left after the block."""
    made = Machine(host, directory, image)
    try:
        yield made
    finally:
        made.close()
