"""The switch's life: made, adopted under traffic, changed, taken down; and what it leaves alone."""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from ripstop.core.errors import KernelError
from ripstop.core.names import NO_PEER, ShortId, UnderlayIp
from ripstop.core.overlay.forwarding import ForwardingTables, Hop, Tree
from ripstop.kernel import bpf_tcx
from ripstop.kernel.abi import GuardFlags
from ripstop.kernel.bpf_tc import attached_program
from ripstop.kernel.datapath import Datapath, FdbEntry
from ripstop.kernel.guards import Guard
from tests.kernel.switches import MTU, PORT, Container, Host, Lab, hop

GROUP = "239.192.7.2"
NEVER = 0x7FFFFFFF  # an ifindex that no device has
SO_RCVBUFFORCE = 33  # asm-generic/socket.h
PACE = 0.0002  # seconds between two packets of a feed
WAIT = 5.0  # seconds
ADOPT = """
import signal, sys
from pathlib import Path
from ripstop.kernel.datapath import Datapath
datapath = Datapath.open(Path(sys.argv[1]), int(sys.argv[2]))
print("open", len(datapath.ports()), flush=True)
signal.pause()
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Two hosts that reach each other, with two containers each."""
    made = Lab()
    try:
        for _ in range(2):
            made.add_host(containers=2)
        made.join()
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def nothing_lost(source: Container, target: Container) -> Iterator[None]:
    """Send numbered packets to one container and to a group for the length of the block; all must come, in order."""
    stopped = threading.Event()
    with contextlib.ExitStack() as stack:
        with target.entered():
            receiver, member = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in "12")
            for ear in (receiver, member):
                ear.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
            receiver.bind((target.address, 7100))
            member.bind((GROUP, 7101))
            joined = socket.inet_aton(GROUP) + socket.inet_aton(target.address)
            member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
        with source.entered():
            sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        heard: dict[socket.socket, list[int]] = {receiver: [], member: []}

        def listen(ear: socket.socket) -> None:
            ear.settimeout(WAIT)
            while number := int.from_bytes(ear.recv(100)):
                heard[ear].append(number)

        def send() -> None:
            number = 0
            while not stopped.wait(PACE):
                number += 1
                sender.sendto(number.to_bytes(4), (target.address, 7100))
                sender.sendto(number.to_bytes(4), (GROUP, 7101))
            sent.append(number)
            sender.sendto(b"\0", (target.address, 7100))
            sender.sendto(b"\0", (GROUP, 7101))

        sent: list[int] = []
        threads = [threading.Thread(target=listen, args=(ear,)) for ear in heard]
        threads.append(threading.Thread(target=send))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopped.set()
            for thread in threads:
                thread.join()
    for numbers in heard.values():
        assert numbers == list(range(1, sent[0] + 1))
    assert sent[0] > 20, "too few packets to tell"


def macs(host: Host) -> dict[str, FdbEntry]:
    """Return the FDB by MAC."""
    return {entry.mac: entry for entry in host.switch.fdb()}


def test_killed_and_adopted_under_traffic(lab: Lab) -> None:
    source, target = lab.hosts
    source.switch.close()
    with nothing_lost(source.containers[0], target.containers[1]):
        for _ in range(3):
            with source.namespace.start([sys.executable, "-c", ADOPT, str(source.pins), str(PORT)]) as loader:
                assert loader.stdout is not None
                assert loader.stdout.readline() == "open 3\n"
                loader.send_signal(signal.SIGKILL)
        target.switch.close()
        target.open()
        source.open()
        lab.join()


def test_adopted_switch_knows_what_it_knew(lab: Lab) -> None:
    host, other = lab.hosts
    host.containers[0].run(f"ping -c 1 -W 2 {other.containers[0].address}")
    before = macs(host)
    ports = host.switch.ports()
    host.switch.close()
    with host.namespace.entered():
        host.datapath = Datapath.open(host.pins, PORT)
    assert macs(host).keys() >= before.keys()  # others may have spoken meanwhile
    assert host.switch.ports() == ports
    assert host.switch.underlays() == (host.ifindex("eth0"),)
    host.containers[0].run(f"ping -c 1 -W 2 {other.containers[0].address}")


