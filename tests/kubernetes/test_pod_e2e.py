"""The daemon as its pod runs it: with the manifest's capabilities and mounts, replaced under traffic, taken away."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from tests.e2e.conftest import lab_name
from tests.e2e.polling import eventually
from tests.kubernetes.conftest import running
from tests.kubernetes.test_manifest import containers, written

# As runtimes make it: a mount namespace of its own in which /proc/sys is read-only, and the volume for /proc/sys/net.
MOUNTS = (
    "mount -t tmpfs none /mnt && mkdir -p /mnt/proc/sys/net && mount --bind /proc/sys/net /mnt/proc/sys/net &&"
    " mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys &&"
)
PINGS = 3000


def confined(host: Host, manifest: str, container: str, command: list[str]) -> list[str]:
    """Return the command that runs `command` on a host as a container of a manifest does."""
    context = containers(written(manifest))[container]["securityContext"]
    capabilities = [f"+{name.lower()}" for name in context["capabilities"]["add"]]
    limits = f"exec setpriv --no-new-privs --bounding-set={','.join(['-all', *capabilities])} --inh-caps=-all"
    shell = ["unshare", "--mount", "--propagation=slave", "sh", "-euc", f'{MOUNTS} {limits} "$@"', "sh"]
    return host.command([*shell, *command])


def ripstop(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "ripstop.cli.main", *words]


def daemon(host: Host) -> list[str]:
    flags = [f"--run-dir={host.run_dir}", f"--state-dir={host.state_dir}", f"--nickname={host.name}"]
    return confined(host, "ripstop.yaml", "daemon", ripstop("daemon", *flags, "--", *host.dials))


@pytest.fixture
def bare() -> Iterator[Lab]:
    with Lab(hosts=2, name=lab_name(), containers=1, daemons=False) as lab:
        for host in lab.hosts:
            host.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield lab


def is_up(host: Host) -> bool:
    return not host.ripstop("status", "--wait", "0.5", check=False).returncode


def test_three_capabilities_are_enough_and_a_rolling_update_loses_no_packet(bare: Lab) -> None:
    one, two = bare.hosts
    with contextlib.ExitStack() as stack:
        pods = {}
        for host in bare.hosts:
            pods[host.name] = stack.enter_context(contextlib.ExitStack())
            pods[host.name].enter_context(running(daemon(host), host.directory / "log"))
        eventually(lambda: all(host.client.socket.exists() and is_up(host) for host in bare.hosts), 60)
        for host in bare.hosts:
            host.ripstop("expose")
            host.attach(bare.container(f"{host.name}c1"), gateway=True)
        sender, target = bare.container("h1c1"), bare.container("h2c1").address()
        assert sender.ping(target) is not None
        pings = sender.start(["ping", "-q", "-i", "0.002", "-c", str(PINGS), target])
        for host in (two, one):  # one pod after the other
            pods[host.name].close()
            pods[host.name].enter_context(running(daemon(host), host.directory / "log"))
            eventually(lambda host=host: is_up(host), 60)  # type: ignore[misc]  # bound at once
        said, _ = pings.communicate(timeout=120)
        assert f"{PINGS} packets transmitted, {PINGS} received" in said, said
        assert not one.status().problems
        for host in bare.hosts:
            pods[host.name].close()


def test_uninstalling_leaves_nothing_on_the_node(bare: Lab) -> None:
    one, _ = bare.hosts
    look = ["sh", "-c", 'ip -brief link | cut -d" " -f1; nft list ruleset']
    before = one.run(look).stdout
    with running(daemon(one), one.directory / "log"):
        eventually(lambda: one.client.socket.exists() and is_up(one), 60)
        one.ripstop("expose")
        pins = Path(one.client.call("report").kernel["pins"])
    assert pins.exists()
    assert one.run(look).stdout != before
    command = containers(written("uninstall.yaml"))["uninstall"]["command"]
    assert "ripstop down" in command[-1]
    with running(confined(one, "uninstall.yaml", "uninstall", ripstop("down", f"--run-dir={one.run_dir}")),
                 one.directory / "down") as uninstalling:  # fmt: skip
        assert uninstalling.wait(60) == 0
    assert not pins.exists()
    assert one.run(look).stdout == before
