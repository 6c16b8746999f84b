"""The lab itself, on real namespaces; its hosts are bare, since what runs on them is tested elsewhere."""

import json
import os
import signal
import subprocess
import sys

import pytest

from ripstop.lab import namespaces, state
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from ripstop.lab.plan import LabError
from ripstop.lab.removal import remove


def reaches(lab: Lab, source: str, target: str) -> bool:
    """Return whether a ping passes; forgotten neighbors first, since a failed one is not asked for again at once."""
    lab.host(source).run(["ip", "neigh", "flush", "all"])
    lab.host(target).run(["ip", "neigh", "flush", "all"])
    return lab.host(source).ping(str(lab.host(target).interface.ip), seconds=1) is not None


def test_hosts_share_one_switch(name: str) -> None:
    with Lab(3, name=name, daemons=False) as lab:
        assert reaches(lab, "h1", "h2")
        assert reaches(lab, "h3", "h1")


def test_chain_has_no_link_between_its_ends(name: str) -> None:
    with Lab(3, name=name, topology="chain", daemons=False) as lab:
        assert reaches(lab, "h1", "h2")
        assert reaches(lab, "h2", "h3")
        assert not reaches(lab, "h1", "h3")


def test_a_cut_stops_frames_and_heal_lets_them_pass(name: str) -> None:
    with Lab(2, name=name, daemons=False) as lab:
        lab.cut("h1", "h2")
        assert lab.plan.cuts == (("h1", "h2"),)
        assert not reaches(lab, "h2", "h1")
        lab.heal("h2", "h1")
        assert reaches(lab, "h2", "h1")


def test_broadcasts_reach_everybody_but_across_a_cut(name: str) -> None:
    with Lab(3, name=name, topology="chain", daemons=False) as lab:
        assert broadcasts_heard(lab, "h2") == {"h1": 1, "h3": 1}
        assert broadcasts_heard(lab, "h1") == {"h2": 1, "h3": 0}


def broadcasts_heard(lab: Lab, sender: str) -> dict[str, int]:
    """Send one broadcast and return how many packets each other host got."""
    others = [host for host in lab.hosts if host.name != sender]
    for host in lab.hosts:  # neighbor discovery and such would be counted too
        host.run(["sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6"])
    before = {host.name: packets_received(host) for host in others}
    lab.host(sender).run(["ping", "-b", "-c", "1", "-W", "0.1", "192.0.2.255"], check=False)
    return {host.name: packets_received(host) - before[host.name] for host in others}


def packets_received(host: Host) -> int:
    listed = host.run(["ip", "-json", "-stats", "link", "show", "eth0"]).stdout
    return int(json.loads(listed)[0]["stats64"]["rx"]["packets"])


def test_an_unplugged_host_loses_its_carrier(name: str) -> None:
    with Lab(1, name=name, daemons=False) as lab:
        lab.unplug("h1")
        assert "NO-CARRIER" in flags(lab.host("h1"))
        lab.plug("h1")
        assert "LOWER_UP" in flags(lab.host("h1"))


def flags(host: Host) -> list[str]:
    listed: list[dict[str, list[str]]] = json.loads(host.run(["ip", "-json", "link", "show", "eth0"]).stdout)
    return listed[0]["flags"]


def test_jumbo_frames_pass_on_a_jumbo_underlay(name: str) -> None:
    with Lab(2, name=name, mtu=9000, daemons=False) as lab:
        ping = ["ping", "-M", "do", "-s", "8972", "-c", "1", "-W", "1", "192.0.2.2"]
        assert lab.host("h1").run(ping, check=False).returncode == 0


def test_pinned_objects_stay_in_view(name: str) -> None:
    with Lab(1, name=name, daemons=False) as lab:
        assert lab.host("h1").run(["stat", "-f", "-c", "%T", "/sys/fs/bpf"]).stdout == "bpf_fs\n"


