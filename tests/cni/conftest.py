"""Plugins to try: our own with a real daemon, and one of Debian's, each on a pretend host of its own."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ripstop.cni.assembly import assemble
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from tests.cni.suite import Runtime
from tests.e2e.conftest import lab_name

PYTHON, RUN_DIR = Path("/usr/bin/python3"), Path("/run/ripstop")
_DIRECTORY = tempfile.TemporaryDirectory(prefix="ripstop-cni-")
DEBIAN = Path("/usr/lib/cni")  # containernetworking-plugins
CAPABILITIES = {"ips": True, "mac": True}


def executable(path: Path, content: bytes) -> Path:
    """Write a program."""
    path.write_bytes(content)
    path.chmod(0o755)
    return path


PLUGIN = executable(Path(_DIRECTORY.name) / "ripstop-cni", assemble(PYTHON, RUN_DIR))  # as `ripstop cni install` does


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    """Two hosts for everybody: each test removes what it attached."""
    with Lab(hosts=2, name=lab_name()) as lab:
        yield lab


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.host("h1")


def runtime_of(host: Host, **config: object) -> Runtime:
    """Return a runtime on a pretend host, with our plugin."""
    ours = {"name": "overlay", "type": "ripstop-cni", "capabilities": CAPABILITIES, **config}
    return Runtime(PLUGIN, ours, host.netns, {"RIPSTOP_RUN_DIR": str(host.run_dir)})


@pytest.fixture
def runtime(host: Host) -> Runtime:
    runtime = runtime_of(host)
    with runtime.sandbox() as sandbox:
        sandbox.add()  # what is made once and for all is no leftover
    return runtime


@pytest.fixture(scope="package")
def bridge(tmp_path_factory: pytest.TempPathFactory, bare: Lab) -> Runtime:
    """Return a runtime with Debian's `bridge` and `host-local`."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": "10.99.0.0/16"}]],
        "dataDir": str(tmp_path_factory.mktemp("host-local")),
    }
    config = json.loads(json.dumps({"name": "bridged", "type": "bridge", "bridge": "cni0", "isGateway": True,
                                    "isDefaultGateway": True, "ipam": ipam,
                                    "capabilities": CAPABILITIES}))  # fmt: skip
    runtime = Runtime(DEBIAN / "bridge", config, bare.host("h1").netns)
    with runtime.sandbox() as sandbox:
        sandbox.add()
    return runtime


@pytest.fixture(scope="package")
def bare() -> Iterator[Lab]:
    with Lab(hosts=1, name=lab_name(), daemons=False) as lab:
        yield lab
