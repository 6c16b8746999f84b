"""The switch under real traffic: hosts on one underlay, containers on all of them, no daemon."""

import contextlib
import hashlib
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.kernel.switches import MTU, PORT, Container, Lab, Namespace

GROUP = "239.192.7.1"  # RFC 2365: organization-local
WAIT = 5.0  # seconds after which a packet is lost
PATIENCE = 60.0  # seconds for a transfer as a whole, while others need the processors
UDP_SEGMENT = 103  # linux/udp.h
SO_RCVBUFFORCE = 33  # asm-generic/socket.h
SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 263, 8, 1 << 4  # linux/if_packet.h
TPACKET_AUXDATA = struct.Struct("=IIIHHHH")  # struct tpacket_auxdata: the last but one is the tag
ETH_P_ALL = 3
FOREIGN = 0x88B5  # an EtherType for experiments; IEEE 802
SEGMENT = 1200  # bytes


@pytest.fixture(scope="module")
def mesh() -> Iterator[Lab]:
    """Three hosts that all reach each other, with two containers, two, and one."""
    lab = Lab()
    try:
        for containers in (2, 2, 1):
            lab.add_host(containers)
        lab.join()
        yield lab
    finally:
        lab.close()


@pytest.fixture(scope="module")
def chain() -> Iterator[Lab]:
    """Three hosts in a row, a container each: all between the first and the last is relayed."""
    lab = Lab()
    try:
        for _ in range(3):
            lab.add_host()
        lab.join_chain()
        yield lab
    finally:
        lab.close()


@pytest.fixture(params=["mesh", "chain"])
def ends(request: pytest.FixtureRequest) -> tuple[Container, Container, Container]:
    """A container on the first host, on the last, and on the one between; direct and relayed."""
    lab: Lab = request.getfixturevalue(request.param)
    first, middle, last = (host.containers[0] for host in lab.hosts)
    return first, last, middle


def listening(place: Namespace, port: int = 0, group: str = "") -> socket.socket:
    """Return a UDP socket in a namespace, bound to a port or, to receive a group, joined by eth0."""
    with place.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.settimeout(WAIT)
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        made.bind(("", port))
        if group:
            interface = socket.if_nametoindex("eth0")
            request = socket.inet_aton(group) + bytes(4) + interface.to_bytes(4, "little")
            made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    return made


def ping(source: Namespace, address: str, count: int = 2) -> None:
    """Fail unless all pings come back."""
    source.run(f"ping -c {count} -i 0.01 -W 2 {address}")


def transfer(source: Container, target: Container, address: str = "", size: int = 30_000_000) -> None:
    """Send bytes over TCP, to the target's IPv4 address unless another is given; fail unless the same arrive."""
    with target.entered():
        server = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    server.settimeout(WAIT)
    data = os.urandom(1 << 16) * (size >> 16)
    arrived = hashlib.sha256()

    def receive() -> None:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(WAIT)
            while chunk := connection.recv(1 << 20):
                arrived.update(chunk)

    receiver = threading.Thread(target=receive)
    receiver.start()
    with server:
        with source.entered():
            client = socket.create_connection((address or target.address, server.getsockname()[1]), WAIT)
        with client:
            client.settimeout(PATIENCE)  # sendall's is for all of it
            client.sendall(data)
        receiver.join()
    assert arrived.digest() == hashlib.sha256(data).digest()


def sum_counters(lab: Lab) -> dict[str, int]:
    """Return what all switches have counted together."""
    total: dict[str, int] = {}
    for host in lab.hosts:
        for name, counter in host.switch.counters().items():
            total[name] = total.get(name, 0) + counter.packets
    return total


def test_every_pair_reaches_the_other(mesh: Lab) -> None:
    containers = [container for host in mesh.hosts for container in host.containers]
    for source in containers:
        for target in containers:
            if source is not target:
                ping(source, target.address)
                ping(source, target.address6)


def test_relayed_pair_reaches_the_other(chain: Lab) -> None:
    first, last = chain.hosts[0].containers[0], chain.hosts[2].containers[0]
    before = chain.hosts[1].switch.counters()["relayed_fast"].packets
    ping(first, last.address, count=5)
    ping(first, last.address6)
    assert chain.hosts[1].switch.counters()["relayed_fast"].packets >= before + 14


def test_tcp(ends: tuple[Container, Container, Container]) -> None:
    first, last, _ = ends
    transfer(first, last)
    transfer(last, first)


def test_tcp_over_ipv6(ends: tuple[Container, Container, Container]) -> None:
    first, last, _ = ends
    transfer(first, last, last.address6)
    transfer(last, first, first.address6)


