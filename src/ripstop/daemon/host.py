"""This machine as a switch: its devices and its datapath.  Made and used by the kernel thread alone."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ripstop.core.address import Range
from ripstop.core.errors import KernelError, NotFoundError, RequestError, RipstopError, StartError
from ripstop.core.multicast.tables import Delivery, Row
from ripstop.core.names import NO_PEER, PeerName, PortId, UnderlayIp
from ripstop.core.overlay.forwarding import ForwardingTables
from ripstop.core.overlay.mtu import VXLAN_OVERHEAD
from ripstop.daemon.ports import PortRecord, described, description, host_mac
from ripstop.kernel import bpf_tc, bpffs, netns, nft, sysctl
from ripstop.kernel.abi import GuardFlags
from ripstop.kernel.datapath import Datapath
from ripstop.kernel.link import COMPANION, HOST_INTERFACE, HOST_PORT, Links, UnderlayLink, delete_links
from ripstop.kernel.rtnl import RouteSocket
from ripstop.kernel.shaping import Limit, limit, unlimit

MIN_KERNEL = (5, 15)
FALLBACK_MTU = 1500  # bytes; IP MTU of an underlay that has no device up at the moment
FDB_AGE = 600.0  # seconds; IEEE 802.1D allows 10 to 1,000,000 and suggests 300


@dataclass(frozen=True, slots=True)
class Scan:
    """What the host's devices look like now."""

    addresses: tuple[UnderlayIp, ...]
    mtu: int  # largest IP MTU among underlay devices, bytes
    gone: tuple[str, ...]  # container ports that were there and are not


