"""The name server's process lives as long as the daemon, whatever happens to it, and knows what it must."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.rcode
import pytest

from ripstop.daemon.config import Config
from ripstop.daemon.nameserver import NameServer, NameServerConfig, NameServerStatus, dismiss, handover_of
from ripstop.wire.dns_feed import NameRow, Record

PATIENCE = 20.0  # seconds
_HANGS = """
import signal, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
listener.listen()
print("listens", flush=True)
signal.pause()
"""


def row(name: str, *addresses: str) -> NameRow:
    """Return a name."""
    return NameRow(name, tuple(Record(ip_address(address).packed) for address in addresses))


def free_port() -> int:
    """Return a port that is free over UDP and TCP, most likely still when it is used."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def running(
    work: Callable[[NameServer, int], Awaitable[None]],
    config: NameServerConfig | None = None,
    silence: float = 60.0,
) -> None:
    """Do something while a name server runs that was told to answer at a port of loopback."""

    async def run() -> None:
        server, port = NameServer(config or NameServerConfig(), silence), free_port()
        server.publish([])
        server.listen([("127.0.0.1", port)])
        async with asyncio.timeout(3 * PATIENCE), asyncio.TaskGroup() as tasks:
            task = tasks.create_task(server.run())
            await work(server, port)
            pid = server.status().pid
            task.cancel()
        if pid is not None:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    asyncio.run(run())


async def until(server: NameServer, seen: Callable[[NameServerStatus], bool]) -> NameServerStatus:
    """Wait until the status says something."""
    async with asyncio.timeout(PATIENCE):
        while not seen(server.status()):  # noqa: ASYNC110 - it is told to nobody when a status changes
            await asyncio.sleep(0.02)
    return server.status()


def answers(status: NameServerStatus) -> bool:
    """Return whether it answers everywhere."""
    return bool(status.listening) and all(place.since is not None for place in status.listening)


async def lookup(port: int, name: str) -> list[str]:
    """Return the addresses of a name; nothing if it does not exist."""
    query = dns.message.make_query(f"{name}.ripstop.local", "A")
    read = await dns.asyncquery.udp(query, "127.0.0.1", PATIENCE, port)
    return sorted(str(item) for rrset in read.answer for item in rrset)


async def becomes(port: int, name: str, addresses: list[str]) -> None:
    """Wait until a name has some addresses."""
    async with asyncio.timeout(PATIENCE):
        while await lookup(port, name) != addresses:  # noqa: ASYNC110 - nor when a name does
            await asyncio.sleep(0.02)


def test_what_is_published_is_answered() -> None:
    async def work(server: NameServer, port: int) -> None:
        server.publish([row("web", "10.32.0.1"), row("Db", "10.32.0.2")])
        status = await until(server, answers)
        assert [(at.address, at.port, at.problem) for at in status.listening] == [("127.0.0.1", port, "")]
        await becomes(port, "web", ["10.32.0.1"])
        server.publish([row("WEB", "10.32.0.3", "10.32.0.4"), row("new", "10.32.0.5")])
        await becomes(port, "new", ["10.32.0.5"])
        await becomes(port, "web", ["10.32.0.3", "10.32.0.4"])
        server.publish([row("dB")])
        await becomes(port, "db", [])
        server.publish([row("only", "10.32.0.6")], complete=True)
        await becomes(port, "web", [])
        await becomes(port, "only", ["10.32.0.6"])
        status = await until(server, lambda status: status.names == 1)
        assert (status.domain, status.restarts, status.problem) == ("ripstop.local", 0, "")
        await until(server, lambda status: status.counters.get("udp", 0) > 3)

    running(work)


def test_many_names() -> None:
    async def work(server: NameServer, port: int) -> None:
        server.publish([row(f"host{i}", f"10.32.{i // 256}.{i % 256}") for i in range(5000)])
        await until(server, answers)
        assert await lookup(port, "host4999") == ["10.32.19.135"]  # it does not answer before it knows all

    running(work)