def test_tcp_between_containers_of_one_host(mesh: Lab) -> None:
    one, other = mesh.hosts[0].containers
    transfer(one, other)


def test_tcp_takes_the_fast_path(mesh: Lab) -> None:
    before = sum_counters(mesh)
    transfer(mesh.hosts[0].containers[0], mesh.hosts[2].containers[0])
    after = sum_counters(mesh)
    assert after["received_fast"] - before["received_fast"] > 100
    assert after["received_companion"] - before["received_companion"] < 30  # ARP, by either end and more than once


@pytest.mark.parametrize("group", ["", GROUP])
def test_udp_segments(ends: tuple[Container, Container, Container], group: str) -> None:
    first, last, middle = ends
    data = os.urandom(20 * SEGMENT)
    with contextlib.ExitStack() as stack:
        receivers = [stack.enter_context(listening(place, 7000, group)) for place in (last, middle)]
        sender = stack.enter_context(listening(first))
        sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SEGMENT)
        sender.sendto(data, (group or last.address, 7000))
        for receiver in receivers if group else receivers[:1]:
            assert b"".join(receiver.recv(1 << 16) for _ in range(20)) == data


def test_multicast_reaches_each_host_once_and_in_order(ends: tuple[Container, Container, Container]) -> None:
    first, last, middle = ends
    with contextlib.ExitStack() as stack:
        receivers = [stack.enter_context(listening(place, 7001, GROUP)) for place in (last, middle)]
        sender = stack.enter_context(listening(first))
        for number in range(1000):
            sender.sendto(number.to_bytes(4), (GROUP, 7001))
        for receiver in receivers:
            assert [int.from_bytes(receiver.recv(100)) for _ in range(1000)] == list(range(1000))
            receiver.setblocking(False)
            with pytest.raises(BlockingIOError):
                receiver.recv(100)


def test_flood_reaches_every_one_of_many_ports_and_hosts() -> None:
    """More than are visited by plain calls: FEW_DEVICES in bpf/lib/local.h, FEW_CHILDREN in bpf/lib/flood.h."""
    lab = Lab()
    try:
        for count in (12, *[1] * 6):
            lab.add_host(count)
        lab.join()
        containers = [container for host in lab.hosts for container in host.containers]
        for source in (containers[0], containers[-1]):
            with contextlib.ExitStack() as stack:
                others = [place for place in containers if place is not source]
                receivers = [stack.enter_context(listening(place, 7004, GROUP)) for place in others]
                sender = stack.enter_context(listening(source))
                for number in range(10):
                    sender.sendto(number.to_bytes(4), (GROUP, 7004))
                for receiver in receivers:
                    assert [int.from_bytes(receiver.recv(100)) for _ in range(10)] == list(range(10))
                    receiver.setblocking(False)
                    with pytest.raises(BlockingIOError):
                        receiver.recv(100)
    finally:
        lab.close()


@pytest.mark.parametrize("group", ["", GROUP])
def test_large_datagrams_in_fragments(ends: tuple[Container, Container, Container], group: str) -> None:
    first, last, middle = ends
    data = os.urandom(50_000)
    with contextlib.ExitStack() as stack:
        receivers = [stack.enter_context(listening(place, 7002, group)) for place in (last, middle)]
        sender = stack.enter_context(listening(first))
        sender.sendto(data, (group or last.address, 7002))
        for receiver in receivers if group else receivers[:1]:
            assert receiver.recv(1 << 16) == data


def test_foreign_ethertype(ends: tuple[Container, Container, Container]) -> None:
    with contextlib.ExitStack() as stack:
        ears = [stack.enter_context(raw(place, FOREIGN)) for place in ends]
        macs = [ear.getsockname()[4] for ear in ears]
        broadcast = b"\xff" * 6 + macs[0] + FOREIGN.to_bytes(2) + b"to all of you".ljust(46, b"\0")
        ears[0].send(broadcast)
        assert ears[1].recv(100) == ears[2].recv(100) == broadcast
        answer = macs[0] + macs[1] + FOREIGN.to_bytes(2) + b"to you".ljust(46, b"\0")
        ears[1].send(answer)
        assert ears[0].recv(100) == answer


def test_vlan_tag(ends: tuple[Container, Container, Container]) -> None:
    inside = FOREIGN.to_bytes(2) + b"behind a tag".ljust(46, b"\0")
    with contextlib.ExitStack() as stack:
        ears = [stack.enter_context(raw(place, ETH_P_ALL)) for place in ends]
        macs = [ear.getsockname()[4] for ear in ears]
        for target, receivers in ((b"\xff" * 6, ears[1:]), (macs[1], ears[1:2])):
            ears[0].send(target + macs[0] + b"\x81\x00\x00\x05" + inside)
            for receiver in receivers:
                assert receive_foreign(receiver) == (5, target + macs[0] + inside)
            ears[1].send(macs[0] + macs[1] + inside)  # so that its MAC is known in the second round
            assert receive_foreign(ears[0]) == (0, macs[0] + macs[1] + inside)


