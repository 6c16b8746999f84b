"""Real containers of Debian's containerd and runc on two pretend hosts, on one Ethernet."""

from collections.abc import Iterator

import pytest

from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from ripstop.lab.node import Node
from tests.cni.conftest import runtime_of
from tests.cni.containers import Containerd, containerd, make_image
from tests.e2e.multicast.sockets import Member, numbered, send
from tests.e2e.polling import eventually

GROUP = "239.9.9.9"


@pytest.fixture(scope="module")
def runtimes(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Containerd, Containerd]]:
    directory = tmp_path_factory.mktemp("containerd")
    make_image(directory / "image.tar")
    with (
        containerd(lab.host("h1"), directory / "h1", directory / "image.tar") as first,
        containerd(lab.host("h2"), directory / "h2", directory / "image.tar") as second,
    ):
        yield first, second


def node(containers: Containerd, name: str) -> Node:
    """Return a container as a node of the lab, with a name for its namespace."""
    pid = next(line.split()[1] for line in containers.ctr("tasks", "list").stdout.splitlines() if line.startswith(name))
    return Node(name, f"../../proc/{pid}/ns/net")


def is_clean(host: Host) -> bool:
    """Whether nothing of any container is left on a host."""
    held = [one for one in host.client.call("ipam").allocations if not one.container.startswith("host/")]
    devices = [line for line in host.run(["ip", "-br", "link"]).stdout.splitlines() if line.startswith("rs")]
    return not held and not devices and not host.client.call("ports")


def test_containers_of_two_hosts_reach_each_other_and_their_groups(
    lab: Lab, runtimes: tuple[Containerd, Containerd]
) -> None:
    first, second = runtimes
    one, two = first.run("one", "--rm"), second.run("two", "--rm")
    try:
        there = second.address("two")
        assert first.inside("one", "ping", "-c", "1", "-W", "5", there).returncode == 0
        assert first.inside("one", "ping", "-c", "1", "-W", "5", first.address("one")).returncode == 0
        sender, receiver = node(first, "one"), node(second, "two")
        with Member(receiver, GROUP).join() as member:

            def arrives() -> bool:
                send(sender, GROUP, numbered(1))
                return bool(member.numbers())

            eventually(arrives)
    finally:
        first.end("one", one)
        second.end("two", two)
    eventually(lambda: all(map(is_clean, lab.hosts)))


def test_containers_outlive_containerd(lab: Lab, runtimes: tuple[Containerd, Containerd]) -> None:
    first, second = runtimes
    first.run("stays", "--detach").communicate(timeout=60)
    other = second.run("two", "--rm")
    first.kill()
    inside = node(second, "two")
    here = next(port for port in lab.host("h1").client.call("ports")).addresses[0].partition("/")[0]
    assert inside.ping(here, seconds=5.0) is not None
    first.start()
    assert first.address("stays") == here
    assert inside.ping(here, seconds=5.0) is not None
    first.ctr("tasks", "delete", "--force", "stays")
    first.ctr("containers", "delete", "stays")
    runtime = runtime_of(lab.host("h1"))  # with --detach, ctr leaves that to others
    runtime.call(
        "DEL", runtime.of("1.0.0"), containerid=f"{lab.host('h1').netns}-stays", netns="", ifname="eth0"
    ).done()
    second.end("two", other)
    eventually(lambda: all(map(is_clean, lab.hosts)), seconds=60.0)


def test_a_container_that_ends_while_the_daemon_is_away_is_forgotten_when_it_is_back(
    lab: Lab, runtimes: tuple[Containerd, Containerd]
) -> None:
    first, second = runtimes
    process, other = first.run("one", "--rm"), second.run("two", "--rm")
    here, inside = first.address("one"), node(second, "two")
    host = lab.host("h1")
    host.kill_daemon()
    assert inside.ping(here, seconds=5.0) is not None
    first.end("one", process)
    assert [path.name.rpartition("+")[2] for path in (host.run_dir / "cni").iterdir()] == ["eth0"]
    with pytest.raises(AssertionError, match="no daemon answers"):
        first.run("three", "--rm")
    host.restart_daemon()
    lab.wait()
    assert is_clean(host)
    assert list((host.run_dir / "cni").iterdir()) == []
    again = first.run("four", "--rm")
    assert inside.ping(first.address("four"), seconds=5.0) is not None
    first.end("four", again)
    second.end("two", other)
