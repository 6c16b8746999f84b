"""Guarded containers: what real senders can do and what rogue ones cannot, and that it holds whatever happens."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import IPv6Address, ip_interface

import pytest

from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from ripstop.lab.node import Container
from tests.bpf.packets import ARP, BROADCAST, ICMPV6, IPV6, ethernet, group_mac, ipv4, ipv6, mac, udp
from tests.e2e.conftest import lab_name
from tests.e2e.multicast.sockets import inside
from tests.e2e.polling import PAUSE, eventually

FOREIGN_IP, FOREIGN_MAC = "10.32.99.99", "0a:00:00:00:00:99"
PATIENCE = 20.0  # seconds
_ETH_P_ALL = 3


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Two hosts; h1c1 is guarded, h1c2 and h2c1 are not."""
    with Lab(hosts=2, name=lab_name(), containers=2) as lab:
        lab.host("h1").detach(lab.container("h1c1"))
        attach(lab)
        for container in lab.containers:
            container.wait_until_valid()
        yield lab


def attach(lab: Lab, *flags: str) -> None:
    container = lab.container("h1c1")
    lab.host("h1").ripstop("attach", "--netns", str(container.netns_path), "--guard", *flags)


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.host("h1")


@pytest.fixture
def rogue(lab: Lab) -> Container:
    return lab.container("h1c1")


def port(host: Host, container: Container) -> dict[str, object]:
    rows: list[dict[str, object]] = json.loads(host.ripstop("ps", "--json").stdout)
    return next(row for row in rows if row["netns"] == str(container.netns_path))


def stopped(host: Host, container: Container, reason: str) -> int:
    found = port(host, container)["stopped"]
    assert isinstance(found, dict)
    return int(found.get(reason, 0))


def hardware(container: Container) -> str:
    return container.run(["ip", "-br", "link", "show", "eth0"]).stdout.split()[2]


@contextlib.contextmanager
def raw(container: Container) -> Iterator[socket.socket]:
    """Yield a socket for whole frames in a container."""
    with inside(container):
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        made.bind(("eth0", _ETH_P_ALL))
    with made:
        yield made


def gets_through(lab: Lab, frame: bytes, times: int = 1) -> bool:
    """Return whether a frame that h1c1 sends comes to the other containers: to all or none of them.

    A legal frame follows that all must get; what was sent before it would have come by then.
    """
    marker = b"that is all"
    rogue = lab.container("h1c1")
    address = rogue.address()
    others = [lab.container(name) for name in ("h1c2", "h2c1")]
    with contextlib.ExitStack() as stack:
        ears = [stack.enter_context(raw(other)) for other in others]
        mouth = stack.enter_context(raw(rogue))
        for _ in range(times):
            mouth.send(frame)
        mouth.send(ethernet(BROADCAST, hardware(rogue), ipv4(address, "255.255.255.255", udp(7, 7, marker))))
        deadline = time.monotonic() + PATIENCE
        found = set()
        for ear in ears:
            heard: list[bytes] = []
            while not any(marker in one for one in heard):
                ear.settimeout(max(deadline - time.monotonic(), 0.001))  # others speak too
                heard.append(ear.recv(1 << 16))
            found.add(any(frame[12:] in one for one in heard))
    (through,) = found
    return through


def test_it_is_off_unless_asked_for(lab: Lab, host: Host, rogue: Container) -> None:
    assert port(host, lab.container("h1c2"))["guards"] == []
    assert port(host, rogue)["guards"] == ["mac", "ip", "router", "dhcp"]


def test_all_that_is_its_own_works(lab: Lab, rogue: Container) -> None:
    for other in (lab.container("h1c2"), lab.container("h2c1")):
        assert rogue.ping(other.address()) is not None
        assert rogue.ping(f"{other.link_local()}%eth0") is not None
        assert other.ping(rogue.address()) is not None
        assert other.ping(f"{rogue.link_local()}%eth0") is not None
        assert rogue.ping(other.address(), count=3) is not None
    assert (
        rogue.run(["ping", "-c1", "-W2", "-s", "4000", lab.container("h2c1").address()]).returncode == 0
    )  # in fragments


