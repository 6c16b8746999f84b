"""Starts that must be refused: one clear line, exit code 1, and the machine as it was before."""

import subprocess
from pathlib import Path

import pytest

from ripstop.kernel import bpffs, netns
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab


def traces(host: Host) -> str:
    """Return everything an instance could leave in a namespace."""
    commands = ("ip route", "nft list ruleset", "tc filter show dev eth0 ingress", "tc qdisc show")
    devices = [word for word in host.run(["ip", "-o", "link"]).stdout.split() if word.endswith(":")]
    with netns.opened(str(host.netns_path)) as descriptor, netns.entered(descriptor):
        pins = bpffs.existing_pin_directory()
    return "\n".join([*devices, *(host.run(command.split()).stdout for command in commands), f"pins: {pins}"])


def refused(host: Host, *flags: str, run_dir: str = "run") -> str:
    """Start a daemon that must not start; return its one line of explanation."""
    before = traces(host)
    directories = (f"--run-dir={host.directory / run_dir}", f"--state-dir={host.directory / 'state'}")
    done = host.ripstop("daemon", *directories, *flags, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert traces(host) == before
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ripstop: ")]
    return line


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--range=10.32.0.0/33"], "range '10.32.0.0/33'"),
        (["--range=10.32.0.1/12"], "host bits set"),
        (["--range=192.0.0.0/16"], "overlaps the host's route 192.0.2.0/24 dev eth0; choose another with --range"),
        (["--range=10.0.0.0/31"], "too small"),
        (["--mtu=100"], "mtu 100 is not within"),
        (["--name=nobody"], "16 lower-case hex digits"),
        (["192.0.2.999"], "192.0.2.999"),
        (["--advertise=here"], "here"),
        (["--init=sometimes"], "sometimes"),
    ],
)
def test_bad_choices_are_refused(bare_host: Lab, flags: list[str], reason: str) -> None:
    assert reason in refused(bare_host.host("h1"), *flags)


def test_a_tcp_port_in_use_is_named(bare_host: Lab) -> None:
    host = bare_host.host("h1")
    user = host.start(
        ["python3", "-c", "import socket; s=socket.create_server(('',6783)); print(flush=True); s.accept()"]
    )
    try:
        assert user.stdout is not None and user.stdout.readline()
        assert "TCP port 6783 is in use" in refused(host)
    finally:
        user.kill()
        user.communicate()


def test_a_vxlan_port_in_use_is_named(bare_host: Lab) -> None:
    host = bare_host.host("h1")
    host.run(["ip", "link", "add", "other", "type", "vxlan", "id", "7", "dstport", "6784", "dev", "eth0"])
    host.run(["ip", "link", "set", "other", "up"])
    assert "ripstop-vx" in refused(host)


def test_a_second_daemon_is_told_who_has_the_run_directory(pair: Lab) -> None:
    host = pair.host("h1")
    line = refused(host)
    assert f"in use by the daemon with pid {host.daemon_pid()}" in line


def test_a_second_daemon_in_the_namespace_is_refused(pair: Lab) -> None:
    line = refused(pair.host("h1"), run_dir="other")
    assert "another ripstop daemon runs in this network namespace" in line


def test_without_root_it_says_so(bare_host: Lab) -> None:
    host = bare_host.host("h1")
    done = host.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ripstop", "daemon", "--run-dir=/tmp/none"],
        check=False,
    )
    if "Permission denied" in done.stderr:  # the checkout lies where nobody else can look: then ask as far as we can
        done = host.run(["unshare", "--user", "ripstop", "daemon", "--run-dir=/tmp/none"], check=False)
    assert done.returncode == 1
    assert "must run as root" in done.stderr


def test_a_state_directory_on_a_full_disk_is_named(bare_host: Lab, tmp_path: Path) -> None:
    host = bare_host.host("h1")
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(full)], check=True)
    try:
        (full / "filler").write_bytes(b"x" * 4096)
        assert str(full) in refused(host, f"--state-dir={full}")
    finally:
        subprocess.run(["umount", str(full)], check=True)


def test_a_state_directory_of_another_peer_is_refused(bare_host: Lab) -> None:
    host = bare_host.host("h1")
    host.start_daemon(["--name=00000000000000aa"])
    host.wait()
    host.stop_daemon()
    assert "belongs to peer 00000000000000aa" in refused(host, "--name=00000000000000bb")


def test_down_leaves_nothing(bare_host: Lab) -> None:
    host = bare_host.host("h1")
    before = traces(host)
    host.start_daemon()
    host.wait()
    host.attach(bare_host.container("h1c1"))
    host.ripstop("expose")
    assert host.ripstop("down").returncode == 0
    assert traces(host) == before
    assert "eth0" not in bare_host.container("h1c1").run(["ip", "-br", "link"]).stdout
    assert host.ripstop("down").returncode == 0  # twice is fine


def test_down_cleans_up_after_a_dead_daemon(bare_host: Lab) -> None:
    host = bare_host.host("h1")
    before = traces(host)
    host.start_daemon()
    host.wait()
    host.attach(bare_host.container("h1c1"))
    host.kill_daemon()
    assert host.ripstop("down").returncode == 0
    assert traces(host) == before
