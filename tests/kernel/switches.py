"""Pretend hosts for the datapath's tests: namespaces on one underlay bridge, containers, and no daemon.

The switch of each host is driven by the test itself; tables are what the core would say of a small mesh.
"""

import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from ripstop.core.names import ShortId, UnderlayIp
from ripstop.core.overlay.forwarding import ForwardingTables, Hop, Tree
from ripstop.kernel import bpffs, netns
from ripstop.kernel.datapath import Datapath

PORT = 6784
UNDERLAY_MTU = 1500
MTU = UNDERLAY_MTU - 50


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace, by the name that `ip netns` knows."""

    name: str

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the calling thread, and processes it starts, in the namespace."""
        with netns.opened(f"/run/netns/{self.name}") as descriptor, netns.entered(descriptor):
            yield

    def run(self, command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command without a shell, and return what it said."""
        with self.entered():
            done = subprocess.run(command.split(), text=True, capture_output=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{self.name}: {command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def start(self, command: Sequence[str]) -> "subprocess.Popen[str]":
        """Start a command with a pipe from its output."""
        with self.entered():
            return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@dataclass(frozen=True, slots=True)
class Container(Namespace):
    """A namespace with one interface on the switch."""

    address: str
    port: int  # ifindex of the host's side

    @property
    def address6(self) -> str:
        """Return its IPv6 address."""
        _, _, host, index = self.address.split(".")
        return f"fd00::{host}:{index}"


@dataclass(slots=True)
class Host:
    """A namespace with a NIC on the underlay, the two devices of the switch, and containers."""

    namespace: Namespace
    number: int  # short id too
    pins: Path
    datapath: Datapath | None = None
    containers: list[Container] = field(default_factory=list)

    @property
    def id(self) -> ShortId:
        """Return the host's short id."""
        return ShortId(self.number)

    @property
    def underlay(self) -> UnderlayIp:
        """Return its outer address."""
        return UnderlayIp(f"192.0.2.{self.number}")

    @property
    def switch(self) -> Datapath:
        """Return the open switch."""
        assert self.datapath is not None, f"{self.namespace.name}: no switch is open"
        return self.datapath

    def ifindex(self, name: str) -> int:
        """Return the index of one of the host's devices."""
        with self.namespace.entered():
            return socket.if_nametoindex(name)

    def open(self, fast: bool = True) -> None:
        """Open the switch, or adopt it, and put all devices on it."""
        with self.namespace.entered():
            self.datapath = Datapath.open(self.pins, PORT, fast=fast)
            self.datapath.attach_companion(socket.if_nametoindex("ripstop-vx"))
            self.datapath.add_port(socket.if_nametoindex("ripstop0p"), host=True, flood=False)
            for container in self.containers:
                self.datapath.add_port(container.port)
            self.datapath.attach_underlay(socket.if_nametoindex("eth0"))

    def apply(self, tables: ForwardingTables) -> None:
        """Write the tables."""
        with self.namespace.entered():
            self.switch.apply(tables)


class Lab:
    """Hosts on one underlay, all in the way of being made; `close` leaves nothing."""

    def __init__(self) -> None:
        self.tag = uuid4().hex[:6]  # so that parallel runs never meet
        self.pins = bpffs.root() / f"rs{self.tag}"
        self.hosts: list[Host] = []
        self._namespaces: list[Namespace] = []
        self.net = self._make(f"rs{self.tag}")
        self.net.run("ip link set lo up")
        self.net.run("ip link add br0 type bridge mcast_snooping 0")
        self.net.run("ip link set br0 up")

    def add_host(self, containers: int = 1, mtu: int = MTU) -> Host:
        """Make a host with containers 10.32.<host>.<container>/16, and its switch, which knows no peers yet."""
        number = len(self.hosts) + 1
        namespace = self._make(f"{self.net.name}h{number}")
        host = Host(namespace, number, self.pins / f"h{number}")
        self.hosts.append(host)
        run = namespace.run
        run(f"ip link add eth0 mtu {UNDERLAY_MTU} type veth peer name h{number} netns {self.net.name}")
        self.net.run(f"ip link set h{number} master br0 up")
        run("ip link set lo up")
        run(f"ip address add {host.underlay}/24 dev eth0")
        run("ip link set eth0 up")
        run("ip link add ripstop0 type veth peer name ripstop0p")
        run(f"ip link add ripstop-vx type vxlan external gbp nolearning dstport {PORT}")
        for device in ("ripstop0", "ripstop0p", "ripstop-vx"):
            run(f"sysctl -qw net.ipv6.conf.{device}.disable_ipv6=1")
            run(f"ip link set {device} mtu {mtu} up")
        for index in range(1, containers + 1):
            host.containers.append(self._add_container(host, index, mtu))
        host.open()
        return host

    def _add_container(self, host: Host, index: int, mtu: int) -> Container:
        name = self._make(f"{host.namespace.name}c{index}").name
        address = f"10.32.{host.number}.{index}"
        host.namespace.run(f"ip link add v{index} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {name}")
        host.namespace.run(f"sysctl -qw net.ipv6.conf.v{index}.disable_ipv6=1")
        host.namespace.run(f"ip link set v{index} up")
        container = Container(name, address, host.ifindex(f"v{index}"))
        container.run("ip link set lo up")
        container.run("sysctl -qw net.ipv6.conf.eth0.accept_dad=0")
        container.run(f"ip address add {address}/16 dev eth0")
        container.run(f"ip -6 address add {container.address6}/64 dev eth0 nodad")
        container.run("ip link set eth0 up")
        container.run("ip route add 224.0.0.0/4 dev eth0")
        return container

    def vteps(self) -> dict[UnderlayIp, ShortId]:
        """Return whose outer address is whose."""
        return {host.underlay: host.id for host in self.hosts}

    def join(self) -> None:
        """Connect all hosts directly with each other."""
        for host in self.hosts:
            others = [other for other in self.hosts if other is not host]
            trees = {other.id: Tree(other.id, ()) for other in others}
            trees[host.id] = Tree(ShortId(0), tuple(hop(host, other) for other in others))
            host.apply(ForwardingTables(host.id, self.vteps(), {o.id: hop(host, o) for o in others}, trees))

    def join_chain(self) -> None:
        """Connect each host with its neighbours in number only; the rest is relayed."""
        for at, host in enumerate(self.hosts):
            routes, trees = {}, {}
            neighbors = [self.hosts[i] for i in (at - 1, at + 1) if 0 <= i < len(self.hosts)]
            for far, other in enumerate(self.hosts):
                if other is host:
                    trees[host.id] = Tree(ShortId(0), tuple(hop(host, near) for near in neighbors))
                    continue
                near = self.hosts[at + 1 if far > at else at - 1]
                onwards = [hop(host, n) for n in neighbors if n is not near]
                routes[other.id] = hop(host, near)
                trees[other.id] = Tree(near.id, tuple(onwards))
            host.apply(ForwardingTables(host.id, self.vteps(), routes, trees))

    def close(self) -> None:
        """Take everything down again."""
        for host in self.hosts:
            if host.datapath is not None:
                with host.namespace.entered():
                    host.datapath.destroy()
        for namespace in reversed(self._namespaces):
            subprocess.run(["ip", "netns", "delete", namespace.name], check=True)
        shutil.rmtree(self.pins, ignore_errors=True)

    def _make(self, name: str) -> Namespace:
        subprocess.run(["ip", "netns", "add", name], check=True)
        namespace = Namespace(name)
        self._namespaces.append(namespace)
        return namespace


def hop(host: Host, other: Host, mtu: int = MTU) -> Hop:
    """Return the direct step from one host to another."""
    return Hop(other.id, other.underlay, host.underlay, mtu)
