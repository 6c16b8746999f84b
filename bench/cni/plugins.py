"""The plugins that are compared, called as a runtime calls them, and the containers they are called for."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.ways import DIRECT, KERNEL
from ripstop.cni.assembly import assemble
from ripstop.core.errors import RipstopError
from ripstop.lab import namespaces
from ripstop.lab.host import Host

DEBIAN = Path("/usr/lib/cni")  # containernetworking-plugins
PATIENCE = 120.0  # seconds for one call


class CallError(RipstopError):
    """A plugin failed: nothing can be compared."""


@dataclass
class Plugin:
    """One plugin on a pretend host."""

    key: str
    path: Path
    host: Host
    config: dict[str, object]
    ifname: str
    environment: dict[str, str] = field(default_factory=dict)

    def call(self, command: str, container: str) -> float:
        """Call it for one container, to the end; return how long that took, in ms.

        Raises:
            CallError: it failed.
        """
        begin = time.perf_counter()
        process = self.start(command, container)
        printed, _ = process.communicate(timeout=PATIENCE)
        took = (time.perf_counter() - begin) * 1000
        if process.returncode:
            raise CallError(f"{self.path.name} {command} {container}: {printed.strip()}")
        return took

    def start(self, command: str, container: str) -> "subprocess.Popen[str]":
        """Start a call."""
        environment = {
            **self.environment, "PATH": os.defpath, "CNI_COMMAND": command, "CNI_CONTAINERID": container,
            "CNI_NETNS": str(namespaces.path(container)), "CNI_IFNAME": self.ifname, "CNI_PATH": str(DEBIAN),
        }  # fmt: skip
        with (self.host.directory / f"{self.key}.json").open() as config:
            return subprocess.Popen(self.host.command([str(self.path)]), env=environment, stdin=config,
                                    stdout=subprocess.PIPE, text=True)  # fmt: skip

    def write_config(self) -> None:
        """Put its configuration where `start` finds it."""
        (self.host.directory / f"{self.key}.json").write_text(json.dumps(self.config))


def pair(host: Host) -> tuple[Plugin, Plugin]:
    """Return ours, and `bridge` with `host-local`; both give a default route and route for the container."""
    path = host.directory / "ripstop-cni"
    path.write_bytes(assemble(Path("/usr/bin/python3"), host.run_dir))
    path.chmod(0o755)
    ours = Plugin(DIRECT, path, host, {"cniVersion": "1.0.0", "name": "overlay", "type": "ripstop-cni"}, "eth0",
                  {"RIPSTOP_RUN_DIR": str(host.run_dir)})  # fmt: skip
    ipam = {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/16"}]], "dataDir": str(host.directory / "ipam"),
            "routes": [{"dst": "198.51.100.0/24"}]}  # fmt: skip
    bridge = {"cniVersion": "1.0.0", "name": "bridged", "type": "bridge", "bridge": "cni0", "isGateway": True,
              "ipam": ipam}  # fmt: skip
    both = ours, Plugin(KERNEL, DEBIAN / "bridge", host, bridge, "eth1")
    for plugin in both:
        plugin.write_config()
    return both


@contextlib.contextmanager
def containers(host: Host, count: int) -> Iterator[list[str]]:
    """Make so many empty network namespaces, and remove them."""
    names = [f"{host.netns}c{number}" for number in range(1, count + 1)]
    namespaces.run(["ip", "-batch", "-"], given="".join(f"netns add {name}\n" for name in names))
    try:
        yield names
    finally:
        namespaces.run(["ip", "-batch", "-"], given="".join(f"netns delete {name}\n" for name in names))


def burst(plugin: Plugin, command: str, names: Sequence[str]) -> tuple[float, int]:
    """Call a plugin for all containers at once; return seconds until the last is done, and how many failed."""
    begin = time.perf_counter()
    started = [plugin.start(command, name) for name in names]
    failed = 0
    for process in started:
        try:
            process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        failed += process.returncode != 0
    return time.perf_counter() - begin, failed
