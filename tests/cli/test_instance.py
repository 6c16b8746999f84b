"""`ripstop up` and `down` with the real daemon, in a namespace of its own."""

import json
import os
import select
import signal
from collections.abc import Iterator
from uuid import uuid4

import pytest

from ripstop.lab.host import Host
from ripstop.lab.lab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A host without a daemon, with one empty container."""
    with Lab(hosts=1, name=f"c{uuid4().hex[:6]}", containers=1, daemons=False) as lab:
        yield lab


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.host("h1")


def devices(host: Host) -> list[str]:
    return [str(device["ifname"]) for device in json.loads(host.run(["ip", "-j", "link"]).stdout)]


def test_up_and_down(lab: Lab, host: Host) -> None:
    before = devices(host)
    started = json.loads(host.ripstop("up", "--nickname", "one", "--json").stdout)
    status = json.loads(host.ripstop("status", "--wait", "--json").stdout)
    assert (status["name"], status["nickname"], status["pid"]) == (started["name"], "one", started["pid"])
    assert host.ripstop("attach", "--netns", str(lab.container("h1c1").netns_path)).stdout.count("\n") == 1

    again = host.ripstop("up", check=False)
    assert again.returncode == 1
    assert f"already running: pid {started['pid']}" in again.stderr

    assert host.ripstop("down").stdout == f"stopped pid {started['pid']}\n"
    assert devices(host) == before
    assert host.ripstop("status", check=False).returncode == 3
    assert host.ripstop("down").stdout == "nothing was running\n"

    assert host.ripstop("up").stdout == f"{started['name']}\n"  # the name is kept


def test_down_clears_up_after_a_daemon_that_died(host: Host) -> None:
    before = devices(host)
    pid = json.loads(host.ripstop("up", "--json").stdout)["pid"]
    process = os.pidfd_open(pid)
    signal.pidfd_send_signal(process, signal.SIGKILL)
    assert select.select([process], [], [], 10.0)[0]
    os.close(process)
    dead = host.ripstop("status", check=False)
    assert (dead.returncode, "the daemon has died" in dead.stderr) == (3, True)
    assert "device ripstop0" in host.ripstop("down").stdout
    assert devices(host) == before


def test_a_daemon_that_cannot_start_says_why_once(host: Host) -> None:
    refused = host.ripstop("up", "--range", "192.0.0.0/16", check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("ripstop: range 192.0.0.0/16 overlaps the host's route 192.0.2.0/24")
    assert f"log: {host.state_dir}/ripstop.log" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert host.ripstop("status", check=False).returncode == 3
