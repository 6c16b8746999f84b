"""The API server that is played, and agents as real processes."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ripstop.client import DaemonUnreachableError, RefusedError
from ripstop.kernel import netns
from ripstop.lab.host import Host
from tests.kubernetes.apiserver import NODES, TOKEN, ApiServer

END = 20.0  # seconds that an agent has to end


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """A service account as the kubelet mounts it."""
    directory = tmp_path / "account"
    directory.mkdir()
    (directory / "token").write_text(TOKEN)
    (directory / "namespace").write_text("kube-system")
    return directory


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """A server that does not listen yet."""
    with ApiServer() as server:
        yield server


def listen_on(server: ApiServer, host: Host, port: int) -> None:
    """Have the server listen on the loopback of a pretend host, too."""
    with netns.opened(str(host.netns_path)) as descriptor, netns.entered(descriptor):
        server.listen(port)


def words(command: str, host: Host, port: int, account: Path, *more: str) -> list[str]:
    """Return the command line of `ripstop kubernetes agent` or `daemon` on a host."""
    return [
        sys.executable, "-P", "-m", "ripstop.cli.main", "kubernetes", command, f"--run-dir={host.run_dir}",
        f"--state-dir={host.state_dir}", f"--node={host.name}", f"--server=http://127.0.0.1:{port}",
        f"--account={account}", *more,
    ]  # fmt: skip


@contextlib.contextmanager
def running(command: Sequence[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process with its words in `log`; it is gone after the block, however that ends."""
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env={**os.environ})
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def is_up(host: Host) -> bool:
    """Return whether the daemon of a host answers."""
    try:
        host.client.call("status")
    except (DaemonUnreachableError, RefusedError):
        return False
    return True


def has_network(api: ApiServer, name: str) -> bool:
    """Return whether a Node says that its network is there."""
    node: dict[str, Any] = api.get(NODES, name) or {"status": {"conditions": []}}
    return any(one["type"] == "NetworkUnavailable" and one["status"] == "False" for one in node["status"]["conditions"])