def attached(host: Host) -> list[int | None]:
    """Return the program of each device of a switch."""
    with host.namespace.entered():
        devices = [*host.switch.ports(), *host.switch.underlays(), socket.if_nametoindex("ripstop-vx")]
        return [attached_program(ifindex) for ifindex in devices]


def reopen(host: Host) -> None:
    """Let go of a switch and adopt it."""
    host.switch.close()
    with host.namespace.entered():
        host.datapath = Datapath.open(host.pins, PORT)


def test_adoption_takes_over_the_programs_of_the_same_build(lab: Lab) -> None:
    source, target = lab.hosts
    before = attached(source)
    with nothing_lost(source.containers[0], target.containers[1]):
        for _ in range(10):
            reopen(source)
    assert None not in before
    assert attached(source) == before


@pytest.mark.parametrize("missing", ["whole", "a program"])
def test_adoption_replaces_programs_of_another_build_or_incomplete_ones(lab: Lab, missing: str) -> None:
    source, target = lab.hosts
    before = attached(source)
    (kept,) = source.pins.glob("*/programs-*")
    if missing == "whole":
        kept.rename(kept.with_name("programs-0123456789abcdef"))
    else:
        next(kept.iterdir()).unlink()
    with nothing_lost(source.containers[0], target.containers[1]):
        reopen(source)
    after = attached(source)
    assert None not in before + after
    assert set(before).isdisjoint(after)
    assert [path.name for path in source.pins.glob("*/programs-*")] == [kept.name]
    reopen(source)
    assert attached(source) == after


def test_a_promoted_port_is_what_it_was(lab: Lab) -> None:
    host = lab.hosts[0]
    port, other = (container.port for container in host.containers)
    guard = Guard(GuardFlags.MAC, "02:00:00:00:00:01", ())
    with host.namespace.entered():
        plain = attached_program(other)
        host.switch.remove_port(port)
        host.switch.add_port(port, soon=True)
        assert attached_program(port) == plain
        host.switch.promote(port)
        assert attached_program(port) == plain
        host.switch.add_port(port, guard=guard)
        guarded = attached_program(port)
        assert guarded not in (None, plain)
        host.switch.promote(port)  # late: it was asked for before the guard came
        assert attached_program(port) == guarded
        host.switch.remove_port(port)
        host.switch.add_port(port, guard=guard, soon=True)
        assert attached_program(port) == guarded
        host.switch.promote(port)
        assert attached_program(port) == guarded
        host.switch.remove_port(port)
        host.switch.promote(port)
        assert attached_program(port) is None


def test_adoption_forgets_devices_that_went(lab: Lab) -> None:
    host, other = lab.hosts
    gone = host.containers.pop()
    gone.run(f"ping -c 1 -W 2 {other.containers[0].address}")
    host.namespace.run("ip link delete v2")
    host.switch.close()
    with host.namespace.entered():
        host.datapath = Datapath.open(host.pins, PORT)
    assert gone.port not in host.switch.ports()
    assert gone.port not in {entry.ifindex for entry in host.switch.fdb()}
    host.containers[0].run(f"ping -c 1 -W 2 {other.containers[0].address}")


