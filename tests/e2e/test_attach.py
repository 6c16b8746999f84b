"""Attach, detach, ps, expose, hide: as a user does it, and as a user gets it wrong."""

import json
from collections.abc import Iterator
from ipaddress import IPv4Interface

import pytest

from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from ripstop.lab.node import Container
from tests.e2e.conftest import lab_name
from tests.e2e.polling import eventually


def refusal(host: Host, *words: str, code: int = 1) -> str:
    """Run a command that must be refused; return its one line."""
    done = host.ripstop(*words, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    (line,) = done.stderr.strip().splitlines()
    return line


def attach(host: Host, container: Container, *words: str) -> list[str]:
    return host.ripstop("attach", "--netns", str(container.netns_path), *words).stdout.split()


@pytest.fixture(scope="module")
def pair() -> Iterator[Lab]:
    """Two hosts for all tests here: each leaves h1 without containers and hidden."""
    with Lab(hosts=2, name=lab_name(), containers=1, flags=("--grace=0.5",)) as lab:
        lab.host("h1").detach(lab.container("h1c1"))
        yield lab


@pytest.fixture
def container(pair: Lab) -> Container:
    return pair.container("h1c1")


@pytest.fixture
def host(pair: Lab, container: Container) -> Iterator[Host]:
    host = pair.host("h1")
    yield host
    for port in host.client.call("ports"):
        host.ripstop("detach", "--id", port.container, check=False)  # it may be going by itself
    host.ripstop("hide")
    container.run(["ip", "link", "delete", "eth0"], check=False)


def test_attach_gives_an_address_and_the_way_to_the_other_host(pair: Lab, host: Host, container: Container) -> None:
    (address,) = attach(host, container)
    assert address.startswith("10.") and address.endswith("/12")
    assert container.address() == address.partition("/")[0]
    assert container.ping(pair.container("h2c1").address()) is not None
    assert "224.0.0.0/4 dev eth0" in container.run(["ip", "route"]).stdout
    (row,) = json.loads(host.ripstop("ps", "--json").stdout)
    assert row["addresses"] == [address] and row["netns"] == str(container.netns_path)


def test_detach_takes_everything_back(host: Host, container: Container) -> None:
    first = attach(host, container)
    host.ripstop("detach", "--netns", str(container.netns_path))
    assert "eth0" not in container.run(["ip", "-br", "link"]).stdout
    assert json.loads(host.ripstop("ps", "--json").stdout) == []
    assert attach(host, container) == first  # the lowest free one again


def test_given_addresses_subnets_and_other_names(host: Host, container: Container) -> None:
    given = attach(host, container, "--ifname", "data0", "10.33.7.7/16", "net:10.34.0.0/24", "172.31.9.9/24")
    assert [given[0], given[2]] == ["10.33.7.7/16", "172.31.9.9/24"]
    assert IPv4Interface(given[1]) in [IPv4Interface(f"10.34.0.{last}/24") for last in (1, 128)]  # who owns which half?
    assert "data0" in container.run(["ip", "-br", "link"]).stdout
    assert [a["address"] for a in json.loads(host.ripstop("status", "ipam", "--json").stdout)["allocations"]]


def test_by_pid(host: Host, container: Container) -> None:
    sleeper = container.start(["sleep", "60"])
    try:
        while (
            container.run(["readlink", f"/proc/{sleeper.pid}/ns/net"]).stdout
            != container.run(["readlink", "/proc/self/ns/net"]).stdout
        ):
            assert sleeper.poll() is None
        (address,) = host.ripstop("attach", "--pid", str(sleeper.pid)).stdout.split()
        assert container.address() == address.partition("/")[0]
        assert host.ripstop("detach", "--pid", str(sleeper.pid)).returncode == 0
    finally:
        sleeper.kill()
        sleeper.communicate()


def test_attaching_twice_is_refused(host: Host, container: Container) -> None:
    (address,) = attach(host, container)
    line = refusal(host, "attach", "--netns", str(container.netns_path))
    assert "attached already" in line and address in line


@pytest.mark.parametrize("ident", ["host", "a/b", "x" * 129])
def test_ids_that_mean_something_else_are_refused(host: Host, container: Container, ident: str) -> None:
    assert "container id" in refusal(host, "attach", "--netns", str(container.netns_path), "--id", ident)
    assert "eth0" not in container.run(["ip", "-br", "link"]).stdout


def test_an_interface_of_somebody_else_is_not_touched(host: Host, container: Container) -> None:
    container.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "theirs"])
    assert "already has an interface eth0" in refusal(host, "attach", "--netns", str(container.netns_path))
    assert "theirs" in container.run(["ip", "-br", "link"]).stdout
    assert json.loads(host.ripstop("status", "ipam", "--json").stdout)["allocations"] == []


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.32.0.300/12", "10.32.0.300/12"),
        ("10.32.0.5", "no prefix length"),
        ("10.32.0.0/12", "network or broadcast"),
        ("224.0.0.5/24", "cannot be that of an interface"),
        ("net:10.64.0.0/16", "not within the range"),
        ("net:banana", "banana"),
    ],
)
def test_malformed_addresses_change_nothing(host: Host, container: Container, address: str, reason: str) -> None:
    assert reason in refusal(host, "attach", "--netns", str(container.netns_path), address)
    assert "eth0" not in container.run(["ip", "-br", "link"]).stdout
    assert json.loads(host.ripstop("status", "ipam", "--json").stdout)["allocations"] == []