def test_segments_of_tcp_pass(lab: Lab, rogue: Container) -> None:
    other = lab.container("h2c1")
    with inside(other):
        listener = socket.create_server((other.address(), 7007))
    received = []

    def take() -> None:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(1 << 16):
                received.append(len(data))

    taker = threading.Thread(target=take)
    taker.start()
    with listener:
        with inside(rogue):
            sender = socket.socket()
        with sender:
            sender.settimeout(20)
            sender.connect((other.address(), 7007))
            sender.sendall(bytes(4_000_000))
        taker.join()
    assert sum(received) == 4_000_000


def test_duplicate_address_detection_works_both_ways(lab: Lab, host: Host, rogue: Container) -> None:
    """An address that is free becomes valid; one that somebody has is found out, whoever is guarded."""
    free, taken = "fd07::1", "fd07::2"
    other = lab.container("h2c1")
    host.ripstop("guard", "--netns", str(rogue.netns_path), *(f"--allow={a}" for a in (free, taken)))
    for node in (rogue, other):
        node.run(["sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1"])
    add_v6(other, taken)
    other.wait_until_valid()
    add_v6(rogue, free)
    rogue.wait_until_valid()
    assert rogue.ping(taken) is not None
    add_v6(rogue, taken)
    eventually(lambda: "dadfailed" in rogue.run(["ip", "-6", "address"]).stdout)
    add_v6(other, free)
    eventually(lambda: "dadfailed" in other.run(["ip", "-6", "address"]).stdout)
    for node in (rogue, other):
        node.run(["ip", "-6", "address", "flush", "dev", "eth0", "to", "fd07::/64"])
        node.run(["sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0"])
    host.ripstop("guard", "--netns", str(rogue.netns_path))


def add_v6(container: Container, address: str) -> None:
    container.run(["ip", "-6", "address", "add", f"{address}/64", "dev", "eth0"])


def test_multicast_works(lab: Lab, rogue: Container) -> None:
    group = "239.7.8.9"
    other = lab.container("h2c1")
    for receiver, sender in ((rogue, other), (other, rogue)):
        with contextlib.ExitStack() as stack:
            with inside(receiver):
                ear = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            ear.bind((group, 7008))
            joined = socket.inet_aton(group) + socket.inet_aton(receiver.address())
            ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
            with inside(sender):
                mouth = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
            ear.settimeout(PAUSE)
            eventually(partial(is_heard, mouth, ear, group))


def is_heard(mouth: socket.socket, ear: socket.socket, group: str) -> bool:
    mouth.sendto(b"hello", (group, 7008))
    with contextlib.suppress(TimeoutError):
        return ear.recv(100) == b"hello"
    return False


def spoofed_mac(own: str, link: str, address: str) -> bytes:
    return ethernet(BROADCAST, FOREIGN_MAC, ipv4(address, "255.255.255.255", udp(7, 7, b"spoofed mac")))


def spoofed_ip(own: str, link: str, address: str) -> bytes:
    return ethernet(BROADCAST, own, ipv4(FOREIGN_IP, "255.255.255.255", udp(7, 7, b"spoofed ip")))


def spoofed_arp(own: str, link: str, address: str) -> bytes:
    """What arping sends to take an address over."""
    claim = mac(own) + socket.inet_aton(FOREIGN_IP)
    return ethernet(BROADCAST, own, bytes.fromhex("0001080006040001") + claim + bytes(6) + claim[6:], ARP)


def spoofed_nd(own: str, link: str, address: str) -> bytes:
    body = b"\x20" + bytes(3) + IPv6Address("fe80::99").packed + b"\x02\x01" + mac(own)
    return icmp6(own, link, 136, body)


def rogue_router(own: str, link: str, address: str) -> bytes:
    """A router that would have everybody take a prefix and send all to it."""
    prefix = bytes.fromhex("030440c0ffffffffffffffff00000000") + IPv6Address("fd99::").packed
    return icmp6(own, link, 134, bytes.fromhex("400007080000000000000000") + b"\x01\x01" + mac(own) + prefix)


def rogue_redirect(own: str, link: str, address: str) -> bytes:
    return icmp6(own, link, 137, bytes(4) + IPv6Address(link).packed + IPv6Address("fd98::1").packed)


def rogue_dhcp(own: str, link: str, address: str) -> bytes:
    offer = bytes.fromhex("0201060012345678") + bytes(228) + bytes.fromhex("63825363350102ff")
    return ethernet(BROADCAST, own, ipv4(address, "255.255.255.255", udp(67, 68, offer)))