class Host:
    """Owns the devices named `ripstop*`, the container ports and everything in eBPF."""

    pins: Path

    def __init__(
        self,
        name: PeerName,
        vxlan_port: int,
        advertise: tuple[str, ...],
        universe: Range,
        *,
        snoops: bool,
        floods_unknown: bool,
    ) -> None:
        """Look at the machine; change nothing yet.

        Raises:
            StartError: this kernel is too old, or a route of the host overlaps the overlay's range.
        """
        _check_kernel()
        self._name, self._vxlan_port, self._advertise = name, vxlan_port, frozenset(advertise)
        self.mac = bytes([2]) + bytes.fromhex(name)[:5]  # of the host's own interface
        self._snoops, self._floods_unknown = snoops, floods_unknown
        self._links = Links()
        self._datapath: Datapath | None = None
        self._is_open = True
        self._underlay: dict[int, UnderlayLink] = {}
        self._ports: dict[str, int] = {}
        self._without_groups: set[str] = set()  # those of them that are kept from multicast
        self._is_exposed = False
        overlap = self._links.overlapping_route(universe)
        if overlap is not None:
            self.close()
            raise StartError(f"range {universe} overlaps the host's route {overlap}; choose another with --range")

    def build(self) -> None:
        """Make what is missing and adopt what is there; nothing that forwards is interrupted.

        Raises:
            StartError: the kernel refuses, and why; what was not there before is gone again.
        """
        fresh = bpffs.existing_pin_directory() is None
        self.pins = bpffs.pin_directory()
        try:
            self._datapath = Datapath.open(self.pins, self._vxlan_port)
            self.datapath.use_snooping(self._snoops, self._floods_unknown)
            self.datapath.attach_companion(self._links.ensure_companion(self._vxlan_port))
            self._host_port = self._links.ensure_host_port(self.mac.hex(":"), self._start_mtu())
            if self._host_port not in self.datapath.ports():  # an adopted one goes on as it is
                self.datapath.add_port(self._host_port, host=True, flood=False)
        except RipstopError as error:
            if fresh:
                remove_everything(self._links)
            raise StartError(f"cannot build the datapath: {error}") from None

    def _start_mtu(self) -> int:
        return max((link.mtu for link in self._links.underlay()), default=FALLBACK_MTU) - VXLAN_OVERHEAD

    def adopt(self, ports: list[PortRecord]) -> list[PortRecord]:
        """Take over the ports that live; return their records.

        One without a record says itself what it is, if its container is there; else it is deleted.
        """
        living = self._links.container_ports()
        records = {port.host_ifname: port for port in ports}
        for name in sorted(living.keys() - records.keys()):
            found = described(name, self._links.description(name))
            if found is not None and _is_there(found):
                records[name] = found
            else:
                self._links.delete(name)
        known = records.keys()
        wanted = {living[name] for name in known & living.keys()}
        for ifindex in self.datapath.ports():
            if ifindex not in wanted and ifindex != self._host_port:
                self.datapath.remove_port(ifindex)
        for name in sorted(known & living.keys()):
            self.datapath.add_port(living[name], guard=records[name].guard)
            self._note(records[name], living[name])
        return [records[name] for name in sorted(known & living.keys())]

    def rescan(self) -> Scan:
        """Look at the devices again: hang the datapath into new ones, notice what is gone."""
        found = {link.ifindex: link for link in self._advertised_links()}
        for ifindex in found.keys() - self._underlay.keys():
            self.datapath.attach_underlay(ifindex)
        for ifindex in self._underlay.keys() - found.keys():
            self.datapath.detach(ifindex)
        self._underlay = found
        addresses = tuple(address for link in found.values() for address in link.addresses)
        return Scan(addresses, max((link.mtu for link in found.values()), default=FALLBACK_MTU), self.gone())

    def gone(self) -> tuple[str, ...]:
        """Take the ports off the switch whose containers went away by themselves, and return their names."""
        living = self._links.container_ports()
        gone = tuple(name for name, ifindex in sorted(self._ports.items()) if living.get(name) != ifindex)
        for name in gone:
            self.datapath.remove_port(self._ports.pop(name))
        return gone

    def _advertised_links(self) -> tuple[UnderlayLink, ...]:
        """Return the underlay devices: those with an advertised address, or all if it is one that NAT gives us."""
        links = self._links.underlay()
        return tuple(link for link in links if self._advertise & set(link.addresses)) or links

    def create_port(
        self, port: PortRecord, mtu: int, gateway: str, multicast_route: bool, soon: bool
    ) -> tuple[PortId, ...]:
        """Make a container's interface and plug it in, and return what `group_ports` does; failing, leave nothing.

        Raises:
            RequestError: the container refuses: no namespace, the name is taken.
            KernelError: the kernel refuses.
        """
        with netns.found(port.netns, port.inode) as namespace:
            ifindex = self._links.make_container_port(
                port.host_ifname, namespace, port.ifname, port.mac, min(mtu, port.mtu or mtu),
                host_mac(port.host_ifname), description(port),
            )  # fmt: skip
            try:
                # First, so that the container's first word is heard.
                self.datapath.add_port(ifindex, guard=port.guard, soon=soon)
                self._links.configure_container(namespace, port.ifname, port.addresses, gateway, multicast_route)
            except BaseException:
                self.datapath.remove_port(ifindex)
                self._links.delete(port.host_ifname)
                raise
        self._note(port, ifindex)
        return self.group_ports()

    def limit_port(self, port: PortRecord, sent: Limit, received: Limit) -> None:
        """Limit how much a container sends and gets.

        Raises:
            KernelError: the kernel refuses.
        """
        with netns.found(port.netns, port.inode) as namespace:
            limit(namespace, port.ifname, port.host_ifname, sent, received)

    def guard_port(self, port: PortRecord) -> tuple[PortId, ...]:
        """Guard a container's interface as its record says, from its next frame on; one that is gone is fine.

        Returns what `group_ports` does.
        """
        ifindex = self._ports.get(port.host_ifname)
        if ifindex is not None:
            self._links.describe(port.host_ifname, description(port))
            self.datapath.add_port(ifindex, guard=port.guard)
            self._note(port, ifindex)
        return self.group_ports()

    def stopped(self) -> dict[str, dict[str, int]]:
        """Return how many frames guards stopped, by port and reason."""
        found = self.datapath.guards.stopped()
        return {name: found[ifindex] for name, ifindex in self._ports.items() if ifindex in found}

    def unplug(self, port: PortRecord) -> tuple[PortId, ...]:
        """Take a container's interface off the switch, and return what `group_ports` does; one that is gone is fine.

        No frame passes from here on.
        """
        self._links.silence(port.host_ifname)
        ifindex = self._ports.pop(port.host_ifname, None)
        if ifindex is not None:
            self.datapath.remove_port(ifindex, dying=True)
        with suppress(RipstopError), netns.opened(port.netns) as namespace:  # else all of it is gone
            if netns.inode(namespace) == port.inode:
                unlimit(namespace, port.host_ifname)
        return self.group_ports()

    def delete_ports(self, host_ifnames: Sequence[str]) -> None:
        """Delete the devices of ports that were unplugged, all in the time that one takes.  For any one thread."""
        requests = RouteSocket()
        try:
            delete_links(requests, host_ifnames)
        finally:
            requests.close()

    def promote_port(self, host_ifname: str) -> None:
        """Make a new port as cheap for packets as the others; one that is gone is fine.  For any thread."""
        if (ifindex := self._ports.get(host_ifname)) is not None:
            self.datapath.promote(ifindex)

    def inspect(self, port: PortRecord, path: str, mac: str) -> str:
        """Return what is wrong with a container's interface, "" if nothing is.

        Args:
            port: as it was made.
            path: where its namespace is said to be.
            mac: what its address should be now; "" for any.
        """
        if self._ports.get(port.host_ifname) not in self.datapath.ports():
            return f"{port.host_ifname}, the port of {port.ifname}, is not on the switch"
        with netns.opened(path) as namespace:
            if netns.inode(namespace) != port.inode:
                return f"{path} is another namespace than {port.ifname} was put into"
            return self._links.inspect(namespace, port.ifname, mac, port.addresses)

    def group_ports(self) -> tuple[PortId, ...]:
        """Return the ports behind which somebody may want groups: the host's own while it has addresses."""
        own = (self._host_port,) if self._is_exposed else ()
        members = (ifindex for name, ifindex in self._ports.items() if name not in self._without_groups)
        return tuple(sorted(map(PortId, (*members, *own))))

    def _note(self, port: PortRecord, ifindex: int) -> None:
        self._ports[port.host_ifname] = ifindex
        if port.guards & GuardFlags.MULTICAST:
            self._without_groups.add(port.host_ifname)
        else:
            self._without_groups.discard(port.host_ifname)

    def apply(self, tables: ForwardingTables) -> None:
        """Have the datapath forward by these tables."""
        self.datapath.apply(tables)

    def port_names(self) -> dict[PortId, str]:
        """Return the name of each port's interface on this host, the host's own included, which is always there."""
        named = {PortId(ifindex): name for name, ifindex in self._ports.items()}
        return {**named, PortId(self._host_port): HOST_INTERFACE}

    def former_deliveries(self) -> tuple[Delivery, ...]:
        """Return what our ports get of groups since a former life of the daemon."""
        found = self.datapath.groups.receivers()
        return tuple(Delivery(selector, had.ports, had.by_source) for selector, had in found.items())

    def distribute(self, rows: tuple[Row, ...], complete: bool) -> None:
        """Have the datapath forward groups by these rows; with `complete`, by no others."""
        groups = self.datapath.groups
        for row in rows:
            if isinstance(row, Delivery):
                if row.ports is None:
                    groups.remove_receivers(row.selector)
                else:
                    groups.put_receivers(row.selector, row.ports, row.by_source)
            elif row.children is None:
                groups.remove_branches(row.peer, row.selector)
            else:
                groups.put_branches(row.peer, row.selector, row.children, row.by_source)
        if complete:
            wanted = {row.key for row in rows}
            for selector in groups.receivers():
                if (NO_PEER, selector) not in wanted:
                    groups.remove_receivers(selector)
            for peer, selector in groups.branches():
                if (peer, selector) not in wanted:
                    groups.remove_branches(peer, selector)

    def set_mtu(self, mtu: int, ports: tuple[PortRecord, ...]) -> None:
        """Set the MTU of all our interfaces, inside and outside."""
        for name in (HOST_INTERFACE, HOST_PORT):
            self._links.set_mtu(name, mtu)
        for port in ports:
            own = min(mtu, port.mtu or mtu)
            self._links.set_mtu(port.host_ifname, own)
            try:
                with netns.found(port.netns, port.inode) as namespace:
                    self._links.set_container_mtu(namespace, port.ifname, own)
            except NotFoundError:
                continue  # the container is on its way out; the next rescan says so

    def expose(self, addresses: tuple[str, ...], universe: Range, masquerade: bool) -> None:
        """Give the host these overlay addresses."""
        self._is_exposed = bool(addresses)
        for address in addresses:
            self._links.add_host_address(address)
        self.datapath.add_port(self._host_port, host=True, flood=bool(addresses))
        self.datapath.use_returns(bool(addresses))
        if masquerade:
            nft.masquerade(str(universe), HOST_INTERFACE)
            _forward_ipv4()

    def hide(self, addresses: tuple[str, ...]) -> None:
        """Take these overlay addresses from the host, and the masquerading with them."""
        self._is_exposed = False
        self.datapath.add_port(self._host_port, host=True, flood=False)  # without an address it wants no copies
        self.datapath.use_returns(False)
        for address in addresses:
            self._links.remove_host_address(address)
        nft.clear()

    def sweep(self) -> None:
        """Forget stations that have been silent for too long."""
        self.datapath.sweep(FDB_AGE)

    def destroy(self) -> None:
        """Take down everything that this instance made, containers' interfaces included."""
        self.datapath.destroy()
        self._datapath = None
        remove_everything(self._links)
        self.close()

    def close(self) -> None:
        """Let go without touching anything: the kernel keeps forwarding.  A second time nothing happens."""
        if self._is_open:
            self._is_open = False
            if self._datapath is not None:
                self._datapath.close()
            self._links.close()

    @property
    def datapath(self) -> Datapath:
        """The switch; there since `build`."""
        assert self._datapath is not None, "build first"
        return self._datapath

    @property
    def has_underlay(self) -> bool:
        """Whether any device was up at the last scan that could reach a peer."""
        return bool(self._underlay)


