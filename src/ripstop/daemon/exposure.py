"""The host's own place on the overlay: its addresses there, by which it reaches containers and is their gateway."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

import msgspec

from ripstop.api.types import ExposeRequest
from ripstop.core.address import Range
from ripstop.core.dns.messages import Binding
from ripstop.core.errors import RequestError, RipstopError
from ripstop.core.events import NamesDropped, PortsChanged
from ripstop.core.names import ContainerId, Holder
from ripstop.daemon import naming
from ripstop.daemon.config import Config
from ripstop.daemon.driver import Driver
from ripstop.daemon.holders import Holders, Renaming
from ripstop.daemon.host import Host
from ripstop.daemon.kernel import KernelThread
from ripstop.daemon.naming import Registration
from ripstop.daemon.ports import HOST
from ripstop.daemon.reservations import Reservations
from ripstop.store.sqlite import Store, StoreError

EXPOSED = ContainerId("host/ripstop0")  # who holds the host's own overlay addresses
EXPOSE_KEY = "host/expose"  # in the store


class ExposeRecord(msgspec.Struct, frozen=True):
    """The host's own addresses, as kept on disk."""

    addresses: tuple[str, ...] = ()
    masquerade: bool = True
    names: tuple[Registration, ...] = ()

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """Each name with each address."""
        return naming.bindings(HOST, self.addresses, self.names)


class Exposure:
    """Gives the host addresses, and takes them away."""

    def __init__(
        self, config: Config, store: Store, driver: Driver, kernel: KernelThread, host: Host, holders: Holders,
        reservations: Reservations, listen: Callable[[tuple[str, ...]], None],
    ) -> None:  # fmt: skip
        """Begin with none; `listen` is told which there are, as they change."""
        self._config, self._store, self._driver, self._kernel, self._host = config, store, driver, kernel, host
        self._holders, self._reservations, self._listen = holders, reservations, listen
        self._gateways = asyncio.Lock()  # held while one is found or made
        self.record = ExposeRecord()

    async def adopt(self) -> None:
        """Be what is on disk after a start."""
        if EXPOSE_KEY in (found := self._store.load(EXPOSE_KEY)):
            self.record = msgspec.msgpack.decode(found[EXPOSE_KEY], type=ExposeRecord)
        if self.record.addresses:
            await self._show(self.record)
        self._listen(self.record.addresses)

    async def expose(self, request: ExposeRequest) -> ExposeRecord:
        """Give the host addresses on the overlay; asked again without any, the ones it has are the answer.

        Raises:
            RequestError: refused, and nothing was changed.
        """
        with self._reservations.of(EXPOSED):
            if self.record.addresses and not request.addresses:
                addresses = self.record.addresses
            else:
                wanted = tuple(text for text in request.addresses if text not in self.record.addresses)
                new = await self._holders.take(EXPOSED, wanted or request.addresses, request.wait)
                addresses = tuple(dict.fromkeys(self.record.addresses + new))
            record = ExposeRecord(addresses, request.masquerade, self.record.names)
            try:
                self._store.put([(EXPOSE_KEY, msgspec.msgpack.encode(record))])
                if not record.masquerade:
                    await self._kernel.run(lambda: self._host.hide(()))
                await self._show(record)
                await self._holders.use_names({Holder(EXPOSED): record.bindings})
            except RipstopError as error:
                await self._hide(addresses)
                raise RequestError(str(error)) from None
            self.record = record
            self._listen(addresses)
            await self._tell_ports()
        return record

    async def hide(self) -> tuple[str, ...]:
        """Take the host's overlay addresses away, and return them; none is fine."""
        with self._reservations.of(EXPOSED):
            addresses = self.record.addresses
            await self._hide(addresses)
        return addresses

    async def gateway(self, subnet: Range, wait: float) -> str:
        """Return an address of this host in `subnet`, taking one if there is none yet.

        Raises:
            RequestError: none can be had.
        """
        async with self._gateways:
            if not (found := self._within(subnet)):
                await self.expose(ExposeRequest((f"net:{subnet}",), self.record.masquerade, wait))
                found = self._within(subnet)
        return found

    def first(self) -> str:
        """Return the address that is a container's gateway if it does not say in which subnet.

        Raises:
            RequestError: there is none.
        """
        if not self.record.addresses:
            raise RequestError("no gateway: the host has no overlay address; run `ripstop expose` first")
        return self.record.addresses[0].partition("/")[0]

    @contextlib.contextmanager
    def renaming(self, names: tuple[Registration, ...]) -> Iterator[Renaming]:
        """Yield what gives the host's own interface these names and no others; at the end of the block it has them.

        Raises:
            ConflictError: somebody else is changing it.
        """
        with self._reservations.of(EXPOSED):
            record = msgspec.structs.replace(self.record, names=names)
            item = EXPOSE_KEY, msgspec.msgpack.encode(record)
            yield Renaming(Holder(EXPOSED), self.record.bindings, record.bindings, item)
            self.record = record

    def _within(self, subnet: Range) -> str:
        addresses = (address.partition("/")[0] for address in self.record.addresses)
        return next((address for address in addresses if int(IPv4Address(address)) in subnet), "")

    async def _show(self, record: ExposeRecord) -> None:
        await self._kernel.run(lambda: self._host.expose(record.addresses, self._config.universe, record.masquerade))

    async def _hide(self, addresses: tuple[str, ...]) -> None:
        self._driver.post(NamesDropped(Holder(EXPOSED)))
        self._listen(())
        await self._kernel.run(lambda: self._host.hide(addresses))
        self.record = ExposeRecord()
        with contextlib.suppress(StoreError):
            self._store.put([(EXPOSE_KEY, None)])
        self._holders.release(EXPOSED)
        await self._tell_ports()

    async def _tell_ports(self) -> None:
        """Have the node know whether the host has a port of its own."""
        self._driver.post(PortsChanged(await self._kernel.run(self._host.group_ports)))