def unguarded_type(own: str, link: str, address: str) -> bytes:
    return ethernet(BROADCAST, own, b"spoofed by a protocol of its own" + bytes(20), 0x88B5)


def icmp6(own: str, link: str, kind: int, body: bytes) -> bytes:
    """Return an ICMPv6 message with a right checksum, to all nodes."""
    bare = bytes([kind, 0, 0, 0]) + body
    target = "ff02::1"
    pseudo = IPv6Address(link).packed + IPv6Address(target).packed + len(bare).to_bytes(4) + ICMPV6.to_bytes(4)
    total = sum(int.from_bytes((pseudo + bare)[at : at + 2]) for at in range(0, len(pseudo + bare), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    message = bare[:2] + (~total & 0xFFFF).to_bytes(2) + body
    packet = ipv6(link, target, message, next_header=ICMPV6)
    return ethernet(group_mac(target), own, packet[:7] + b"\xff" + packet[8:], IPV6)  # hop limit 255


ATTACKS = [
    spoofed_mac, spoofed_ip, spoofed_arp, spoofed_nd, rogue_router, rogue_redirect, rogue_dhcp, unguarded_type,
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: str(attack.__name__))
def test_attacks_reach_nobody_and_are_named(
    lab: Lab, host: Host, rogue: Container, attack: Callable[[str, str, str], bytes]
) -> None:
    frame = attack(hardware(rogue), rogue.link_local(), rogue.address())
    reason = attack.__name__
    before = stopped(host, rogue, reason)
    assert not gets_through(lab, frame, times=5)
    assert stopped(host, rogue, reason) == before + 5
    assert reason in {drop.reason for drop in host.status().drops}
    eventually(
        lambda: f'reason="{reason}"' in metrics(host, "ripstop_port_stopped_total")
    )  # a text is good for a second


def metrics(host: Host, name: str) -> str:
    shown = host.run(["curl", "-sSf", "--unix-socket", str(host.run_dir / "ripstop.sock"), "http://localhost/metrics"])
    return "\n".join(line for line in shown.stdout.splitlines() if line.startswith(name))


def test_nobody_takes_a_prefix_or_a_neighbor_from_it(lab: Lab, rogue: Container) -> None:
    """What the attacks are for: with a guard, no; from a container without, yes, so that the attack is a real one."""
    victim, free = lab.container("h2c1"), lab.container("h1c2")
    victim.run(["sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=2"])
    for sender, taken in ((rogue, False), (free, True)):
        with raw(sender) as mouth:
            mouth.send(rogue_router(hardware(sender), sender.link_local(), sender.address()))
        if taken:
            eventually(lambda: "fd99::" in victim.run(["ip", "-6", "address"]).stdout)
        else:
            assert sender.ping(victim.address()) is not None  # later than the advertisement
            assert "fd99::" not in victim.run(["ip", "-6", "address"]).stdout
    victim.run(["sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=0"])
    victim.run(["ip", "-6", "address", "flush", "dev", "eth0", "to", "fd99::/64"])


def test_a_container_that_changes_its_address_is_cut_off(lab: Lab, host: Host, rogue: Container) -> None:
    other = lab.container("h2c1").address()
    before = stopped(host, rogue, "spoofed_mac")
    own = hardware(rogue)
    rogue.run(["ip", "link", "set", "eth0", "address", FOREIGN_MAC])
    assert rogue.ping(other) is None
    assert stopped(host, rogue, "spoofed_mac") > before
    rogue.run(["ip", "link", "set", "eth0", "address", own])
    assert rogue.ping(other, seconds=5) is not None


def test_a_guard_is_changed_while_it_stands(lab: Lab, host: Host, rogue: Container) -> None:
    netns = ("--netns", str(rogue.netns_path))
    frame = spoofed_ip(hardware(rogue), "", "")
    assert not gets_through(lab, frame)
    assert "not guarded" in host.ripstop("guard", *netns, "--off").stdout
    assert gets_through(lab, frame)
    host.ripstop("guard", *netns, "--guard-only=mac,dhcp")
    assert port(host, rogue)["guards"] == ["mac", "dhcp"] and gets_through(lab, frame)
    host.ripstop("guard", *netns, "--allow", FOREIGN_IP)
    assert gets_through(lab, frame)
    host.ripstop("guard", *netns)
    assert not gets_through(lab, frame)


def test_it_holds_while_the_daemon_is_dead_and_after_it_has_come_back(lab: Lab, host: Host, rogue: Container) -> None:
    frame = spoofed_ip(hardware(rogue), "", "")

    host.kill_daemon()
    assert not gets_through(lab, frame)
    with raw(rogue) as mouth:
        done = threading.Event()

        def attack() -> None:
            while not done.wait(0.001):
                mouth.send(frame)

        with raw(lab.container("h1c2")) as ear:
            attacker = threading.Thread(target=attack)
            attacker.start()
            try:
                host.start_daemon()
                host.wait(reachable=1)
            finally:
                done.set()
                attacker.join()
            ear.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    assert frame[12:] not in ear.recv(1 << 16)
    assert port(host, rogue)["guards"] == ["mac", "ip", "router", "dhcp"]
    assert stopped(host, rogue, "spoofed_ip") > 3  # the counts of before among them
    assert not gets_through(lab, frame)


def test_it_holds_when_the_disk_is_lost(lab: Lab, host: Host, rogue: Container) -> None:
    host.kill_daemon()
    for file in host.state_dir.glob("ripstop.sqlite*"):
        file.unlink()
    assert not (host.state_dir / "ripstop.sqlite").exists()
    host.start_daemon()
    host.wait(reachable=1)
    assert port(host, rogue)["guards"] == ["mac", "ip", "router", "dhcp"]
    frame = spoofed_ip(hardware(rogue), "", "")
    assert not gets_through(lab, frame)


def test_several_addresses_are_allowed_by_themselves(lab: Lab, host: Host, rogue: Container) -> None:
    netns = ("--netns", str(rogue.netns_path))
    host.detach(rogue)
    attach(lab, "net:default", "10.33.44.55/16", "192.168.99.9/24")
    assert [ip_interface(str(i)).version for i in rogue.interfaces()][:3] == [4, 4, 4]
    other = lab.container("h2c1")
    other.run(["ip", "address", "add", "192.168.99.8/24", "dev", "eth0"])
    assert rogue.ping("192.168.99.8") is not None
    assert rogue.ping(other.address()) is not None
    rogue.run(["ip", "address", "add", "192.168.99.7/24", "dev", "eth0"])
    before = stopped(host, rogue, "spoofed_ip") + stopped(host, rogue, "spoofed_arp")
    assert rogue.run(["ping", "-c1", "-W1", "-I", "192.168.99.7", "192.168.99.8"], check=False).returncode != 0
    assert stopped(host, rogue, "spoofed_ip") + stopped(host, rogue, "spoofed_arp") > before
    host.ripstop("guard", *netns, "--allow", "192.168.99.7")
    assert rogue.run(["ping", "-c1", "-W5", "-I", "192.168.99.7", "192.168.99.8"]).returncode == 0


@pytest.mark.parametrize(
    ("words", "reason", "code"),
    [
        (["--id", "nobody"], "not attached here", 1),
        (["--guard-only", "mac,everything"], "'everything' is no guard", 2),
        (["--allow", "10.0.0.0/8"], "no address", 2),
        (["--allow", "224.0.0.1"], "cannot be that of an interface", 1),
        ([f"--allow=10.32.77.{last}" for last in range(17)], "at most 16", 1),
        (["--off", "--guard-only=mac"], "--off goes without", 2),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    host: Host, rogue: Container, words: list[str], reason: str, code: int
) -> None:
    before = port(host, rogue)
    netns = [] if "--id" in words else ["--netns", str(rogue.netns_path)]
    done = host.ripstop("guard", *netns, *words, check=False)
    assert done.returncode == code and reason in done.stderr, done.stderr
    assert {**port(host, rogue), "stopped": {}} == {**before, "stopped": {}}


def test_more_addresses_than_a_guard_has_room_for_are_refused_at_attach(lab: Lab, host: Host, rogue: Container) -> None:
    host.detach(rogue)
    free = host.client.call("ipam").free
    line = host.ripstop(
        "attach", "--netns", str(rogue.netns_path), "--guard", *(f"192.168.98.{last}/24" for last in range(1, 18)),
        check=False,
    ).stderr  # fmt: skip
    assert "17 IPv4 addresses: a guarded interface has at most 16" in line
    assert host.client.call("ipam").free == free
    assert "eth0" not in rogue.run(["ip", "-br", "link"]).stdout
    attach(lab)
