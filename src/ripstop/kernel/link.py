"""Links, addresses and routes of this host and, at attach time, of a container; all of it for the kernel thread.

Names on the host: `ripstop0` is the host's own interface on the overlay, `ripstop0p` the switch port it is plugged
into, `ripstop-vx` the companion VXLAN device, `rs<10 hex digits>` the port of one container interface.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from ripstop.core.address import Range
from ripstop.core.errors import ConflictError, KernelError, NotFoundError
from ripstop.core.names import UnderlayIp
from ripstop.kernel import netns

HOST_INTERFACE = "ripstop0"
HOST_PORT = "ripstop0p"
COMPANION = "ripstop-vx"
_CONTAINER_PORT = re.compile(r"rs[0-9a-f]{10}")
# Bridges and taps of other tools: their addresses are the same on every host, so no peer can be reached by them.
_NOT_UNDERLAY = re.compile(
    r"lo|docker\d|br-[0-9a-f]{12}|virbr\d+|lxcbr\d|lxdbr\d|cni\d|podman\d|cbr0|flannel\.\d+|ripstop.*"
)
_ARPHRD_ETHER = 1
_IFF_UP = 1
_TC_INGRESS, _TC_EGRESS = 0xFFFFFFF2, 0xFFFFFFF3  # parents of clsact's filters (TC_H_CLSACT, linux/pkt_sched.h)
_TX_QUEUE = 1000  # packets; what a hardware NIC gets


@dataclass(frozen=True, slots=True)
class UnderlayLink:
    """One device that may carry the overlay."""

    ifindex: int
    name: str
    mtu: int  # IP MTU, bytes
    addresses: tuple[UnderlayIp, ...]


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """Both ends of a container's veth pair, as made."""

    ifindex: int  # the host end
    mac: str  # the container end


