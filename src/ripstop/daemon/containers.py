"""Attach and detach: what puts addresses and devices together, and takes them apart again.

Each operation is a few steps with an undo.  What a crash leaves between two steps is put right by `adopt` at the
next start: a port without a record is deleted, an address without a port is released.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

import msgspec

from ripstop.api.types import AttachRequest, DetachRequest, GuardRequest
from ripstop.core.address import parse_interface
from ripstop.core.dns.messages import Binding
from ripstop.core.errors import ConflictError, NotFoundError, RequestError, RipstopError
from ripstop.core.events import (
    NamesDropped,
    PortsChanged,
    Reconciled,
)
from ripstop.core.names import Holder, PortId
from ripstop.daemon import naming, ports
from ripstop.daemon.aftermath import Aftermath
from ripstop.daemon.config import Config
from ripstop.daemon.driver import Driver
from ripstop.daemon.exposure import EXPOSE_KEY, EXPOSED, Exposure
from ripstop.daemon.guards import guard_names, parse_allowed, parse_guards
from ripstop.daemon.holders import Holders, Renaming
from ripstop.daemon.host import Host, identify
from ripstop.daemon.kernel import KernelThread
from ripstop.daemon.naming import Registration
from ripstop.daemon.ports import PortRecord
from ripstop.daemon.reconciler import Reconciler
from ripstop.daemon.reservations import Reservations
from ripstop.store.sqlite import Store, StoreError

log = logging.getLogger("ripstop.containers")


class Containers:
    """Every interface of ours in a container."""

    def __init__(
        self, config: Config, name: str, store: Store, driver: Driver, kernel: KernelThread, host: Host,
        reconciler: Reconciler, aftermath: Aftermath, holders: Holders, exposure: Exposure, reservations: Reservations,
    ) -> None:  # fmt: skip
        self._config, self._name, self._store, self._driver = config, name, store, driver
        self._kernel, self._host, self._reconciler = kernel, host, reconciler
        self._aftermath, self._holders, self._reservations = aftermath, holders, reservations
        self._ports: dict[str, PortRecord] = {}
        self.exposure = exposure

    @property
    def ports(self) -> tuple[PortRecord, ...]:
        """Every attached interface, oldest name first."""
        return tuple(port for _, port in sorted(self._ports.items()))

    async def adopt(self) -> None:
        """Put what is on disk, in the kernel and in the ring together after a start."""
        stored = {key: ports.decode(key, value) for key, value in self._store.load(ports.PREFIX).items()}
        living = await self._kernel.run(lambda: self._host.adopt(list(stored.values())))
        self._ports = {port.host_ifname: port for port in living}
        changes: list[tuple[str, bytes | None]] = [(key, None) for key in stored.keys() - {one.key for one in living}]
        for port in living:
            if stored.get(port.key) != port:
                log.warning("%s of %s was found in the kernel, with %s", port.ifname, port.netns, port.addresses)
                changes.append((port.key, ports.encode(port)))
        self._store.put(changes)
        await self.exposure.adopt()
        self.reconcile()
        self._driver.post(PortsChanged(await self._kernel.run(self._host.group_ports)))

    def bindings(self) -> dict[Holder, tuple[Binding, ...]]:
        """Return which names there are, by interface."""
        found = {
            Holder(port.holder): naming.bindings(port.container, port.addresses, port.names) for port in self.ports
        }
        found[Holder(EXPOSED)] = self.exposure.record.bindings
        return {holder: bindings for holder, bindings in found.items() if bindings}

    def reconcile(self) -> None:
        """Have the node believe what is there; nothing while a request is half-way."""
        if self._reservations:
            return
        living = {port.holder: port.addresses for port in self.ports}
        living |= self._holders.leaving
        if self.exposure.record.addresses:
            living[EXPOSED] = self.exposure.record.addresses
        numbers = {holder: tuple(parse_interface(text)[0] for text in has) for holder, has in living.items()}
        self._driver.post(Reconciled(numbers))

    async def attach(self, request: AttachRequest, gateway: str = "", *, soon: bool = True) -> PortRecord:
        """Put an interface into a container.

        Args:
            request: what is wanted.
            gateway: address of the default route, if not as the request says.
            soon: begin with a filter and be promoted, so that nobody waits; False if others want to put queues there.

        Raises:
            RequestError: refused, and nothing was changed.
        """
        _check_ifname(request.ifname)
        guards = parse_guards(request.guard, request.guards, request.allowed)
        allowed = parse_allowed(request.allowed)
        inode = identify(request.netns)
        container = request.container or f"netns-{inode}"
        if len(container) > 128 or not container.isprintable() or "/" in container:
            raise RequestError(f"container id {container!r}: at most 128 printable characters, no slash")
        if container == ports.HOST:
            raise RequestError(f"container id {container} is this host's own; give another --id")
        name = ports.port_name(inode, request.ifname)
        with self._reservations.of(name):
            if name in self._ports:
                held = ", ".join(self._ports[name].addresses)
                raise ConflictError(
                    f"{request.ifname} of {request.netns} is attached already, with {held}; detach it first"
                )
            holder = ports.holder(container, request.ifname)
            if self.find(container, request.ifname) is not None:
                raise ConflictError(f"container id {container} is in use by another namespace; give another --id")
            names = naming.registrations(request.hostnames, self._config.dns_domain.removesuffix("."))
            gateway = gateway or (self.exposure.first() if request.gateway else "")
            addresses = await self._holders.take(holder, request.addresses, request.wait)
            await self._aftermath.is_gone(name)
            mac = request.mac or ports.port_mac(self._name, container, request.ifname)
            port = PortRecord(
                container, request.netns, inode, request.ifname, name, mac, addresses,
                guards=guards, allowed=allowed, network=request.network, mtu=request.mtu, names=names,
            )  # fmt: skip
            try:
                _ = port.guard  # refuse one that has too many addresses
                self._store.put([(port.key, ports.encode(port))])
                listening = await self._create(port, gateway, request.multicast_route, soon)
                await self._holders.use_names({Holder(holder): naming.bindings(container, addresses, names)})
            except BaseException as error:
                await self._forget(port)
                if isinstance(error, StoreError):
                    raise RequestError(str(error)) from None
                raise
            self._ports[name] = port
            if soon:
                self._aftermath.came(name)
            self._driver.post(PortsChanged(listening))
        # In the next turn, when the caller has been answered.
        asyncio.get_running_loop().call_soon(
            log.info, "attached %s of %s with %s", port.ifname, port.netns, ", ".join(port.addresses)
        )
        return port

    async def _create(self, port: PortRecord, gateway: str, multicast_route: bool, soon: bool) -> tuple[PortId, ...]:
        mtu = self.mtu
        listening = await self._kernel.run(lambda: self._host.create_port(port, mtu, gateway, multicast_route, soon))
        if self.mtu != mtu:  # it changed while the port was not yet among those to be told
            await self._kernel.run(lambda: self._host.set_mtu(self.mtu, (port,)))
        return listening

    @property
    def mtu(self) -> int:
        """What interfaces have now, in bytes."""
        return self._reconciler.mtu or self._driver.node.mesh.mtu

    def mtu_of(self, port: PortRecord) -> int:
        """What one interface has now, in bytes."""
        return min(self.mtu, port.mtu or self.mtu)

    def find(self, container: str, ifname: str) -> PortRecord | None:
        """Return one interface of a container, None if it is not attached."""
        wanted = ports.holder(container, ifname)
        return next((port for port in self._ports.values() if port.holder == wanted), None)

    async def remove(self, container: str, ifname: str) -> None:
        """Take an interface out of a container, whatever of it is left; nothing is fine."""
        port = self.find(container, ifname)
        if port is None:
            if (holder := ports.holder(container, ifname)) in self._holders.leaving:
                self._holders.release(holder)
            return
        with self._reservations.of(port.host_ifname):
            await self._forget(port)
        log.info("detached %s of %s, free again: %s", port.ifname, port.container, ", ".join(port.addresses))

    async def _forget(self, port: PortRecord, grace: float = 0.0) -> None:
        """Undo an attach or do a detach: the address comes last, so that it is never in two hands.

        Args:
            port: what to forget.
            grace: seconds until its addresses are free.
        """
        self._driver.post(NamesDropped(Holder(port.holder)))  # first, so that nobody is sent where nobody is any more
        listening = await self._kernel.run(lambda: self._host.unplug(port))
        self._aftermath.goes(port.host_ifname)
        self._ports.pop(port.host_ifname, None)
        with contextlib.suppress(StoreError):  # a record without a device is dropped at the next start
            joins = self._store.load(f"{ports.JOINS}{port.host_ifname}/")
            self._store.put([(key, None) for key in (port.key, *joins)])
        self._holders.release(port.holder, port.addresses, grace)
        self._driver.post(PortsChanged(listening))

    async def detach(self, request: DetachRequest) -> tuple[PortRecord, ...]:
        """Take interfaces out of a container.

        Raises:
            NotFoundError: nothing of ours is there.
        """
        found = await self._find(request)
        for port in found:
            with self._reservations.of(port.host_ifname):
                await self._forget(port)
                await self._aftermath.is_gone(port.host_ifname)
            log.info("detached %s of %s, free again: %s", port.ifname, port.netns, ", ".join(port.addresses))
        return found

    async def guard(self, request: GuardRequest) -> tuple[PortRecord, ...]:
        """Guard interfaces as a request says, from their next frame on.

        Raises:
            NotFoundError: nothing of ours is there.
            RequestError: refused, and the interface is guarded as before.
        """
        guards = parse_guards(request.guard, request.guards, request.allowed)
        allowed = parse_allowed(request.allowed)
        found = await self._find(request)
        changed = tuple(msgspec.structs.replace(port, guards=int(guards), allowed=allowed) for port in found)
        for wanted in changed:
            _ = wanted.guard  # refuse what has too many addresses before anything is changed
        for port, wanted in zip(found, changed, strict=True):
            with self._reservations.of(port.host_ifname):
                if self._ports.get(port.host_ifname) != port:
                    raise ConflictError(f"{port.ifname} of {port.netns} has changed meanwhile; try again")
                await self._guard(port, wanted)
            log.info("%s of %s is guarded: %s", port.ifname, port.netns, ", ".join(guard_names(guards)) or "no")
        return changed

    async def _guard(self, had: PortRecord, wanted: PortRecord) -> None:
        """Have a guard on disk and then in the kernel: a daemon that dies between the two does it at its start."""
        try:
            self._store.put([(wanted.key, ports.encode(wanted))])
        except StoreError as error:
            raise RequestError(str(error)) from None
        self._ports[wanted.host_ifname] = wanted  # before the kernel has it: a caller that leaves does not stop that
        try:
            listening = await self._kernel.run(lambda: self._host.guard_port(wanted))
        except RipstopError:
            self._ports[had.host_ifname] = had
            with contextlib.suppress(RipstopError):
                await self._kernel.run(lambda: self._host.guard_port(had))
            with contextlib.suppress(StoreError):
                self._store.put([(had.key, ports.encode(had))])
            raise
        self._driver.post(PortsChanged(listening))

    async def stopped(self) -> dict[str, dict[str, int]]:
        """Return how many frames guards stopped, by port and reason."""
        return await self._kernel.run(self._host.stopped)

    async def _find(self, request: DetachRequest | GuardRequest) -> tuple[PortRecord, ...]:
        """Return the interfaces that a request is about: at least one."""
        if bool(request.netns) == bool(request.container):
            raise RequestError("say which: a namespace or a container id")
        inode = await self._inode(request.netns) if request.netns else 0
        found = tuple(
            port
            for port in self.ports
            if (port.inode == inode or port.netns == request.netns or port.container == request.container)
            and request.ifname in ("", port.ifname)
        )
        if not found:
            raise NotFoundError(
                f"{request.netns or request.container} is not attached here; `ripstop ps` lists what is"
            )
        return found

    async def _inode(self, path: str) -> int:
        try:
            return identify(path)
        except NotFoundError:
            return 0  # a namespace that is gone may still be known by its path

    async def drop_gone(self, names: tuple[str, ...]) -> None:
        """Forget ports whose container went away by itself."""
        for name in names:
            port = self._ports.get(name)
            if port is not None and name not in self._reservations:
                grace, addresses = self._config.grace, ", ".join(port.addresses)
                log.info("%s of %s is gone, free again in %g s: %s", port.ifname, port.netns, grace, addresses)
                await self._forget(port, grace)

    @contextlib.contextmanager
    def renaming(self, port: PortRecord, names: tuple[Registration, ...]) -> Iterator[Renaming]:
        """Yield what gives an interface these names and no others; at the end of the block it has them.

        Raises:
            ConflictError: somebody else is changing it.
        """
        with self._reservations.of(port.host_ifname):
            if self._ports.get(port.host_ifname) != port:
                raise ConflictError(f"{port.ifname} of {port.container} has changed meanwhile; try again")
            renamed = msgspec.structs.replace(port, names=names)
            before, after = (naming.bindings(one.container, one.addresses, one.names) for one in (port, renamed))
            yield Renaming(Holder(port.holder), before, after, (port.key, ports.encode(renamed)))
            self._ports[port.host_ifname] = renamed

    async def forget_all(self) -> None:
        """Drop the records of everything attached; the devices themselves go with the host."""
        with contextlib.suppress(StoreError):
            self._store.put([*((port.key, None) for port in self.ports), (EXPOSE_KEY, None)])
        self._ports.clear()


def _check_ifname(name: str) -> None:
    """Refuse what the kernel would refuse, in words (dev_valid_name, net/core/dev.c)."""
    if (
        not 1 <= len(name) <= 15
        or name in (".", "..")
        or any(c in "/:" or c.isspace() or not c.isascii() for c in name)
    ):
        raise RequestError(f"interface name {name!r}: 1 to 15 characters, no slash, colon or blank")
