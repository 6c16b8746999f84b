"""Names over three hosts: given, shared, taken away, through partitions, deaths and restarts."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ripstop.api.types import DnsListener, Name, NameRequest
from ripstop.client import RefusedError
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from ripstop.lab.node import Container
from tests.e2e.conftest import lab_name
from tests.e2e.polling import eventually


@pytest.fixture(scope="module")
def whole_lab() -> Iterator[Lab]:
    """Three hosts on the overlay for all tests here; each leaves them without names."""
    with Lab(hosts=3, name=lab_name(), containers=2, flags=("--grace=0.5",)) as lab:
        for host in lab.hosts:
            host.ripstop("expose")
        yield lab


@pytest.fixture
def lab(whole_lab: Lab) -> Iterator[Lab]:
    yield whole_lab
    for name in known(whole_lab.host("h1"), hidden=True):
        remove(whole_lab, name)
    assert known(whole_lab.host("h1"), hidden=True) == {}


def begin_anew(lab: Lab, host: Host) -> None:
    """Make a host that was taken down what it was before."""
    host.start_daemon(("--grace=0.5",))
    lab.wait()
    host.ripstop("expose")
    for container in lab.containers:
        if container.host == host.name:
            host.attach(container)


def remove(lab: Lab, name: str) -> None:
    """Take a name from whatever has it on any host."""
    for host in lab.hosts:
        if any(one.host == host.name for one in found(host, name)):
            host.ripstop("dns", "remove", name)
    eventually(lambda: not any(found(host, name) for host in lab.hosts))


def found(host: Host, name: str) -> list[Name]:
    return [one for one in host.client.call("names") if one.name.lower() == name.lower()]


def known(host: Host, *, hidden: bool = False) -> dict[str, list[str]]:
    """Return the addresses under each name as a host knows it; `hidden` ones only if wanted."""
    names: dict[str, list[str]] = {}
    for one in host.client.call("names"):
        if hidden or not one.hidden:
            names.setdefault(one.name, []).append(one.address)
    return {name: sorted(addresses) for name, addresses in names.items()}


def dig(container: Container, host: Host, name: str) -> list[str]:
    """Return the addresses that a container is told when it asks its host."""
    server = host.status().exposed[0].partition("/")[0]
    asked = ["dig", "+short", "+tries=1", "+time=2", f"@{server}", f"{name}.ripstop.local"]
    return sorted(container.run(asked, check=False).stdout.split())


def answered_everywhere(lab: Lab, name: str, addresses: list[str]) -> bool:
    return all(dig(lab.container(f"{host.name}c2"), host, name) == addresses for host in lab.hosts)


def give(lab: Lab, container: str, name: str, *services: str) -> str:
    """Give a container a name; return its address."""
    at = lab.container(container)
    host = lab.host(at.host)
    host.client.call("add_name", NameRequest(name, ident(lab, container), services=services))
    return at.address()


def name_server(host: Host) -> int:
    """Return the process that answers, 0 if none does."""
    server = host.client.call("dns").server
    return server.pid if server else 0


def listening(host: Host) -> tuple[DnsListener, ...]:
    server = host.client.call("dns").server
    return server.listening if server else ()


def ident(lab: Lab, container: str) -> str:
    at = lab.container(container)
    return next(port.container for port in lab.host(at.host).client.call("ports") if port.netns == str(at.netns_path))


def test_a_name_from_attach_is_answered_on_every_host_until_detach(lab: Lab) -> None:
    host, container = lab.host("h1"), lab.container("h1c1")
    netns = str(container.netns_path)
    host.detach(container)
    host.ripstop("attach", "--netns", netns, "--id", "c1", "--hostname", "Web", "--hostname", "db.prod.ripstop.local")
    address = container.address()
    expected = {"Web": [address], "db.prod": [address]}
    eventually(lambda: all(known(other) == expected for other in lab.hosts))
    eventually(lambda: dig(lab.container("h3c1"), lab.host("h3"), "WEB") == [address])
    (row,) = [row for row in json.loads(host.ripstop("ps", "--json").stdout) if row["container"] == "c1"]
    assert row["names"] == ["Web", "db.prod"]
    (there,) = json.loads(lab.host("h2").ripstop("dns", "lookup", "web.ripstop.local", "--json").stdout)
    assert (there["host"], there["container"], there["address"], there["hidden"]) == ("h1", "c1", address, False)
    assert {one["name"] for one in json.loads(lab.host("h2").ripstop("dns", "lookup", address, "--json").stdout)} == {
        "Web",
        "db.prod",
    }
    host.ripstop("detach", "--id", "c1")
    eventually(lambda: all(known(other, hidden=True) == {} for other in lab.hosts))
    eventually(lambda: dig(lab.container("h3c1"), lab.host("h3"), "web") == [])
    host.attach(container)


def test_a_namespace_that_goes_takes_its_names_at_once_though_its_address_waits(lab: Lab) -> None:
    host = lab.host("h1")
    netns = f"{lab.container('h1c1').netns}n"
    host.run(["ip", "netns", "add", netns])
    try:
        host.ripstop("attach", "--netns", netns, "--id", "short", "--hostname", "short-lived")
        eventually(lambda: "short-lived" in known(lab.host("h3")))
    finally:
        host.run(["ip", "netns", "delete", netns])
    eventually(lambda: "short-lived" not in known(lab.host("h3"), hidden=True))


def test_one_name_of_many_containers_loses_one_everywhere_when_it_is_taken_out(lab: Lab) -> None:
    addresses = sorted(give(lab, container, "pool", "http/tcp:80") for container in ("h1c1", "h2c1", "h3c1", "h3c2"))
    eventually(lambda: answered_everywhere(lab, "pool", addresses))
    gone = lab.container("h3c2").address()
    lab.host("h3").client.call("remove_name", NameRequest("pool", ident(lab, "h3c2")))
    rest = sorted({*addresses} - {gone})
    eventually(lambda: answered_everywhere(lab, "pool", rest))


def test_a_partition_hides_what_is_beyond_and_healing_brings_it_back(lab: Lab) -> None:
    near, far = give(lab, "h1c1", "web"), give(lab, "h3c1", "web")
    h1, h3 = lab.host("h1"), lab.host("h3")
    eventually(lambda: known(h1) == known(h3) == {"web": sorted([near, far])})
    lab.cut("h1", "h3")
    lab.cut("h1", "h2")
    try:
        eventually(lambda: known(h1) == {"web": [near]} and known(h3) == {"web": [far]})
        eventually(lambda: dig(lab.container("h1c2"), h1, "web") == [near])
        assert known(h1, hidden=True) == {"web": sorted([near, far])}
        shown = h1.ripstop("dns", "lookup", "web").stdout
        assert "h3 cannot be reached" in shown
        new = give(lab, "h3c2", "new")
    finally:
        lab.heal("h1", "h3")
        lab.heal("h1", "h2")
    expected = {"web": sorted([near, far]), "new": [new]}
    eventually(lambda: known(h1) == known(h3) == expected, seconds=30)
    eventually(lambda: dig(lab.container("h1c2"), h1, "new") == [new])


def test_names_outlive_a_killed_daemon_and_those_of_vanished_containers_do_not(lab: Lab) -> None:
    h1, h2 = lab.host("h1"), lab.host("h2")
    stays = give(lab, "h2c1", "stays", "http/tcp:80")
    h2.ripstop("dns", "add", "fixed", "--address", "192.0.2.77")
    h2.ripstop("dns", "add", "gate")
    netns = f"{lab.container('h2c1').netns}k"
    h2.run(["ip", "netns", "add", netns])
    h2.ripstop("attach", "--netns", netns, "--id", "killed", "--hostname", "goes")
    gate = h2.status().exposed[0].partition("/")[0]
    expected = {"stays": [stays], "fixed": ["192.0.2.77"], "gate": [gate]}
    eventually(lambda: known(h1).keys() == {*expected, "goes"})
    h2.kill_daemon()
    h2.run(["ip", "netns", "delete", netns])
    assert known(h1, hidden=True).keys() == {*expected, "goes"}
    h2.restart_daemon()
    eventually(lambda: known(h1) == known(h2) == expected)
    assert [one.services for one in found(h1, "stays")] == [("http/tcp:80",)]
    eventually(lambda: dig(lab.container("h2c2"), h2, "stays") == [stays])


def test_nobody_notices_that_a_daemon_is_killed_and_starts_again(lab: Lab) -> None:
    """Every question has its answer at once or asked a second time, and never that there is no such name."""
    h1, asking, stop = lab.host("h1"), lab.container("h1c2"), threading.Event()
    expected = {"near": [give(lab, "h1c1", "near")], "far": [give(lab, "h3c1", "far")]}
    eventually(lambda: all(dig(asking, h1, name) == addresses for name, addresses in expected.items()))
    server, first = h1.status().exposed[0].partition("/")[0], name_server(h1)

    def ask() -> int:
        asked = 0
        while not stop.is_set():
            for name, addresses in expected.items():
                words = ["dig", "+short", "+tries=2", "+time=5", f"@{server}", f"{name}.ripstop.local"]
                assert asking.run(words).stdout.split() == addresses, name
                asked += 1
        return asked

    with ThreadPoolExecutor() as pool:
        done = pool.submit(ask)
        try:
            h1.restart_daemon(("--grace=0.5",))
            eventually(lambda: name_server(h1) not in (0, first))
            eventually(lambda: all(place.since is not None for place in listening(h1)))
        finally:
            stop.set()
        assert done.result() > 10


def test_names_are_answered_while_the_daemon_is_dead_until_all_is_taken_down(lab: Lab) -> None:
    far, h1, asking = give(lab, "h3c1", "far"), lab.host("h1"), lab.container("h1c2")
    eventually(lambda: dig(asking, h1, "far") == [far])
    server = h1.status().exposed[0].partition("/")[0]
    h1.kill_daemon()
    try:
        words = ["dig", "+short", "+tries=1", "+time=5", f"@{server}", "far.ripstop.local"]
        assert asking.run(words).stdout.split() == [far]
        assert "name server" in h1.ripstop("down").stdout
        assert not (h1.run_dir / "names.sock").exists()
    finally:
        begin_anew(lab, h1)


def test_a_daemon_killed_again_and_again_while_names_change_neither_loses_nor_leaks_any(lab: Lab) -> None:
    h1, h2 = lab.host("h1"), lab.host("h2")
    for round_ in range(2):
        given = [h2.start(["ripstop", "dns", "add", f"n{round_}-{i}", "--address", f"192.0.2.{i}"]) for i in range(4)]
        taken = [h2.start(["ripstop", "dns", "remove", f"n{round_ - 1}-{i}"]) for i in range(4)] if round_ else []
        assert given[0].wait(timeout=30) == 0
        h2.kill_daemon()
        done = [process.wait(timeout=30) == 0 for process in (*given, *taken)]
        for process in (*given, *taken):
            process.communicate()
        h2.restart_daemon()
        names = {one.name for one in h2.client.call("names")}
        assert {f"n{round_}-{i}" for i in range(4) if done[i]} <= names
        assert not {f"n{round_ - 1}-{i}" for i in range(len(taken)) if done[len(given) + i]} & names
        eventually(lambda: known(h1) == known(h2))
    eventually(lambda: known(lab.host("h3"), hidden=True) == known(h2))


def test_this_host_itself_has_names_while_it_is_exposed(lab: Lab) -> None:
    h1, h3 = lab.host("h1"), lab.host("h3")
    address = h1.status().exposed[0]
    h1.ripstop("dns", "add", "gateway")
    eventually(lambda: known(h3) == {"gateway": [address.partition("/")[0]]})
    h1.ripstop("hide")
    eventually(lambda: known(h3, hidden=True) == {})
    for words in (("dns", "args"), ("dns", "add", "gateway")):
        refused = h1.ripstop(*words, check=False)
        assert refused.returncode == 1 and "ripstop expose" in refused.stderr
    h1.ripstop("expose", address)
    assert h1.ripstop("dns", "args").stdout == f"--dns {address.partition('/')[0]} --dns-search ripstop.local\n"


def test_a_host_that_leaves_takes_its_names_along(lab: Lab) -> None:
    give(lab, "h3c1", "left")
    h1, h3 = lab.host("h1"), lab.host("h3")
    eventually(lambda: "left" in known(h1))
    h3.stop_daemon()
    try:
        eventually(lambda: known(h1, hidden=True) == {})
    finally:
        begin_anew(lab, h3)
    assert known(h1, hidden=True) == {}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "a b", "--address", "10.32.0.9"), "cannot be"),
        (("add", "x" * 64, "--address", "10.32.0.9"), "1 to 63"),
        (("add", "web.example.com.", "--address", "10.32.0.9"), "not in the domain"),
        (("add", "10.32.0.9", "--address", "10.32.0.9"), "is an address"),
        (("add", "web", "--address", "239.1.1.1"), "cannot have a name"),
        (("add", "web", "--address", "10.32.0.9", "--service", "http"), "NAME/PROTOCOL:PORT"),
        (("add", "web", "--container", "nobody"), "not attached here"),
        (("remove", "nobody"), "ripstop dns list"),
        (("lookup", "nobody"), "ripstop dns list"),
        (("lookup", "10.99.99.99"), "ripstop dns list"),
        (("lookup", "-"), "cannot be"),
    ],
)
def test_what_is_wrong_is_refused_with_a_reason(lab: Lab, words: tuple[str, ...], says: str) -> None:
    refused = lab.host("h1").ripstop("dns", *words, check=False)
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1
    assert says in refused.stderr


def test_a_name_of_another_host_is_removed_there(lab: Lab) -> None:
    give(lab, "h2c1", "theirs")
    eventually(lambda: "theirs" in known(lab.host("h1")))
    with pytest.raises(RefusedError, match="a name on h2"):
        lab.host("h1").client.call("remove_name", NameRequest("theirs"))


def test_a_bad_hostname_attaches_nothing(lab: Lab) -> None:
    host, container = lab.host("h1"), lab.container("h1c1")
    words = ("attach", "--netns", str(container.netns_path), "--ifname", "eth9", "--hostname", "not a name")
    refused = host.ripstop(*words, check=False)
    assert refused.returncode == 1 and "cannot be" in refused.stderr
    assert "eth9" not in container.run(["ip", "-br", "link"]).stdout


def test_the_report_has_names_and_the_server(lab: Lab) -> None:
    give(lab, "h1c1", "reported")
    shown = lab.host("h1").ripstop("report").stdout
    assert "reported" in shown.partition("== names")[2]
    assert "answers on" in shown.partition("== name server")[2]
    assert lab.host("h1").client.call("dns").names == 1
