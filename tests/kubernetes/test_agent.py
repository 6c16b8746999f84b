"""An agent as a real process against an API server in all its moods; `/readyz` tells what it knows."""

import json
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.polling import eventually
from tests.kubernetes.apiserver import NODES, ApiServer
from tests.kubernetes.conftest import running


@dataclass(frozen=True, slots=True)
class Agent:
    """A running agent."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def told(self) -> dict[str, Any]:
        """Return what it says of itself; nothing while it is not up."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/livez", timeout=5) as answer:
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except OSError:
            return {"nodes": -1, "errors": []}

    def knows(self, nodes: int) -> None:
        """Wait until it knows so many Nodes."""
        eventually(lambda: self.told()["nodes"] == nodes)

    def says(self, text: str) -> None:
        """Wait until it has logged that."""
        eventually(lambda: text in self.log.read_text())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(api: ApiServer) -> ApiServer:
    api.node("n1", "192.0.2.1")
    api.node("n2", "192.0.2.2")
    return api


@pytest.fixture
def agent(server: ApiServer, account: Path, tmp_path: Path) -> Iterator[Agent]:
    """An agent that has not found its server yet: it listens at `api_port`."""
    health = free_port()
    command = [
        sys.executable, "-P", "-m", "ripstop.cli.main", "kubernetes", "agent", "--node=n1",
        f"--server=http://127.0.0.1:{PORT}", f"--account={account}", f"--health=127.0.0.1:{health}",
        f"--run-dir={tmp_path}", f"--state-dir={tmp_path}",
    ]  # fmt: skip
    server.listen(PORT)
    with running(command, tmp_path / "log") as process:
        yield Agent(process, health, tmp_path / "log")


PORT = free_port()


def test_follows_nodes_as_they_come_and_go(server: ApiServer, agent: Agent) -> None:
    agent.knows(2)
    server.node("n3", "192.0.2.3")
    agent.knows(3)
    server.delete(NODES, "n3")
    agent.knows(2)
    lists = [path for _, path in server.requests if "limit=" in path]
    assert len(lists) == 1  # all the rest came by the watch


def test_is_not_ready_without_a_daemon_but_alive(agent: Agent) -> None:
    agent.knows(2)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(f"http://127.0.0.1:{agent.port}/readyz", timeout=5)
    assert agent.process.poll() is None


def test_lists_in_pages(server: ApiServer, agent: Agent) -> None:
    agent.knows(2)
    for number in range(3, 1204):
        server.node(f"n{number}", f"10.0.{number // 250}.{number % 250 + 1}")
    agent.knows(1203)
    server.stop()
    server.delete(NODES, "n2")
    server.compact()
    server.listen(PORT)
    agent.knows(1202)
    assert sum("continue=" in path for _, path in server.requests) == 2


def test_bookmarks_spare_a_new_list_after_what_is_old_is_forgotten(server: ApiServer, agent: Agent) -> None:
    agent.knows(2)
    eventually(lambda: server.watches == 1)
    server.put(NODES, "n2", metadata={"labels": {"a": "b"}})
    server.compact()
    version = server.bookmark()
    eventually(lambda: server.watches == 1)
    server.node("n3", "192.0.2.3")
    agent.knows(3)
    server.cut()
    eventually(lambda: any("watch=1" in path and seen(path) > version for _, path in server.requests))
    server.delete(NODES, "n3")
    agent.knows(2)
    assert sum("limit=" in path for _, path in server.requests) == 1


def seen(path: str) -> int:
    return int(path.partition("resourceVersion=")[2].partition("&")[0])


def test_lists_anew_when_its_version_is_forgotten(server: ApiServer, agent: Agent) -> None:
    agent.knows(2)
    server.stop()
    server.delete(NODES, "n2")
    server.node("n4", "192.0.2.4")
    server.node("n5", "192.0.2.5")
    server.compact()
    server.listen(PORT)
    agent.knows(3)
    assert sum("limit=" in path for _, path in server.requests) == 2


def test_goes_on_where_it_was_when_a_watch_is_cut_in_the_middle_of_a_line(server: ApiServer, agent: Agent) -> None:
    agent.knows(2)
    for number in (3, 4, 5):
        eventually(lambda: server.watches == 1)
        server.cut()
        server.node(f"n{number}", f"192.0.2.{number}")
        agent.knows(number)
    assert sum("limit=" in path for _, path in server.requests) == 1


def test_refusals_are_told_with_what_to_do_and_tried_again(server: ApiServer, agent: Agent) -> None:
    advice = {401: "is the service account still there?", 403: "apply the ClusterRole", 410: "", -1: "nodes: "}
    agent.knows(2)
    for number, status in enumerate((401, 403, 409, 410, 500, -1), start=3):
        eventually(lambda: server.watches == 1)
        server.refuse("nodes", status)
        server.cut()
        server.node(f"n{number}", f"192.0.2.{number}")
        agent.knows(number)
        agent.says(advice.get(status, f"HTTP status {status}"))


def test_takes_the_token_that_the_kubelet_writes_anew(server: ApiServer, agent: Agent, account: Path) -> None:
    agent.knows(2)
    server.token = "another"
    server.cut()
    agent.says("HTTP status 401")
    server.node("n3", "192.0.2.3")
    (account / "token").write_text("another")
    agent.knows(3)


def test_a_slow_server_is_waited_for(server: ApiServer, agent: Agent) -> None:
    agent.knows(2)
    server.slow(1.0)
    server.cut()
    server.node("n3", "192.0.2.3")
    agent.knows(3)


def test_speaks_tls_and_trusts_the_cluster_s_authority_alone(account: Path, tmp_path: Path) -> None:
    for name in ("ca", "stranger"):
        make_certificate(tmp_path, name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "ca.key")
    health = free_port()
    shutil.copy(tmp_path / "stranger.crt", account / "ca.crt")
    with ApiServer(context=context) as server:
        server.node("n1", "192.0.2.1")
        command = [
            sys.executable, "-P", "-m", "ripstop.cli.main", "kubernetes", "agent", "--node=n1",
            f"--server=https://127.0.0.1:{server.listen()}", f"--account={account}", f"--health=127.0.0.1:{health}",
            f"--run-dir={tmp_path}", f"--state-dir={tmp_path}",
        ]  # fmt: skip
        with running(command, tmp_path / "log") as process:
            agent = Agent(process, health, tmp_path / "log")
            agent.says("certificate")
            shutil.copy(tmp_path / "ca.crt", account / "ca.crt")
            agent.knows(1)


def make_certificate(directory: Path, name: str) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", directory / f"{name}.key",
         "-out", directory / f"{name}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
