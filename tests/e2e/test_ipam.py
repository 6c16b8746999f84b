"""Addresses over the life of hosts: damaged and old state, quick restarts, dead hosts, leaving, changing the range."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest

from ripstop.api.types import AttachRequest, DetachRequest
from ripstop.client import RefusedError
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from tests.e2e.conftest import lab_name
from tests.e2e.polling import eventually


def ipam(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.ripstop("status", "ipam", "--json").stdout)
    return found


def shares(host: Host) -> dict[str, int]:
    return {peer["nickname"]: peer["addresses"] for peer in ipam(host)["peers"]}


def refusal(host: Host, *words: str) -> str:
    done = host.ripstop(*words, check=False)
    assert done.returncode == 1, (done.stdout, done.stderr)
    (line,) = done.stderr.strip().splitlines()
    return line


def test_a_torn_database_is_repaired_from_the_mesh_while_containers_live(pair: Lab) -> None:
    host, container = pair.host("h1"), pair.container("h1c1")
    before, name = container.address(), host.status().name
    host.kill_daemon()
    database = host.state_dir / "ripstop.sqlite"
    database.write_bytes(database.read_bytes()[:5000] + b"torn" * 1000)
    for leftover in ("ripstop.sqlite-wal", "ripstop.sqlite-shm"):
        (host.state_dir / leftover).unlink(missing_ok=True)
    host.restart_daemon()
    pair.wait()
    assert host.status().name == name
    eventually(lambda: not ipam(host)["doubt"] and not ipam(host)["strays"])
    assert container.address() == before
    assert [one["address"] for one in ipam(host)["allocations"]] == [before]
    assert container.ping(pair.container("h2c1").address()) is not None
    assert sum(shares(host).values()) == 1 << 20
    assert shares(host)["h1"] == 1 << 19  # what its former self owned as well


def test_an_old_database_is_noticed_and_nothing_is_given_out_twice(pair: Lab) -> None:
    host, other = pair.host("h1"), pair.host("h2")
    host.detach(pair.container("h1c1"))
    host.stop_daemon()
    copy = (host.state_dir / "ripstop.sqlite").read_bytes()
    host.restart_daemon()
    pair.wait()
    address = IPv4Interface(host.attach(pair.container("h1c1")).addresses[0]).ip
    host.detach(pair.container("h1c1"))
    other.attach(pair.container("h1c1"), f"{address}/12")  # so it moves to the other host
    host.kill_daemon()
    for leftover in ("ripstop.sqlite-wal", "ripstop.sqlite-shm"):
        (host.state_dir / leftover).unlink(missing_ok=True)
    (host.state_dir / "ripstop.sqlite").write_bytes(copy)
    host.restart_daemon()
    pair.wait()
    eventually(lambda: not ipam(host)["doubt"])
    assert "was put back" in host.log.read_text()
    (exposed,) = host.ripstop("expose").stdout.split()
    assert IPv4Interface(exposed).ip != address


def test_a_quick_restart_keeps_the_address_and_a_slow_one_frees_it() -> None:
    with Lab(hosts=1, name=lab_name(), containers=1) as lab:
        host = lab.host("h1")
        host.restart_daemon(["--grace=600"])
        extra = lab.container("h1c1")
        host.detach(extra)

        def attach() -> str:
            return host.ripstop("attach", "--netns", str(extra.netns_path), "--id", "web").stdout.strip()

        first = attach()
        extra.run(["ip", "link", "delete", "eth0"])
        eventually(lambda: not json.loads(host.ripstop("ps", "--json").stdout))
        assert [one["container"] for one in ipam(host)["allocations"]] == ["web/eth0"]
        assert attach() == first
        host.restart_daemon(["--grace=0.1"])
        extra.run(["ip", "link", "delete", "eth0"])
        eventually(lambda: not ipam(host)["allocations"])


def test_a_dead_host_is_written_off_once_and_comes_back_with_nothing() -> None:
    with Lab(hosts=3, name=lab_name(), containers=1) as lab:
        one, two, three = lab.hosts
        alive = refusal(one, "rmpeer", "h3")
        assert "can be reached, so it is not dead" in alive
        assert "no peer is called h9" in refusal(one, "rmpeer", "h9")
        lost = shares(one)["h3"]
        three.kill_daemon()
        lab.unplug("h3")
        eventually(lambda: not any(peer["reachable"] for peer in ipam(one)["peers"] if peer["nickname"] == "h3"), 60)
        eventually(lambda: not any(peer["reachable"] for peer in ipam(two)["peers"] if peer["nickname"] == "h3"), 60)
        both = [host.start(["ripstop", "rmpeer", "h3", "--json"]) for host in (one, two)]
        answers = [process.communicate(timeout=60)[0] for process in both]
        taken = [json.loads(answer)["addresses"] for answer in answers if answer]
        assert max(taken) == lost
        assert sum(taken) == lost
        eventually(lambda: shares(one) == shares(two) and "h3" not in shares(one))
        lab.plug("h3")
        three.restart_daemon()
        lab.wait()
        eventually(lambda: not ipam(three)["doubt"], 60)
        three.detach(lab.container("h3c1"))
        assert three.attach(lab.container("h3c1")).addresses
        held = [one_["address"] for host in lab.hosts for one_ in ipam(host)["allocations"]]
        assert len(held) == len(set(held))


def test_a_copy_of_a_state_does_not_start_while_the_original_runs(pair: Lab) -> None:
    original, copy = pair.host("h1"), pair.host("h2")
    copy.detach(pair.container("h2c1"))
    copy.kill_daemon()
    aside = copy.state_dir.rename(copy.directory / "aside")
    shutil.copytree(original.state_dir, copy.state_dir)
    copy.start_daemon()
    eventually(lambda: copy.daemon_pid() is None)
    name = original.status().name
    assert (
        f"the host at 192.0.2.1 runs with the name of this one, {name}: the state here is a copy"
        in copy.log.read_text()
    )
    assert not original.status().problems
    shutil.rmtree(copy.state_dir)
    aside.rename(copy.state_dir)
    copy.restart_daemon()
    pair.wait()
    eventually(lambda: not ipam(copy)["doubt"])
    (given,) = copy.attach(pair.container("h2c1")).addresses
    assert str(IPv4Interface(given).ip) != pair.container("h1c1").address()


def test_peers_with_overlapping_ranges_are_named_and_make_no_second_ring_over_addresses_in_use() -> None:
    with Lab(hosts=2, name=lab_name(), containers=1, daemons=False) as lab:
        one, two = lab.hosts
        one.start_daemon(["--range=10.64.0.0/16", "--init=consensus=1"])
        two.start_daemon(["--range=10.64.128.0/17", "--init=consensus=1"])
        for host in lab.hosts:
            host.wait(reachable=1)
        one.attach(lab.container("h1c1"))
        advice = "start all hosts with the same --range"
        eventually(lambda: f"peer h1 shares out 10.64.0.0/16, not 10.64.128.0/17: {advice}" in two.status().problems)
        assert f"peer h2 shares out 10.64.128.0/17, not 10.64.0.0/16: {advice}" in one.status().problems
        words = ("attach", "--netns", str(lab.container("h2c1").netns_path), "--wait", "1")
        assert (
            "containers of h1 hold addresses of another range that overlaps 10.64.128.0/17; start all hosts with the"
            " same --range" in refusal(two, *words)
        )
        one.detach(lab.container("h1c1"))
        assert two.ripstop(*words[:-2]).stdout == "10.64.128.1/17\n"


def test_leaving_gives_everything_to_another(pair: Lab) -> None:
    host, other = pair.host("h1"), pair.host("h2")
    assert "1 containers hold addresses here" in refusal(host, "reset")
    host.detach(pair.container("h1c1"))
    share = shares(host)["h1"]
    done = host.ripstop("reset", "--json")
    assert json.loads(done.stdout) == {"addresses": share}
    assert not list(host.state_dir.glob("ripstop.sqlite*"))
    eventually(lambda: shares(other) == {"h2": 1 << 20})


def test_priming_and_observing() -> None:
    with Lab(hosts=2, name=lab_name(), containers=1, daemons=False) as lab:
        one, two = lab.hosts
        one.start_daemon(["--init=consensus=2"])
        one.wait()
        early = refusal(one, "prime", "--wait", "0.5")
        assert "no ring yet: 1 of the 2 peers needed" in early
        two.start_daemon(["--init=observer"])
        two.wait(reachable=1)
        assert "no ring yet" in refusal(one, "prime", "--wait", "0.5")  # an observer has no vote
        one.stop_daemon()
        one.start_daemon(["--init=consensus=1"])
        one.wait()
        two.wait(reachable=1)
        assert two.ripstop("prime").stdout == ""
        assert shares(two) == {"h1": 1 << 20}
        assert two.attach(lab.container("h2c1")).addresses


def test_the_range_changes_once_nobody_uses_it() -> None:
    with Lab(hosts=1, name=lab_name(), containers=1) as lab:
        host = lab.host("h1")
        host.kill_daemon()
        done = host.ripstop(
            "daemon", f"--run-dir={host.run_dir}", f"--state-dir={host.state_dir}", "--range=10.64.0.0/16", check=False
        )
        assert done.returncode == 1
        assert "interfaces here have addresses of --range 10.32.0.0/12" in done.stderr
        host.restart_daemon()
        host.detach(lab.container("h1c1"))
        host.stop_daemon()
        host.start_daemon(["--range=10.64.0.0/16"])
        host.wait()
        (address,) = host.attach(lab.container("h1c1")).addresses
        assert address == "10.64.0.1/16"


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("net:10.99.0.0/16", "is not within the range 10.32.0.0/12"),
        ("net:10.32.0.0/31", "too small"),
        ("net:10.32.0.4/32", "too small"),
        ("net:10.32.0.1/24", "host bits set"),
        ("net:", "range ''"),
        ("10.32.0.0/16", "network or broadcast address"),
        ("10.32.255.255/16", "network or broadcast address"),
        ("255.255.255.255/32", "cannot be that of an interface"),
        ("224.0.0.5/24", "cannot be that of an interface"),
        ("10.32.0.5", "no prefix length"),
        ("10.32.0.300/12", "10.32.0.300"),
    ],
)
def test_bad_wishes_are_refused(refusing: Lab, wanted: str, reason: str) -> None:
    host, container = refusing.host("h1"), refusing.container("h1c1")
    assert reason in refusal(host, "attach", "--netns", str(container.netns_path), "--wait", "2", wanted)
    assert ipam(host)["allocations"] == []


def test_a_subnet_of_four_has_two_addresses_then_it_is_exhausted(refusing: Lab) -> None:
    host, container = refusing.host("h1"), refusing.container("h1c1")
    names = ["x0", "x1"]
    given = [
        host.ripstop(
            "attach", "--netns", str(container.netns_path), "--ifname", name, "net:10.32.8.4/30"
        ).stdout.strip()
        for name in names
    ]
    assert given == ["10.32.8.5/30", "10.32.8.6/30"]
    full = refusal(host, "attach", "--netns", str(container.netns_path), "--ifname", "x2", "net:10.32.8.4/30")
    assert "no address of 10.32.8.4/30 is free: this peer owns them all, and all are in use" in full
    taken = refusal(host, "attach", "--netns", str(container.netns_path), "--ifname", "x2", "10.32.8.5/30")
    assert "10.32.8.5 is taken by container" in taken
    host.ripstop("detach", "--netns", str(container.netns_path))
    again = host.ripstop("detach", "--netns", str(container.netns_path), check=False)
    assert again.returncode == 1
    assert "is not attached here" in again.stderr


def test_thousands_of_requests_at_exhaustion_are_each_refused_while_the_daemon_answers(refusing: Lab) -> None:
    host, netns = refusing.host("h1"), str(refusing.container("h1c1").netns_path)
    for name in ("x0", "x1"):
        host.client.call("attach", AttachRequest(netns=netns, ifname=name, addresses=("net:10.32.16.4/30",)))

    def ask(number: int) -> str:
        request = AttachRequest(netns=netns, ifname=f"y{number}", addresses=("net:10.32.16.4/30",))
        with pytest.raises(RefusedError) as refused:
            host.client.call("attach", request)
        return str(refused.value)

    with ThreadPoolExecutor(32) as threads:
        refusals = threads.map(ask, range(2000))
        seen = [host.status().settled for _ in range(20)]
        assert set(refusals) == {
            "no address of 10.32.16.4/30 is free: this peer owns them all, and all are in use",
        }
    assert all(seen)
    assert [one["address"] for one in ipam(host)["allocations"]] == ["10.32.16.5", "10.32.16.6"]
    host.client.call("detach", DetachRequest(netns=netns))
    assert ipam(host)["allocations"] == []


def test_what_another_host_has_is_asked_for_and_refused_by_name(pair: Lab) -> None:
    one, two = pair.hosts
    held = pair.container("h1c1").address()
    two.detach(pair.container("h2c1"))
    words = ("attach", "--netns", str(pair.container("h2c1").netns_path), "--wait", "5")
    assert f"address {held} is taken by container" in refusal(two, *words, f"{held}/12")
    assert "on peer h1" in refusal(two, *words, f"{held}/12")
    theirs = IPv4Address(held) + 7
    assert two.ripstop(*words, f"{theirs}/12").stdout == f"{theirs}/12\n"
    assert shares(one)["h1"] + shares(one)["h2"] == 1 << 20
    foreign = one.ripstop(
        "attach", "--netns", str(pair.container("h1c1").netns_path), "--ifname", "x", "192.168.7.9/24"
    )
    assert foreign.stdout == "192.168.7.9/24\n"  # of no range of ours: given as it is


def test_unknown_containers_and_namespaces_are_named(refusing: Lab) -> None:
    host = refusing.host("h1")
    assert "nobody is not attached here; `ripstop ps` lists what is" in refusal(host, "detach", "--id", "nobody")
    assert "/run/netns/nowhere" in refusal(host, "detach", "--netns", "nowhere")
    assert "/run/netns/nowhere" in refusal(host, "attach", "--netns", "nowhere")


@pytest.fixture(scope="module")
def refusing() -> Iterator[Lab]:
    with Lab(hosts=1, name=lab_name(), containers=1) as lab:
        lab.host("h1").detach(lab.container("h1c1"))
        yield lab
