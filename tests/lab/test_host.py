"""The life of daemons in a lab, and what is left of them."""

import sys
from pathlib import Path

import pytest

from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from ripstop.lab.plan import LabError
from ripstop.lab.removal import remove


def test_daemons_are_settled_and_containers_attached(name: str) -> None:
    with Lab(2, name=name, containers=1) as lab:
        assert lab.host("h1").status().reachable == 1
        assert lab.container("h1c1").ping(lab.container("h2c1").address()) is not None
        assert "h2" in lab.host("h1").run(["ripstop", "status", "peers"]).stdout


def test_a_killed_daemon_starts_again_with_its_containers(name: str) -> None:
    with Lab(1, name=name, containers=2) as lab:
        host, a, b = lab.host("h1"), lab.container("h1c1"), lab.container("h1c2")
        before = host.daemon_pid()
        host.kill_daemon()
        assert host.daemon_pid() is None
        assert a.ping(b.address()) is not None
        host.restart_daemon()
        assert host.daemon_pid() not in (None, before)
        assert len(host.client.call("ports")) == 2


def test_what_cannot_be_is_refused(name: str) -> None:
    with Lab(1, name=name) as lab:
        host = lab.host("h1")
        with pytest.raises(LabError, match="runs already"):
            host.start_daemon()
        host.kill_daemon()
        with pytest.raises(LabError, match="no daemon runs"):
            host.kill_daemon()
        with pytest.raises(LabError, match="its daemon has ended"):
            host.wait()


def test_nothing_of_a_daemon_stays_in_the_kernel(name: str) -> None:
    with Lab(2, name=name, containers=1) as lab:
        pins = [pin_directory(host) for host in lab.hosts]
        assert all(path.is_dir() for path in pins)
        lab.host("h2").kill_daemon()
    assert not any(path.exists() for path in pins)


def pin_directory(host: Host) -> Path:
    """Return where the eBPF objects of a host are pinned."""
    program = "from ripstop.kernel.bpffs import existing_pin_directory as found; print(found())"
    return Path(host.run([sys.executable, "-c", program]).stdout.strip())


def test_a_lab_of_a_dead_owner_is_removed_with_its_daemons(name: str) -> None:
    lab = Lab(1, name=name)
    lab.up()
    pid = lab.host("h1").daemon_pid()
    assert pid is not None
    assert remove(name)
    assert lab.host("h1").daemon_pid() is None