class Links:
    """The host's links; made and used by one thread in the host's namespace."""

    def __init__(self) -> None:
        self._route = IPRoute()

    def close(self) -> None:
        """Give the netlink socket back."""
        self._route.close()

    def index(self, name: str) -> int | None:
        """Return a device's ifindex, or None."""
        found = self._route.link_lookup(ifname=name)
        return int(found[0]) if found else None

    def ensure_host_port(self, mac: str, mtu: int) -> int:
        """Make `ripstop0` and its port unless they are there; return the port's ifindex.

        Raises:
            KernelError: the kernel refused.
        """
        if self.index(HOST_INTERFACE) is None or self.index(HOST_PORT) is None:
            self.delete(HOST_INTERFACE)
            with _named("create", HOST_INTERFACE):
                self._route.link(
                    "add", ifname=HOST_INTERFACE, kind="veth", mtu=mtu, address=mac, txqlen=_TX_QUEUE,
                    peer={"ifname": HOST_PORT, "mtu": mtu, "txqlen": _TX_QUEUE},
                )  # fmt: skip
        port = self._required(HOST_PORT)
        self._silence(HOST_PORT)
        with _named("set up", HOST_INTERFACE):
            self._route.link("set", index=port, state="up")
            self._route.link("set", index=self._required(HOST_INTERFACE), state="up")
        return port

    def ensure_companion(self, vxlan_port: int) -> int:
        """Make the companion VXLAN device unless it is there; return its ifindex.

        Raises:
            KernelError: the kernel refused, for example because another device has the UDP port.
        """
        index = self.index(COMPANION)
        if index is not None and self._vxlan_port(index) != vxlan_port:
            self.delete(COMPANION)
            index = None
        if index is None:
            with _named("create", COMPANION):
                self._route.link(
                    "add", ifname=COMPANION, kind="vxlan", vxlan_collect_metadata=1, vxlan_gbp=True,
                    vxlan_learning=0, vxlan_port=vxlan_port, mtu=65485,
                )  # fmt: skip
            index = self._required(COMPANION)
        self._silence(COMPANION)
        with _named("set up", COMPANION):
            self._route.link("set", index=index, state="up")
        return index

    def create_container_port(
        self, name: str, namespace: int, ifname: str, mac: str, mtu: int, addresses: tuple[str, ...],
        gateway: str, multicast_route: bool, host_mac: str,
    ) -> ContainerPort:  # fmt: skip
        """Put an interface into a container and return its port; nothing is left behind on failure.

        Args:
            name: of the port on the host.
            namespace: open descriptor of the container's network namespace.
            ifname: name inside.
            mac: of the interface inside.
            mtu: bytes.
            addresses: ADDRESS/LEN each.
            gateway: address of the default route, "" for none.
            multicast_route: whether 224.0.0.0/4 goes this way.
            host_mac: of the interface on the host.

        Raises:
            ConflictError: the container has such an interface, or the port exists.
            NotFoundError: the namespace went away meanwhile.
            KernelError: the kernel refused.
        """
        with _container(namespace) as inside:
            if inside.link_lookup(ifname=ifname):
                raise ConflictError(f"the container already has an interface {ifname}; detach it or give --ifname")
            with _named("create", name):
                self._route.link(
                    "add", ifname=name, kind="veth", mtu=mtu, address=host_mac, txqlen=_TX_QUEUE,
                    peer={"ifname": ifname, "net_ns_fd": namespace, "mtu": mtu, "address": mac, "txqlen": _TX_QUEUE},
                )  # fmt: skip
            try:
                self._silence(name)
                _configure(inside, namespace, ifname, addresses, gateway, multicast_route)
                index = self._required(name)
                with _named("set up", name):
                    self._route.link("set", index=index, state="up")
            except BaseException:
                self.delete(name)
                raise
        return ContainerPort(index, mac)

    def inspect(self, namespace: int, ifname: str, mac: str, addresses: tuple[str, ...]) -> str:
        """Return how an interface inside a container differs from how it was made, "" if it does not.

        Args:
            namespace: open descriptor of the container's network namespace.
            ifname: name inside.
            mac: what it should be; "" for any.
            addresses: ADDRESS/LEN that it should have, among others.
        """
        with _container(namespace) as inside:
            found = inside.link_lookup(ifname=ifname)
            if not found:
                return f"the container has no interface {ifname}"
            (link,) = inside.get_links(found[0])
            if not link["flags"] & _IFF_UP:
                return f"{ifname} is down"
            if mac and link.get("address") != mac:
                return f"{ifname} has the address {link.get('address')}, not {mac}"
            there = {
                f"{entry.get('local') or entry.get('address')}/{entry['prefixlen']}"
                for entry in inside.get_addr(family=2, index=found[0])
            }
        return "".join(f"{ifname} has lost {address}" for address in addresses if address not in there)

    def delete(self, name: str) -> None:
        """Delete a device; one that is gone is fine."""
        index = self.index(name)
        if index is None:
            return
        with _named("delete", name), contextlib.suppress(NotFoundError):
            self._route.link("del", index=index)

    def set_mtu(self, name: str, mtu: int) -> None:
        """Set the MTU of one device of the host; one that is gone is fine."""
        index = self.index(name)
        if index is not None:
            with contextlib.suppress(NotFoundError), _named("set mtu of", name):
                self._route.link("set", index=index, mtu=mtu)

    def set_container_mtu(self, namespace: int, ifname: str, mtu: int) -> None:
        """Set the MTU of an interface inside a container; one that is gone is fine."""
        with _container(namespace) as inside, contextlib.suppress(NotFoundError), _named("set mtu of", ifname):
            found = inside.link_lookup(ifname=ifname)
            if found:
                inside.link("set", index=found[0], mtu=mtu)

    def describe(self, name: str, text: str) -> None:
        """Write into a device of the host what it is; at most 255 bytes, see `IFALIASZ` in uapi/linux/if.h."""
        with _named("describe", name):
            self._route.link("set", index=self._required(name), ifalias=text)

    def description(self, name: str) -> str:
        """Return what was written into a device, "" if nothing was or it is gone."""
        found = [link for link in self._route.get_links() if link.get("ifname") == name]
        return str(found[0].get("ifalias") or "") if found else ""

    def container_ports(self) -> dict[str, int]:
        """Return the ifindex of every container port of ours, by name."""
        return {
            link.get("ifname"): int(link["index"])
            for link in self._route.get_links()
            if _CONTAINER_PORT.fullmatch(link.get("ifname"))
        }

    def indexes(self) -> tuple[int, ...]:
        """Return the ifindex of every device there is."""
        return tuple(int(link["index"]) for link in self._route.get_links())

    def remove_idle_clsact(self, ifindex: int) -> None:
        """Remove a device's clsact qdisc unless somebody has filters in it; none there is fine."""
        with contextlib.suppress(NetlinkError):
            if not any(self._route.get_filters(ifindex, parent=parent) for parent in (_TC_INGRESS, _TC_EGRESS)):
                self._route.tc("del", "clsact", ifindex)

    def underlay(self) -> tuple[UnderlayLink, ...]:
        """Return the devices that are up and have IPv4 addresses of their own, those of the default route first."""
        addresses: dict[int, list[UnderlayIp]] = {}
        for entry in self._route.get_addr(family=2):
            if entry["scope"] == 0:  # RT_SCOPE_UNIVERSE: neither loopback nor link-local
                addresses.setdefault(int(entry["index"]), []).append(
                    UnderlayIp(entry.get("local") or entry.get("address"))
                )
        default = {route.get("oif") for route in self._route.get_default_routes(family=2)}
        found = []
        for link in self._route.get_links():
            index, name = int(link["index"]), str(link.get("ifname"))
            if index not in addresses or _NOT_UNDERLAY.fullmatch(name) or _CONTAINER_PORT.fullmatch(name):
                continue
            if link.get("operstate") not in ("UP", "UNKNOWN") or link["ifi_type"] != _ARPHRD_ETHER:
                continue
            found.append(UnderlayLink(index, name, int(link.get("mtu")), tuple(addresses[index])))
        return tuple(sorted(found, key=lambda link: (link.ifindex not in default, link.ifindex)))

    def overlapping_route(self, universe: Range) -> str | None:
        """Return the first route of the host, other than our own and default ones, that overlaps a range."""
        own = self.index(HOST_INTERFACE)
        for route in self._route.get_routes(family=2, table=254):
            destination, length = route.get("dst"), route["dst_len"]
            if destination is None or length == 0 or (own is not None and route.get("oif") == own):
                continue
            start = int(IPv4Address(destination))
            if universe.overlaps(Range(start, start + (1 << (32 - length)))):
                device = self._route.get_links(route.get("oif"))[0].get("ifname") if route.get("oif") else "?"
                return f"{destination}/{length} dev {device}"
        return None

    def add_host_address(self, address: str) -> None:
        """Give the host an overlay address, ADDRESS/LEN; one that it has is fine."""
        ip, _, length = address.partition("/")
        with contextlib.suppress(ConflictError), _named(f"add {address} to", HOST_INTERFACE):
            self._route.addr("add", index=self._required(HOST_INTERFACE), address=ip, prefixlen=int(length))

    def remove_host_address(self, address: str) -> None:
        """Take an overlay address from the host; one that it does not have is fine."""
        ip, _, length = address.partition("/")
        try:
            self._route.addr("del", index=self._required(HOST_INTERFACE), address=ip, prefixlen=int(length))
        except NetlinkError as error:
            if error.code not in (errno.EADDRNOTAVAIL, errno.ENODEV):
                raise KernelError(f"remove {address} from", HOST_INTERFACE, error.code) from None
        except NotFoundError:
            return

    def _silence(self, name: str) -> None:
        """Keep the host's own IPv6 chatter (router solicitations, MLD) off a port: the port is not a station."""
        with contextlib.suppress(FileNotFoundError):  # no IPv6 in this kernel
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")

    def _vxlan_port(self, index: int) -> int | None:
        linkinfo = self._route.get_links(index)[0].get("linkinfo")
        if linkinfo is None or linkinfo.get("kind") != "vxlan":
            return None
        port = linkinfo.get("data").get("vxlan_port")
        return int(port) if port is not None else None

    def _required(self, name: str) -> int:
        index = self.index(name)
        if index is None:
            raise NotFoundError(f"device {name} is gone; restart the daemon to have it made again")
        return index


