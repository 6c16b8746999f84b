"""Links, addresses and routes of this host and, at attach time, of a container; all of it for the kernel thread.

Names on the host: `ripstop0` is the host's own interface on the overlay, `ripstop0p` the switch port it is plugged
into, `ripstop-vx` the companion VXLAN device, `rs<10 hex digits>` the port of one container interface.
"""

import contextlib
import errno
import os
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from ripstop.core.address import Range
from ripstop.core.errors import ConflictError, KernelError, NotFoundError
from ripstop.core.names import UnderlayIp
from ripstop.kernel import netns, rtnl, sysctl

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
_MULTICAST = "add the multicast route"
_LOOPBACK = 1  # ifindex in every network namespace
_DOOMED = 0x52495053  # group of devices that are deleted together
_TC_INGRESS, _TC_EGRESS = 0xFFFFFFF2, 0xFFFFFFF3  # parents of clsact's filters (TC_H_CLSACT, linux/pkt_sched.h)
_TX_QUEUE = 1000  # packets; what a hardware NIC gets


@dataclass(frozen=True, slots=True)
class UnderlayLink:
    """One device that may carry the overlay."""

    ifindex: int
    name: str
    mtu: int  # IP MTU, bytes
    addresses: tuple[UnderlayIp, ...]


def is_container_port(name: str) -> bool:
    """Whether a device is the port of a container."""
    return _CONTAINER_PORT.fullmatch(name) is not None


class Links:
    """The host's links; made and used by one thread in the host's namespace."""

    def __init__(self) -> None:
        self._route = IPRoute()
        self._requests = rtnl.RouteSocket()

    def close(self) -> None:
        """Give the netlink sockets back."""
        self._requests.close()
        self._route.close()

    def index(self, name: str) -> int | None:
        """Return a device's ifindex, or None."""
        return _index(name)

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

    def make_container_port(
        self, name: str, namespace: int, ifname: str, mac: str, mtu: int, host_mac: str, text: str
    ) -> int:
        """Put an interface into a container, down, and return the ifindex of its port, up.

        Args:
            name: of the port on the host.
            namespace: open descriptor of the container's network namespace.
            ifname: name inside.
            mac: of the interface inside.
            mtu: bytes.
            host_mac: of the port.
            text: what the port says of itself; at most 255 bytes, see `IFALIASZ` in uapi/linux/if.h.

        Raises:
            ConflictError: the container has such an interface, or the port exists.
            NotFoundError: the namespace went away meanwhile.
            KernelError: the kernel refused.
        """
        made = rtnl.make_veth(name, host_mac, ifname, mac, namespace, mtu, _TX_QUEUE)
        (number,) = self._requests.send((made,))
        if number == errno.EEXIST and self.index(name) is None:
            raise ConflictError(f"the container already has an interface {ifname}; detach it or give --ifname")
        _check(number, "create", name)
        try:
            self._silence(name)
            index = socket.if_nametoindex(name)
            (number,) = self._requests.send((rtnl.set_up(index, text),))
            _check(number, "set up", name)
        except BaseException:
            self.delete(name)
            raise
        return index

    def configure_container(
        self, namespace: int, ifname: str, addresses: tuple[str, ...], gateway: str, multicast_route: bool
    ) -> None:
        """Give the interface in a container its addresses and routes, and set it up.

        Args:
            namespace: open descriptor of the container's network namespace.
            ifname: name inside.
            addresses: ADDRESS/LEN each.
            gateway: address of the default route, "" for none.
            multicast_route: whether 224.0.0.0/4 goes this way.

        Raises:
            NotFoundError: the interface went away meanwhile.
            ConflictError: the container has an address or a default route of the kind already.
            KernelError: the kernel refused.
        """
        with netns.entered(namespace):
            inside = rtnl.RouteSocket()
            try:
                index = socket.if_nametoindex(ifname)
                _announce_addresses(ifname)
            except OSError:
                inside.close()
                raise NotFoundError(f"cannot configure {ifname}: it is gone") from None
        steps = {f"add {address} to {ifname}": rtnl.add_address(index, address) for address in addresses}
        steps["set up lo"] = rtnl.set_up(_LOOPBACK)
        steps[f"set up {ifname}"] = rtnl.set_up(index)
        if multicast_route:
            steps[_MULTICAST] = rtnl.add_multicast_route(index)
        if gateway:
            steps[f"add the default route by {gateway}"] = rtnl.add_default_route(index, gateway)
        try:
            for step, number in zip(steps, inside.send(tuple(steps.values())), strict=True):
                if step != _MULTICAST or number != errno.EEXIST:  # another interface has it, and keeps it
                    _check(number, step, "in the container")
        finally:
            inside.close()

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

    def silence(self, name: str) -> None:
        """Set a container's port down and make it nameless: no frame passes, and nobody adopts it; gone is fine."""
        index = self.index(name)
        if index is not None:
            (number,) = self._requests.send((rtnl.set_down(index),))
            if number != errno.ENODEV:
                _check(number, "set down", name)

    def delete(self, *names: str) -> None:
        """Delete devices, all in the time that one takes; those that are gone are fine."""
        delete_links(self._requests, names)

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
        index = self.index(name)
        found = self._links_of(index) if index is not None else ()
        return str(found[0].get("ifalias") or "") if found else ""

    def container_ports(self) -> dict[str, int]:
        """Return the ifindex of every container port of ours, by name."""
        return {name: index for index, name in socket.if_nameindex() if is_container_port(name)}

    def indexes(self) -> tuple[int, ...]:
        """Return the ifindex of every device there is."""
        return tuple(index for index, _ in socket.if_nameindex())

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
        for link in (link for index in addresses for link in self._links_of(index)):
            index, name = int(link["index"]), str(link.get("ifname"))
            if _NOT_UNDERLAY.fullmatch(name) or _CONTAINER_PORT.fullmatch(name):
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
            sysctl.write(f"net/ipv6/conf/{name}/disable_ipv6", "1")

    def _links_of(self, index: int) -> Sequence[Any]:
        """Return what there is to know of one device, nothing if it is gone."""
        try:
            return tuple(self._route.get_links(index))
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                raise
            return ()

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