def test_an_address_that_is_taken_names_its_owner(pair: Lab, host: Host, container: Container) -> None:
    there = pair.container("h2c1").address()
    line = refusal(host, "attach", "--netns", str(container.netns_path), f"{there}/12")
    assert there in line and "taken" in line and "h2" in line


def test_an_address_outside_the_range_is_recorded(host: Host, container: Container) -> None:
    assert attach(host, container, "192.168.77.5/24") == ["192.168.77.5/24"]
    listed = json.loads(host.ripstop("status", "ipam", "--json").stdout)["allocations"]
    assert [entry["address"] for entry in listed] == ["192.168.77.5"]


def test_unknown_containers_and_namespaces(host: Host) -> None:
    assert "No such file" in refusal(host, "attach", "--netns", "/run/netns/there-is-none")
    assert "not attached" in refusal(host, "detach", "--netns", "/run/netns/there-is-none")
    assert "not a network namespace" in refusal(host, "attach", "--netns", "/etc/hostname")
    assert "host's own namespace" in refusal(host, "attach", "--netns", str(host.netns_path))


def test_a_namespace_that_goes_away_gives_its_address_back(pair: Lab, host: Host, container: Container) -> None:
    host.run(["ip", "netns", "add", f"{container.netns}x"])
    (address,) = host.ripstop("attach", "--netns", f"/run/netns/{container.netns}x").stdout.split()
    host.run(["ip", "netns", "delete", f"{container.netns}x"])
    eventually(lambda: not host.client.call("ipam").allocations)  # after its time of grace
    assert attach(host, container) == [address]


def test_the_gateway_needs_an_exposed_host(pair: Lab, host: Host, container: Container) -> None:
    assert "ripstop expose" in refusal(host, "attach", "--netns", str(container.netns_path), "--gateway")
    (gateway,) = host.ripstop("expose").stdout.split()
    attach(host, container, "--gateway")
    gateway_ip = gateway.partition("/")[0]
    assert f"default via {gateway_ip}" in container.run(["ip", "route"]).stdout
    assert container.ping(gateway_ip) is not None
    assert host.ping(pair.container("h2c1").address()) is not None
    # The other host's underlay address is beyond the overlay: only masquerading brings the answer back.
    assert container.ping(str(pair.host("h2").interface.ip)) is not None
    host.ripstop("hide")
    assert "masquerade" not in host.run(["nft", "list", "ruleset"]).stdout
    assert gateway not in host.run(["ip", "address"]).stdout


def test_expose_is_idempotent_and_survives_a_restart(host: Host) -> None:
    first = host.ripstop("expose").stdout
    assert host.ripstop("expose").stdout == first
    host.restart_daemon()
    assert host.ripstop("expose").stdout == first


def test_attachments_survive_a_restart(pair: Lab, host: Host, container: Container) -> None:
    (address,) = attach(host, container)
    host.restart_daemon()
    (row,) = json.loads(host.ripstop("ps", "--json").stdout)
    assert row["addresses"] == [address]
    assert container.ping(pair.container("h2c1").address()) is not None
    line = refusal(pair.host("h2"), "attach", "--netns", str(container.netns_path), "--ifname", "eth1", address)
    assert "taken" in line


def test_namespaces_that_vanish_during_attach_leave_nothing(host: Host, container: Container) -> None:
    before = host.client.call("ipam").free
    names = [f"{container.netns}v{number}" for number in range(12)]
    for name in names:
        host.run(["ip", "netns", "add", name])
    attaching = [host.start(["ripstop", "attach", "--netns", name]) for name in names]
    for name in names:
        host.run(["ip", "netns", "delete", name])
    for process in attaching:
        _, error = process.communicate(timeout=30)
        assert process.returncode in (0, 1) and "Traceback" not in error and len(error.splitlines()) <= 1
    while host.client.call("ports") or host.client.call("ipam").free != before:  # bounded by the test's own time limit
        pass
    assert not [line for line in host.run(["ip", "-br", "link"]).stdout.splitlines() if line.startswith("rs")]


def test_many_at_once_get_different_addresses(host: Host, container: Container) -> None:
    names = [f"{container.netns}m{number}" for number in range(20)]
    try:
        for name in names:
            host.run(["ip", "netns", "add", name])
        attaching = [host.start(["ripstop", "attach", "--netns", name]) for name in names]
        outputs = [process.communicate(timeout=60) for process in attaching]
        assert [error for _, error in outputs if error] == []
        assert len({address for address, _ in outputs}) == len(names)
    finally:
        for name in names:
            host.run(["ip", "netns", "delete", name], check=False)