@contextlib.contextmanager
def _container(namespace: int) -> Iterator[Any]:
    """Yield a netlink socket that lives in a container's namespace, whoever uses it."""
    with netns.entered(namespace):
        inside = IPRoute()
    try:
        yield inside
    finally:
        inside.close()


def _configure(
    inside: Any, namespace: int, ifname: str, addresses: tuple[str, ...], gateway: str, multicast_route: bool
) -> None:
    with _named("configure", ifname):
        index = inside.link_lookup(ifname=ifname)[0]
        _announce_addresses(namespace, ifname)
        for address in addresses:
            ip, _, length = address.partition("/")
            inside.addr("add", index=index, address=ip, prefixlen=int(length))
        inside.link("set", index=inside.link_lookup(ifname="lo")[0], state="up")
        inside.link("set", index=index, state="up")
        if multicast_route:
            inside.route("replace", dst="224.0.0.0/4", oif=index, scope=253)  # RT_SCOPE_LINK
        if gateway:
            inside.route("add", dst="default", gateway=gateway, oif=index)


def _announce_addresses(namespace: int, ifname: str) -> None:
    """Have the kernel announce addresses when the link comes up, so that stale neighbors elsewhere are corrected.

    Duplicate address detection is left out: addresses come from the ring, and IPv6 must not wait a second for it.
    """
    settings = ((f"ipv4/conf/{ifname}/arp_notify", "1"), (f"ipv6/conf/{ifname}/ndisc_notify", "1"),
                (f"ipv6/conf/{ifname}/accept_dad", "0"))  # fmt: skip
    with netns.entered(namespace):
        for path, value in settings:
            with contextlib.suppress(OSError):  # no IPv6, or a read-only /proc/sys: these are refinements
                Path("/proc/sys/net", path).write_text(value)


@contextlib.contextmanager
def _named(operation: str, target: str) -> Iterator[None]:
    """Turn netlink's numbers into errors that say what was tried."""
    try:
        yield
    except NetlinkError as error:
        reason = os.strerror(error.code)
        if error.code == errno.EEXIST:
            raise ConflictError(f"cannot {operation} {target}: it is there already") from None
        if error.code in (errno.ENODEV, errno.ENXIO, errno.ENONET):
            raise NotFoundError(f"cannot {operation} {target}: it is gone ({reason})") from None
        if error.code == errno.EOPNOTSUPP:
            reason += f"; does this kernel have the module for {target}?"
        raise KernelError(operation, target, error.code, reason) from None
    except IndexError:
        raise NotFoundError(f"cannot {operation} {target}: it is gone") from None