@pytest.mark.parametrize(
    ("number", "silence", "problem"),
    [(signal.SIGKILL, 60.0, "killed by SIGKILL"), (signal.SIGSTOP, 4.0, "said nothing for 4 s")],
)
def test_one_that_dies_is_replaced_by_one_that_knows_all(
    number: signal.Signals, silence: float, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(server: NameServer, port: int) -> None:
        server.publish([row("web", "10.32.0.1"), row("gone", "10.32.0.2")])
        first = (await until(server, answers)).pid
        server.publish([row("gone")])
        assert first is not None
        os.kill(first, number)
        await until(server, lambda status: status.restarts == 1)
        status = await until(server, lambda status: answers(status) and status.pid != first)
        assert status.problem == problem
        assert await lookup(port, "web") == ["10.32.0.1"]
        assert await lookup(port, "gone") == []

    with caplog.at_level(logging.ERROR, "ripstop.dns"):
        running(work, silence=silence)
    assert problem in caplog.text


def test_one_that_cannot_start_says_why_and_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def work(server: NameServer, port: int) -> None:
        status = await until(server, lambda status: status.restarts >= 2)
        assert "nonsense" in status.problem
        assert not answers(status)

    running(work, NameServerConfig(universe="nonsense"))
    assert "nonsense" in caplog.text


def test_a_place_that_is_taken_is_told_and_had_later(caplog: pytest.LogCaptureFixture) -> None:
    async def work(server: NameServer, port: int) -> None:
        with socket.create_server(("127.0.0.2", 0)) as taken:
            port = taken.getsockname()[1]
            server.listen([("127.0.0.2", port)])
            status = await until(server, lambda status: any(place.problem for place in status.listening))
            assert "in use by another program" in status.listening[0].problem
            assert status.listening[0].since is None
        await until(server, answers)

    running(work)
    assert caplog.text.count("in use by another program") == 1


def test_what_answers_is_left_behind_until_another_knows_all_or_it_is_dismissed(tmp_path: Path) -> None:
    config, port = NameServerConfig(handover=handover_of(tmp_path)), free_port()

    async def live(address: str, *before: str) -> int:
        server = NameServer(config)
        async with asyncio.timeout(3 * PATIENCE), asyncio.TaskGroup() as tasks:
            task = tasks.create_task(server.run())
            server.publish([row("web", address)], complete=True, pending=True)
            server.listen([("127.0.0.1", port)])
            pid = (await until(server, lambda status: status.names == 1)).pid
            assert not before or await lookup(port, "web") == [*before]
            server.publish([])
            await until(server, answers)
            await becomes(port, "web", [address])
            task.cancel()
        assert pid is not None
        return pid

    first = asyncio.run(live("10.32.0.1"))
    second = asyncio.run(live("10.32.0.2", "10.32.0.1"))
    assert asyncio.run(lookup(port, "web")) == ["10.32.0.2"]
    assert dismiss(tmp_path)
    assert not dismiss(tmp_path)
    with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
        os.kill(first, signal.SIGTERM)
    for pid in (first, second):
        assert os.waitpid(pid, 0)[1] == 0


def test_one_that_hangs_is_dismissed_all_the_same(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _HANGS, str(handover_of(tmp_path))], stdout=subprocess.PIPE) as one:
        assert one.stdout is not None, "a pipe"
        assert one.stdout.readline()
        assert dismiss(tmp_path)
        assert one.wait(PATIENCE) == -signal.SIGKILL


def test_what_an_instance_says_is_what_it_is_told() -> None:
    config = Config(dns_domain="Net.example.", dns_ttl=7, range="10.40.0.0/16", dns_allow=("192.0.2.0/24",))
    assert NameServerConfig.of(config).arguments == [
        "--domain=Net.example", "--ttl=7", "--universe=10.40.0.0/16", "--resolv-conf=/etc/resolv.conf",
        "--allow=192.0.2.0/24", "--handover=/run/ripstop/names.sock",
    ]  # fmt: skip


def test_one_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(server: NameServer, port: int) -> None:
        server.publish([row("web", "10.32.0.5")])
        status = await until(server, lambda status: status.restarts >= 2)
        assert status.problem == "cannot be started: No such file or directory" and status.pid is None
        monkeypatch.undo()
        await until(server, answers)
        assert await lookup(port, "web") == ["10.32.0.5"]

    monkeypatch.setattr("sys.executable", "/nowhere/python")
    running(work)