def delete_links(requests: rtnl.RouteSocket, names: Sequence[str]) -> None:
    """Delete devices, all in the time that one takes; those that are gone are fine.

    Raises:
        KernelError: the kernel refused.
    """
    found = [index for name in names if (index := _index(name)) is not None]
    if len(found) > 1:
        requests.send([rtnl.set_group(index, _DOOMED) for index in found])
        (number,) = requests.send((rtnl.delete_group(_DOOMED),))
    elif found:
        (number,) = requests.send((rtnl.delete_link(found[0]),))
    else:
        return
    if number != errno.ENODEV:
        _check(number, "delete", ", ".join(names))


def _index(name: str) -> int | None:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


@contextlib.contextmanager
def _container(namespace: int) -> Iterator[Any]:
    """Yield a netlink socket that lives in a container's namespace, whoever uses it."""
    with netns.entered(namespace):
        inside = IPRoute()
    try:
        yield inside
    finally:
        inside.close()


def _announce_addresses(ifname: str) -> None:
    """Have the kernel announce addresses when the link comes up, so that stale neighbors elsewhere are corrected.

    Duplicate address detection is left out: addresses come from the ring, and IPv6 must not wait a second for it.
    For the thread that is in the container's namespace.
    """
    settings = ((f"ipv4/conf/{ifname}/arp_notify", "1"), (f"ipv6/conf/{ifname}/ndisc_notify", "1"),
                (f"ipv6/conf/{ifname}/accept_dad", "0"))  # fmt: skip
    for path, value in settings:
        with contextlib.suppress(OSError):  # no IPv6, or a read-only /proc/sys: these are refinements
            sysctl.write(f"net/{path}", value)


@contextlib.contextmanager
def _named(operation: str, target: str) -> Iterator[None]:
    """Turn netlink's numbers into errors that say what was tried."""
    try:
        yield
    except NetlinkError as error:
        _check(error.code, operation, target)
    except IndexError:
        raise NotFoundError(f"cannot {operation} {target}: it is gone") from None


def _check(number: int, operation: str, target: str) -> None:
    """Raise what an errno of netlink means; 0 is fine."""
    if not number:
        return
    reason = os.strerror(number)
    if number == errno.EEXIST:
        raise ConflictError(f"cannot {operation} {target}: it is there already")
    if number in (errno.ENODEV, errno.ENXIO, errno.ENONET):
        raise NotFoundError(f"cannot {operation} {target}: it is gone ({reason})")
    if number == errno.EOPNOTSUPP:
        reason += f"; does this kernel have the module for {target}?"
    raise KernelError(operation, target, number, reason)