def test_removed_port_is_forgotten_and_silent(lab: Lab) -> None:
    host, other = lab.hosts
    container = host.containers[1]
    container.run(f"ping -c 1 -W 2 {other.containers[0].address}")
    assert container.port in {entry.ifindex for entry in host.switch.fdb()}
    assert (counted := host.switch.stations())["port"] >= 1 and counted["peer"] >= 1
    with host.namespace.entered():
        for _ in range(2):
            host.switch.remove_port(container.port)
    assert container.port not in host.switch.ports()
    assert container.port not in {entry.ifindex for entry in host.switch.fdb()}
    known = (
        (host.switch.stations()["port"], sum(1 for entry in host.switch.fdb() if entry.ifindex)) for _ in range(10)
    )
    assert any(count == entries for count, entries in known)  # somebody may be learnt between the two
    assert container.run(f"ping -c 1 -W 0.2 {other.containers[0].address}", check=False).returncode
    with host.namespace.entered():
        host.switch.add_port(container.port)
    container.run(f"ping -c 1 -W 2 {other.containers[0].address}")


def test_ports_are_added_twice_without_harm(lab: Lab) -> None:
    host = lab.hosts[0]
    ports = host.switch.ports()
    with host.namespace.entered():
        for container in host.containers:
            host.switch.add_port(container.port)
        host.switch.attach_underlay(socket.if_nametoindex("eth0"))
    assert host.switch.ports() == ports
    assert len(host.switch.underlays()) == 1


def test_device_that_is_not_there_is_named(lab: Lab) -> None:
    host = lab.hosts[0]
    with host.namespace.entered():
        with pytest.raises(KernelError, match=f"ifindex {NEVER}"):
            host.switch.add_port(NEVER)
        host.switch.detach(NEVER)
        host.switch.remove_port(NEVER)
    assert NEVER not in host.switch.ports()


def test_container_that_moves_to_another_host(lab: Lab) -> None:
    """Its MAC shows up elsewhere: the next frame goes there."""
    host, other = lab.hosts
    watcher, moving, stand_in = host.containers[0], host.containers[1], other.containers[1]
    watcher.run(f"ping -c 1 -W 2 {moving.address}")
    mac = moving.run("ip -br link show eth0").stdout.split()[2]
    moving.run("ip link set eth0 down")
    stand_in.run("ip address flush dev eth0 scope global")
    stand_in.run(f"ip link set eth0 address {mac}")
    stand_in.run(f"ip address add {moving.address}/16 dev eth0")
    stand_in.run(f"ping -c 1 -W 2 {watcher.address}")
    assert macs(host)[mac].peer == other.id
    watcher.run(f"ping -c 1 -W 2 {moving.address}")


def test_tables_change_under_traffic(lab: Lab) -> None:
    """Applying the same, more, and the same again loses nothing."""
    source, target = lab.hosts
    third = ShortId(9)
    with nothing_lost(source.containers[0], target.containers[0]):
        for address in range(20, 220):
            extra = Hop(third, UnderlayIp(f"192.0.2.{address}"), source.underlay, MTU)
            source.apply(
                ForwardingTables(
                    own=source.id,
                    vteps={**lab.vteps(), extra.remote: third},
                    routes={target.id: hop(source, target), third: extra},
                    trees={source.id: Tree(NO_PEER, (hop(source, target),)), target.id: Tree(target.id, ())},
                )
            )
            lab.join()


def test_departed_peer_is_forgotten(lab: Lab) -> None:
    host, other = lab.hosts
    host.containers[0].run(f"ping -c 1 -W 2 {other.containers[0].address}")
    assert other.id in {entry.peer for entry in host.switch.fdb()}
    host.apply(ForwardingTables(own=host.id, vteps={host.underlay: host.id}))
    assert {entry.peer for entry in host.switch.fdb()} == {NO_PEER}
    assert host.containers[0].run(f"ping -c 1 -W 0.2 {other.containers[0].address}", check=False).returncode
    lab.join()
    host.containers[0].run(f"ping -c 1 -W 2 {other.containers[0].address}")