def test_nothing_stays_after_the_block(name: str) -> None:
    with Lab(2, name=name, containers=1, daemons=False) as lab:
        left = lab.host("h1").start(["sh", "-c", "echo inside; exec sleep 1000"])
        assert left.stdout is not None
        assert left.stdout.readline() == "inside\n"
        assert len(namespaces.of_lab(name)) == 5
    assert left.wait(5) == -signal.SIGTERM
    left.communicate()
    assert namespaces.of_lab(name) == []
    assert list(state.ROOT.glob(f"{name}*")) == []


def test_nothing_stays_after_an_exception(name: str) -> None:
    with pytest.raises(ZeroDivisionError), Lab(1, name=name, daemons=False):
        raise ZeroDivisionError
    assert namespaces.of_lab(name) == []


def test_nothing_stays_of_what_could_not_be_built(name: str) -> None:
    with pytest.raises(LabError, match="its daemon has ended"), Lab(1, name=name, flags=["--no-such-flag"]):
        pass
    assert namespaces.of_lab(name) == []
    assert not state.directory(name).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_stays_after_a_signal(name: str, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, name], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        owner.send_signal(number)
    assert owner.returncode != 0
    assert namespaces.of_lab(name) == []


OWNER = """
import sys
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from ripstop.lab.signals import raising

with raising(), Lab(2, name=sys.argv[1], daemons=False) as lab:
    print("up", flush=True)
    lab.host("h1").run(["sleep", "1000"], timeout=None)
"""


def test_what_a_killed_owner_left_is_replaced(name: str) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, name], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        owner.kill()
    assert len(namespaces.of_lab(name)) == 3
    with Lab(1, name=name, daemons=False):
        assert len(namespaces.of_lab(name)) == 2
    assert namespaces.of_lab(name) == []


def test_a_lab_in_use_is_not_taken_over(name: str) -> None:
    with Lab(1, name=name, daemons=False) as lab:
        with pytest.raises(LabError, match="in use by another process"):
            Lab(1, name=name, daemons=False).up()
        assert lab.host("h1").run(["true"]).returncode == 0


def test_a_lab_that_was_left_up_stays(name: str) -> None:
    Lab(1, name=name, daemons=False).up()
    with pytest.raises(LabError, match="is up already"):
        Lab(2, name=name, daemons=False).up()
    assert Lab.existing(name).plan.hosts == 1
    Lab.existing(name).down()
    with pytest.raises(LabError, match="no lab"):
        Lab.existing(name)


def test_names_of_other_labs_are_left_alone(name: str) -> None:
    longer = f"{name}-b"
    with Lab(1, name=longer, daemons=False):
        assert not remove(name)
        assert len(namespaces.of_lab(longer)) == 2


def test_cuts_of_two_processes_add_up(name: str) -> None:
    with Lab(3, name=name, daemons=False) as lab:
        Lab.existing(name).cut("h1", "h2")
        lab.cut("h1", "h3")
        assert lab.plan.cuts == (("h1", "h2"), ("h1", "h3"))


def test_nodes_that_are_not_there_are_named(name: str) -> None:
    lab = Lab(2, name=name, containers=1)
    for node in ("h3", "h1c2", "h3c1", "x", "h1c"):
        with pytest.raises(LabError, match=f"'{node}'"):
            lab.node(node)


def test_the_command_line(name: str) -> None:
    done = ripstop("up", "--lab", name, "--hosts", "2", "--containers", "1", "--no-daemons")
    assert "h2c1" in done.stdout
    assert ripstop("exec", "--lab", name, "h1", "--", "ping", "-c", "1", "192.0.2.2").returncode == 0
    assert ripstop("exec", "--lab", name, "h1c1", "--", "sh", "-c", "exit 7").returncode == 7
    assert ripstop("cut", "--lab", name, "h2", "h1").returncode == 0
    assert "cut: h1-h2" in ripstop("status", "--lab", name).stdout
    assert ripstop("heal", "--lab", name, "h1", "h9").stderr.startswith("ripstop: no host 'h9'")
    assert ripstop("down", "--lab", name).returncode == 0
    assert ripstop("down", "--lab", name).returncode == 0
    assert ripstop("status", "--lab", name).returncode == 1
    assert ripstop("up", "--lab", name, "--hosts", "0").returncode == 1


def ripstop(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ripstop.cli.main", "lab", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"NO_COLOR": "1"})
