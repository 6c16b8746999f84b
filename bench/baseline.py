"""Kernel VXLAN and a Linux bridge between the containers of a lab without daemons: what a user would set up instead.

Each host has one VXLAN device with learning, floods go to every other host by the all-zeros FDB entries, and the device
and the containers' veths are ports of one bridge: the way of Docker's overlay driver and of every guide.  Bridge
netfilter is on, as it is by default and as Kubernetes demands of its nodes (kubeadm refuses to start without
`net.bridge.bridge-nf-call-iptables = 1`), but there are no rules; or it is off, which is the baseline at its best.
"""

from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from ripstop.lab.node import Container

VNI = 4242
PORT = 4789  # RFC 7348, section 8
OVERHEAD = 50  # bytes, IPv4 underlay: RFC 7348, section 5


def build(lab: Lab, *, filtered: bool) -> None:
    """Put every container of a lab on one switch made of kernel VXLAN and bridges, at 10.99.H.C/16.

    Args:
        lab: without daemons.
        filtered: frames in a bridge pass netfilter's hooks.
    """
    mtu = lab.plan.mtu - OVERHEAD
    for host in lab.hosts:
        others = [other for other in lab.hosts if other != host]
        _build_host(host, others, mtu, filtered)
    for container in lab.containers:
        _attach(container, lab.host(container.host), mtu)


def _build_host(host: Host, others: list[Host], mtu: int, filtered: bool) -> None:
    script = f"""
        for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$f" ] || echo {int(filtered)} >"$f"; done
        ip link add br0 mtu {mtu} type bridge
        ip link add vxlan0 mtu {mtu} type vxlan id {VNI} dev eth0 local {host.interface.ip} dstport {PORT}
        ip link set vxlan0 master br0 up
        ip link set br0 up
    """
    script += "".join(f"bridge fdb append 00:00:00:00:00:00 dev vxlan0 dst {other.interface.ip}\n" for other in others)
    host.run(["sh", "-ec", script])


def _attach(container: Container, host: Host, mtu: int) -> None:
    h, _, c = container.name.removeprefix("h").partition("c")
    host.run(["ip", "link", "add", container.name, "mtu", str(mtu), "type", "veth",
              "peer", "name", "eth0", "mtu", str(mtu), "netns", container.netns])  # fmt: skip
    host.run(["ip", "link", "set", container.name, "master", "br0", "up"])
    script = f"""
        ip address add 10.99.{h}.{c}/16 brd + dev eth0
        ip link set eth0 up
        ip route add 224.0.0.0/4 dev eth0
    """
    container.run(["sh", "-ec", script])