def test_filters_of_others_stay(lab: Lab) -> None:
    host = lab.hosts[0]
    run = host.namespace.run
    run("tc qdisc add dev eth0 clsact", check=False)  # one of ours may be there
    theirs = "tc filter {} dev eth0 ingress pref {} handle {} protocol ip u32"
    run(theirs.format("add", 5, "800::800") + " match ip protocol 132 0xff classid 1:1")
    run(theirs.format("add", 0x7270 + 1, "801::800") + " match ip protocol 132 0xff classid 1:1")
    before = run("tc filter show dev eth0 ingress").stdout
    host.switch.close()
    host.open()
    with host.namespace.entered():
        eth0 = socket.if_nametoindex("eth0")
        assert attached_program(eth0) is not None
        host.switch.detach(eth0)
        assert attached_program(eth0) is None
    left = run("tc filter show dev eth0 ingress").stdout
    assert left.count("match") == before.count("match") == 2


def test_destroyed_switch_leaves_nothing(lab: Lab) -> None:
    host = lab.hosts[0]
    with host.namespace.entered():
        devices = [*host.switch.ports(), *host.switch.underlays(), socket.if_nametoindex("ripstop-vx")]
        host.switch.destroy()
        host.datapath = None
        assert [attached_program(ifindex) for ifindex in devices] == [None] * len(devices)
    assert not host.pins.exists()


def test_other_abis_maps_are_not_adopted(lab: Lab) -> None:
    host = lab.hosts[0]
    foreign = host.pins / "000000000000"
    foreign.mkdir()
    host.switch.close()
    host.open()
    assert len(host.switch.ports()) == 3
    foreign.rmdir()


def test_pins_need_a_bpf_file_system(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="load overlay"):
        Datapath.open(tmp_path / "pins", PORT)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_upcall_descriptor_waits(lab: Lab) -> None:
    descriptor = lab.hosts[0].switch.upcall_fd()
    assert os.fstat(descriptor)
    assert lab.hosts[0].switch.read_upcalls() == []


def guard_of(container: Container, flags: GuardFlags) -> Guard:
    mac = container.run("ip -br link show eth0").stdout.split()[2]
    return Guard(flags, mac, (ip_address(container.address), ip_address(container.address6)))


@pytest.mark.parametrize("tcx", [True, False], ids=["tcx", "clsact"])
def test_guarded_and_not_under_traffic(monkeypatch: pytest.MonkeyPatch, tcx: bool) -> None:
    if not tcx:
        monkeypatch.setattr(bpf_tcx, "is_available", lambda: False)
    with contextlib.ExitStack() as stack:
        made = Lab()
        stack.callback(made.close)
        for _ in range(2):
            made.add_host(containers=2)
        made.join()
        source, target = made.hosts
        container = source.containers[0]
        guards = [guard_of(container, GuardFlags.MAC | GuardFlags.IP), guard_of(container, GuardFlags.MAC), None]
        with nothing_lost(container, target.containers[1]), source.namespace.entered():
            for guard in guards * 200:
                source.switch.add_port(container.port, guard=guard)
        assert all(not stopped for stopped in source.switch.guards.stopped().values())


def test_an_adopted_switch_guards_as_before(lab: Lab) -> None:
    host, other = lab.hosts
    container = host.containers[0]
    with host.namespace.entered():
        host.switch.add_port(container.port, guard=guard_of(container, GuardFlags.MAC | GuardFlags.IP))
        container.run(f"ping -c 1 -W 2 {other.containers[0].address}")
        container.run("ip address add 10.9.9.9/32 dev eth0")
        spoof = f"ping -c 1 -W 1 -I 10.9.9.9 {other.containers[0].address}"
        assert container.run(spoof, check=False).returncode == 1
        host.switch.close()
        assert container.run(spoof, check=False).returncode == 1
        host.datapath = Datapath.open(host.pins, PORT)
        assert container.run(spoof, check=False).returncode == 1
        assert host.switch.guards.stopped()[container.port]["spoofed_ip"] == 3
        container.run(f"ping -c 1 -W 2 {other.containers[0].address}")
        host.switch.remove_port(container.port)
        assert host.switch.guards.stopped() == {}