def raw(place: Namespace, ethertype: int) -> socket.socket:
    """Return a socket for whole frames of a type on eth0."""
    with place.entered():
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype))
        ear.bind(("eth0", ethertype))
    ear.settimeout(WAIT)
    ear.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    return ear


def receive_foreign(ear: socket.socket) -> tuple[int, bytes]:
    """Return the VLAN id of the next foreign frame that came in, which the kernel keeps beside it, and the frame."""
    while True:
        frame, ((_, _, auxiliary),), _, sender = ear.recvmsg(2000, socket.CMSG_SPACE(TPACKET_AUXDATA.size))
        if frame[12:14] == FOREIGN.to_bytes(2) and sender[2] != socket.PACKET_OUTGOING:
            status, *_, tag, _ = TPACKET_AUXDATA.unpack(auxiliary)
            return (tag if status & TP_STATUS_VLAN_VALID else 0), frame


def test_container_with_a_bridge_and_more_macs_behind_it(mesh: Lab) -> None:
    outside, inside = mesh.hosts[0].containers[0], mesh.hosts[2].containers[0]
    with nested(mesh, inside) as deep:
        inside.run("ip link add br0 type bridge")
        inside.run("ip link set br0 up")
        inside.run("ip link set deep master br0")
        inside.run("ip address flush dev eth0 scope global")
        inside.run("ip link set eth0 master br0")
        inside.run(f"ip address add {inside.address}/16 dev br0")
        deep.run("ip address add 10.32.99.1/16 dev eth0")
        try:
            for address in (inside.address, "10.32.99.1"):
                ping(outside, address)
            transfer(outside, Container(deep.name, "10.32.99.1", 0))
        finally:
            inside.run("ip link delete br0")
            inside.run(f"ip address add {inside.address}/16 dev eth0")
            inside.run("ip route replace 224.0.0.0/4 dev eth0")


def test_container_that_routes_to_a_network_behind_it(mesh: Lab) -> None:
    outside, inside = mesh.hosts[0].containers[0], mesh.hosts[2].containers[0]
    with nested(mesh, inside) as deep:
        inside.run("ip address add 198.18.6.1/24 dev deep")
        inside.run("sysctl -qw net.ipv4.ip_forward=1")
        inside.run("ethtool -K deep tso off gso off")  # it must cut what came whole
        deep.run("ip address add 198.18.6.2/24 dev eth0")
        deep.run("ip route add default via 198.18.6.1")
        outside.run(f"ip route add 198.18.6.0/24 via {inside.address}")
        try:
            ping(outside, "198.18.6.2")
            transfer(outside, Container(deep.name, "198.18.6.2", 0))
            transfer(Container(deep.name, "198.18.6.2", 0), outside)
        finally:
            outside.run("ip route delete 198.18.6.0/24")
            inside.run("sysctl -qw net.ipv4.ip_forward=0")


def test_container_that_routes_back_into_the_overlay(mesh: Lab) -> None:
    """What was stripped still counts as tunnelled in the kernel and is wrapped a second time."""
    first, router, last = mesh.hosts[0].containers[0], mesh.hosts[1].containers[0], mesh.hosts[2].containers[0]
    router.run(
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0"
    )
    last.run("ip address add 198.18.7.1/32 dev lo")
    router.run(f"ip route add 198.18.7.1 via {last.address}")
    last.run(f"ip route add {first.address} via {router.address}")
    first.run(f"ip route add 198.18.7.1 via {router.address}")
    try:
        ping(first, "198.18.7.1")
        transfer(first, Container(last.name, "198.18.7.1", 0))
        with listening(last, 7003) as receiver, listening(first) as sender:
            sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SEGMENT)
            sender.sendto(bytes(10 * SEGMENT), ("198.18.7.1", 7003))
            assert [len(receiver.recv(1 << 16)) for _ in range(10)] == [SEGMENT] * 10
    finally:
        first.run("ip route delete 198.18.7.1")
        last.run(f"ip route delete {first.address}")
        last.run("ip address delete 198.18.7.1/32 dev lo")
        router.run("ip route delete 198.18.7.1")
        router.run("sysctl -qw net.ipv4.ip_forward=0")


