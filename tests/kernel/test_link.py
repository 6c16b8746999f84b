"""Devices, for real: made, found, told apart, and gone without a trace when something fails."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ripstop.core.address import Range
from ripstop.core.errors import ConflictError, KernelError, NotFoundError, RequestError
from ripstop.kernel import netns, nft
from ripstop.kernel.link import COMPANION, HOST_INTERFACE, HOST_PORT, Links
from tests.namespaces import inside, namespace

PORT = "rs0123456789"
HOST_MAC = "02:00:00:00:00:77"
MAC = "02:00:00:00:00:02"


@pytest.fixture
def host() -> Iterator[Path]:
    with namespace("host") as path:
        inside(path, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "wire")
        inside(path, "ip", "address", "add", "192.0.2.1/24", "dev", "eth0")
        for name in ("lo", "eth0", "wire"):
            inside(path, "ip", "link", "set", name, "up")
        yield path


@pytest.fixture
def links(host: Path) -> Iterator[Links]:
    with netns.opened(str(host)) as descriptor, netns.entered(descriptor):
        links = Links()
        yield links
        links.close()


@pytest.fixture
def container() -> Iterator[Path]:
    with namespace("c") as path:
        yield path


def attach(links: Links, container: Path, gateway: str = "") -> None:
    with netns.opened(str(container)) as descriptor:
        links.make_container_port(PORT, descriptor, "eth0", MAC, 1400, HOST_MAC, "what it is")
        links.configure_container(descriptor, "eth0", ("10.32.0.5/12",), gateway, True)


def test_host_port_and_companion_are_made_once(links: Links, host: Path) -> None:
    port = links.ensure_host_port("02:00:00:00:00:01", 1450)
    companion = links.ensure_companion(6784)
    assert (links.ensure_host_port("02:00:00:00:00:01", 1450), links.ensure_companion(6784)) == (port, companion)
    assert links.index(HOST_PORT) == port
    (shown,) = json.loads(inside(host, "ip", "-d", "-j", "link", "show", COMPANION))
    assert shown["linkinfo"]["info_data"].items() >= {"external": True, "gbp": True, "port": 6784}.items()
    assert "inet6" not in inside(host, "ip", "address", "show", HOST_PORT)  # the port is no station


def test_the_companion_follows_the_port(links: Links, host: Path) -> None:
    links.ensure_companion(6784)
    links.ensure_companion(7000)
    assert "dstport 7000" in inside(host, "ip", "-d", "link", "show", COMPANION)


def test_a_container_gets_address_routes_and_mtu(links: Links, container: Path) -> None:
    attach(links, container, gateway="10.32.0.1")
    shown = inside(container, "ip", "address", "show", "eth0")
    assert "10.32.0.5/12" in shown and MAC in shown and "mtu 1400" in shown and "state UP" in shown
    routes = inside(container, "ip", "route")
    assert "default via 10.32.0.1 dev eth0" in routes and "224.0.0.0/4 dev eth0" in routes
    assert list(links.container_ports()) == [PORT]
    assert links.description(PORT) == "what it is"


def test_the_mtu_of_a_container_can_change(links: Links, container: Path) -> None:
    attach(links, container)
    with netns.opened(str(container)) as descriptor:
        links.set_container_mtu(descriptor, "eth0", 1300)
        links.set_container_mtu(descriptor, "eth9", 1300)  # gone is fine
    links.set_mtu(PORT, 1300)
    assert "mtu 1300" in inside(container, "ip", "link", "show", "eth0")


def test_an_interface_that_exists_is_refused_and_nothing_is_left(links: Links, container: Path) -> None:
    inside(container, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    with pytest.raises(ConflictError, match="already has an interface eth0"):
        attach(links, container)
    assert links.container_ports() == {}


def test_a_gateway_out_of_reach_is_named(links: Links, container: Path) -> None:
    with pytest.raises(KernelError, match=r"default route by 198\.51\.100\.1"):
        attach(links, container, gateway="198.51.100.1")


def test_what_is_wrong_with_an_interface_is_told(links: Links, container: Path) -> None:
    attach(links, container)
    with netns.opened(str(container)) as descriptor:
        assert links.inspect(descriptor, "eth0", MAC, ("10.32.0.5/12",)) == ""
        assert "02:00:00:00:00:09" in links.inspect(descriptor, "eth0", "02:00:00:00:00:09", ())
        assert "10.32.0.6/12" in links.inspect(descriptor, "eth0", "", ("10.32.0.6/12",))
        assert "eth9" in links.inspect(descriptor, "eth9", "", ())
        inside(container, "ip", "link", "set", "eth0", "down")
        assert "down" in links.inspect(descriptor, "eth0", MAC, ())


def test_many_are_deleted_at_once_and_nothing_else(links: Links, host: Path, container: Path) -> None:
    attach(links, container)
    second = PORT[:-1] + ("0" if PORT[-1] != "0" else "1")
    with netns.opened(str(container)) as descriptor:
        links.make_container_port(second, descriptor, "eth1", MAC, 1400, HOST_MAC, "")
    links.delete(PORT, "rs0000000000", second)
    assert links.container_ports() == {}
    assert "eth0" in inside(host, "ip", "link")


def test_deleting_twice_is_fine(links: Links, container: Path) -> None:
    attach(links, container)
    links.delete(PORT)
    links.delete(PORT)
    assert "eth0" not in inside(container, "ip", "link")


def test_the_underlay_is_what_can_reach_others(links: Links, host: Path) -> None:
    inside(host, "ip", "link", "add", "docker0", "type", "bridge")
    inside(host, "ip", "address", "add", "172.17.0.1/16", "dev", "docker0")
    inside(host, "ip", "link", "set", "docker0", "up")
    (found,) = links.underlay()
    assert (found.name, found.addresses, found.mtu) == ("eth0", ("192.0.2.1",), 1500)
    inside(host, "ip", "link", "set", "eth0", "down")
    assert links.underlay() == ()


def test_overlapping_routes_are_named(links: Links, host: Path) -> None:
    assert links.overlapping_route(Range.parse("10.32.0.0/12")) is None
    assert links.overlapping_route(Range.parse("192.0.0.0/8")) == "192.0.2.0/24 dev eth0"
    links.ensure_host_port("02:00:00:00:00:01", 1450)
    links.add_host_address("10.32.0.1/12")
    assert links.overlapping_route(Range.parse("10.32.0.0/12")) is None  # our own does not count


def test_host_addresses_come_and_go(links: Links, host: Path) -> None:
    links.ensure_host_port("02:00:00:00:00:01", 1450)
    links.add_host_address("10.32.0.1/12")
    links.add_host_address("10.32.0.1/12")
    assert "10.32.0.1/12" in inside(host, "ip", "address", "show", HOST_INTERFACE)
    links.remove_host_address("10.32.0.1/12")
    links.remove_host_address("10.32.0.1/12")
    assert "10.32.0.1/12" not in inside(host, "ip", "address", "show", HOST_INTERFACE)


def test_masquerading_has_its_own_table_and_touches_no_other(links: Links, host: Path) -> None:
    inside(host, "nft", "add", "table", "ip", "theirs")
    nft.masquerade("10.32.0.0/12", HOST_INTERFACE)
    nft.masquerade("10.32.0.0/12", HOST_INTERFACE)
    assert inside(host, "nft", "list", "ruleset").count("masquerade") == 2
    assert nft.clear()
    assert not nft.clear()
    assert "theirs" in inside(host, "nft", "list", "ruleset")


def test_paths_that_lead_to_no_namespace_are_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path, error, reason in (
        ("/run/netns/there-is-none", NotFoundError, "No such file"),
        (str(file), RequestError, "not a network namespace"),
        ("/proc/self/ns/mnt", RequestError, "not a network namespace"),
        ("c1", RequestError, "no absolute path"),
    ):
        with pytest.raises(error, match=reason), netns.opened(path):
            pass


def test_a_namespace_is_found_by_inode_after_its_path_is_gone(container: Path) -> None:
    with netns.opened(str(container)) as descriptor:
        number = netns.inode(descriptor)
        with netns.found(str(container), number) as again:
            assert netns.inode(again) == number
        with pytest.raises(NotFoundError), netns.found(str(container), number + 1):
            pass


def test_cookies_tell_namespaces_apart(host: Path, container: Path) -> None:
    found = set()
    for path in (host, container, host):
        with netns.opened(str(path)) as descriptor, netns.entered(descriptor):
            found.add(netns.cookie())
    assert len(found) == 2