def identify(path: str) -> int:
    """Return the inode of a container's namespace; for any thread of ours.

    Raises:
        RequestError: it is not there, no namespace, or the host's own.
    """
    with netns.opened(path) as namespace:
        if netns.is_own(namespace):
            raise RequestError(f"{path} is the host's own namespace; use `ripstop expose` to give the host an address")
        return netns.inode(namespace)


def _is_there(port: PortRecord) -> bool:
    try:
        with netns.found(port.netns, port.inode):
            return True
    except RipstopError:
        return False


def remove_everything(links: Links) -> list[str]:
    """Remove whatever an instance made in this namespace, and return what was found; needs no daemon."""
    removed = []
    names = [HOST_INTERFACE, HOST_PORT, COMPANION, *sorted(links.container_ports())]
    for name in names:
        if links.index(name) is not None:
            links.delete(name)
            removed.append(f"device {name}")
    for ifindex in links.indexes():
        bpf_tc.detach_ingress(ifindex)
        links.remove_idle_clsact(ifindex)
    pins = bpffs.existing_pin_directory()
    if pins is not None:
        bpffs.remove(pins)
        removed.append(f"pins {pins}")
    if nft.clear():
        removed.append(f"nftables table {nft.TABLE}")
    return removed


def _check_kernel() -> None:
    release = os.uname().release
    found = re.match(r"(\d+)\.(\d+)", release)
    if found is None or (int(found[1]), int(found[2])) < MIN_KERNEL:
        raise StartError(f"Linux {release} is too old; ripstop needs {MIN_KERNEL[0]}.{MIN_KERNEL[1]} or newer")


def _forward_ipv4() -> None:
    """Have the host route for containers, as a gateway must."""
    setting = Path("/proc/sys/net/ipv4/ip_forward")
    try:
        if setting.read_text().strip() != "1":
            sysctl.write("net/ipv4/ip_forward", "1")
    except OSError as error:
        raise KernelError("set", "net.ipv4.ip_forward", error.errno or 0, "set it to 1 by hand") from None