def test_host_takes_part_with_an_address(mesh: Lab) -> None:
    host, other = mesh.hosts[0], mesh.hosts[1]
    host.namespace.run("ip address add 10.32.0.1/16 dev ripstop0")
    with host.namespace.entered():
        host.switch.add_port(socket.if_nametoindex("ripstop0p"), host=True, flood=True)
    try:
        for source in (host.containers[0], other.containers[0]):
            ping(source, "10.32.0.1")
        ping(host.namespace, other.containers[1].address)
    finally:
        host.namespace.run("ip address delete 10.32.0.1/16 dev ripstop0")
        with host.namespace.entered():
            host.switch.add_port(socket.if_nametoindex("ripstop0p"), host=True, flood=False)


def test_unknown_neighbor_loses_nothing(mesh: Lab) -> None:
    source, target = mesh.hosts[0], mesh.hosts[2]
    ping(source.containers[0], target.containers[0].address)
    source.namespace.run("ip neighbor flush dev eth0")
    ping(source.containers[0], target.containers[0].address, count=5)
    source.namespace.run("ip neighbor flush dev eth0")
    test_multicast_reaches_each_host_once_and_in_order(
        (source.containers[0], target.containers[0], mesh.hosts[1].containers[0])
    )


def test_neighbor_that_changes_its_mac(mesh: Lab) -> None:
    source, target = mesh.hosts[0], mesh.hosts[2]
    ping(source.containers[0], target.containers[0].address)
    target.namespace.run("ip link set eth0 address 02:00:00:00:12:34")
    for other in mesh.hosts[:2]:  # it announces itself by asking; who only overhears it may not believe it yet
        target.namespace.run(f"ping -c 1 -W 2 {other.underlay}")
    ping(source.containers[0], target.containers[0].address)


def test_nic_that_goes_down_and_comes_back(mesh: Lab) -> None:
    source, target = mesh.hosts[0], mesh.hosts[1]
    source.namespace.run("ip link set eth0 down")
    lost = source.containers[0].run(f"ping -c 1 -W 0.2 {target.containers[0].address}", check=False)
    source.namespace.run("ip link set eth0 up")
    assert lost.returncode != 0
    ping(source.containers[0], target.containers[0].address)


def test_next_hop_by_another_route(mesh: Lab) -> None:
    """The host reaches its peer's address through a gateway from now on: the third host, which forwards."""
    source, gateway, target = mesh.hosts
    gateway.namespace.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0")
    gateway.namespace.run("sysctl -qw net.ipv4.conf.eth0.send_redirects=0")
    source.namespace.run(f"ip route add {target.underlay} via {gateway.underlay}")
    try:
        ping(source.containers[0], target.containers[0].address)
        transfer(source.containers[0], target.containers[0], size=1_000_000)
    finally:
        source.namespace.run(f"ip route delete {target.underlay}")
        gateway.namespace.run("sysctl -qw net.ipv4.ip_forward=0")


def test_strangers_packets_are_dropped(mesh: Lab) -> None:
    host = mesh.hosts[0]
    before = host.switch.drops()["stranger"]
    header = b"\x88\0\0\x01\0\0\x02\0"
    with listening(mesh.net) as stranger:
        mesh.net.run("ip address add 192.0.2.200/24 dev br0")
        stranger.sendto(header + bytes(60), (host.underlay, PORT))
        ping(mesh.net, host.underlay)  # so the packet is through
        mesh.net.run("ip address delete 192.0.2.200/24 dev br0")
    assert host.switch.drops()["stranger"] == before + 1


def test_companion_alone_carries_everything() -> None:
    lab = Lab()
    try:
        for _ in range(3):
            host = lab.add_host()
            host.switch.close()
            host.open(fast=False)
        lab.join_chain()
        first, middle, last = (host.containers[0] for host in lab.hosts)
        ping(first, last.address)
        ping(first, last.address6)
        transfer(first, last)
        test_multicast_reaches_each_host_once_and_in_order((first, last, middle))
        test_udp_segments((first, last, middle), GROUP)
        counted = sum_counters(lab)
        assert counted["sent_fast"] == counted["relayed_fast"] == 0
    finally:
        lab.close()


@contextlib.contextmanager
def nested(lab: Lab, container: Container) -> Iterator[Namespace]:
    """Yield a namespace whose eth0 is the other end of `deep` in a container, both up."""
    deep = Namespace(f"{lab.net.name}deep")
    subprocess.run(["ip", "netns", "add", deep.name], check=True)
    try:
        container.run(f"ip link add deep mtu {MTU} type veth peer name eth0 mtu {MTU} netns {deep.name}")
        container.run("ip link set deep up")
        deep.run("ip link set lo up")
        deep.run("ip link set eth0 up")
        yield deep
    finally:
        subprocess.run(["ip", "netns", "delete", deep.name], check=True)
