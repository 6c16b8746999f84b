"""Names as people give, take and see them; those of containers are kept with their interfaces, the others here."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from ipaddress import ip_address

import msgspec

from ripstop.api import types
from ripstop.core.dns.dns import NameView
from ripstop.core.dns.messages import Binding
from ripstop.core.errors import NotFoundError, RequestError, StartError
from ripstop.core.events import NamesRestored
from ripstop.core.names import Holder
from ripstop.daemon import naming
from ripstop.daemon.config import Config
from ripstop.daemon.containers import Containers
from ripstop.daemon.driver import Driver
from ripstop.daemon.holders import Holders, Renaming
from ripstop.daemon.nameserver import NameServer, NameServerStatus
from ripstop.daemon.naming import Registration
from ripstop.daemon.ports import HOST
from ripstop.store.sqlite import Store

log = logging.getLogger("ripstop.dns")
_PREFIX = "dns/address/"  # + address in hex: the registrations of a bare address
Change = Callable[[tuple[Registration, ...]], tuple[Registration, ...]]  # from the names of something to others
_REGISTRATIONS = msgspec.msgpack.Decoder(tuple[Registration, ...])
_BREATH = 1000  # names looked at until others have their turn


class Names:
    """Everything that has a name on this host, and what other hosts say."""

    def __init__(
        self, config: Config, store: Store, driver: Driver, holders: Holders, containers: Containers,
        server: NameServer | None,
    ) -> None:  # fmt: skip
        self._store, self._driver, self._holders, self._containers = store, driver, holders, containers
        self._server = server  # None: this host answers nobody
        self._domain = config.dns_domain.removesuffix(".")
        self._mesh, self._dns = driver.node.mesh, driver.node.dns
        self._changing = asyncio.Lock()  # one order after the other: each begins with what the one before left
        self._addresses: dict[bytes, tuple[Registration, ...]] = {}

    def restore(self) -> None:
        """Have the node know all names of this host after a start."""
        holders = self._containers.bindings()
        for key, value in self._store.load(_PREFIX).items():
            address = bytes.fromhex(key.removeprefix(_PREFIX))
            self._addresses[address] = _decode(key, value)
            holders[_holder(address)] = _bindings(address, self._addresses[address])
        self._driver.post(NamesRestored(holders))

    async def add(self, request: types.NameRequest) -> list[types.Name]:
        """Give a name to a container, an address or this host itself, in place of the same name that it has.

        Raises:
            RequestError: refused, and nothing was changed.
        """
        if request.container and request.address:
            raise RequestError("say which: a container or an address")
        name = naming.parse_name(request.name, self._domain)
        wanted = Registration(name, naming.parse_services(request.services))

        def change(names: tuple[Registration, ...]) -> tuple[Registration, ...]:
            return (*(one for one in names if one.key != wanted.key), wanted)

        async with self._changing:
            await self._change(request, change)
        log.info("%s is a name of %s", name, request.container or request.address or "this host")
        return self.find(wanted.key)

    async def _change(self, request: types.NameRequest, change: Change) -> None:
        if request.address:
            address = naming.parse_address(request.address)
            await self._rename([self._renaming(address, change(self._addresses.get(address, ())))])
        elif request.container in ("", HOST):
            if not self._containers.exposure.record.addresses:
                raise RequestError(
                    "this host has no overlay address; give it one with `ripstop expose`, or say what has the name:"
                    " a container or an address"
                )
            await self._rename([self._containers.exposure.renaming(change(self._containers.exposure.record.names))])
        else:
            found = [port for port in self._containers.ports if port.container == request.container]
            if not found:
                raise NotFoundError(f"container {request.container} is not attached here; `ripstop ps` lists what is")
            await self._rename([self._containers.renaming(port, change(port.names)) for port in found])

    async def remove(self, request: types.NameRequest) -> list[types.Name]:
        """Take a name from a container, an address or this host itself; from all of them if none is said.

        Raises:
            RequestError: refused, or it was none of their names.
        """
        if request.container and request.address:
            raise RequestError("say which: a container or an address")
        key = naming.parse_name(request.name, self._domain).lower()

        def change(names: tuple[Registration, ...]) -> tuple[Registration, ...]:
            return tuple(one for one in names if one.key != key)

        async with self._changing:
            removed = await self._take(request, change)
        if not removed:
            raise NotFoundError(self._absence(request.name, key, request.container or request.address))
        log.info("%s is a name of %s no more", key, request.container or request.address or "anything here")
        return self.find(key)

    async def _take(self, request: types.NameRequest, change: Change) -> bool:
        """Return whether there was anything to take away."""
        everywhere = not (request.container or request.address)
        found: list[AbstractContextManager[Renaming]] = []
        wanted = naming.parse_address(request.address) if request.address else b""
        for address, names in self._addresses.items():
            if (everywhere or address == wanted) and change(names) != names:
                found.append(self._renaming(address, change(names)))
        host = self._containers.exposure.record.names
        if (everywhere or request.container == HOST) and change(host) != host:
            found.append(self._containers.exposure.renaming(change(host)))
        found += [
            self._containers.renaming(port, change(port.names))
            for port in self._containers.ports
            if (everywhere or port.container == request.container) and change(port.names) != port.names
        ]
        if found:
            await self._rename(found)
        return bool(found)

    async def lookup(self, text: str) -> list[types.Name]:
        """Return all addresses of a name, or all names of an address.

        Raises:
            RequestError: it is neither, or there are none.
        """
        if naming.is_address(text):
            packed = ip_address(text).packed
            views = self._dns.at(packed)
        else:
            views = self._dns.of(naming.parse_name(text, self._domain).lower())
        if not views:
            raise NotFoundError(f"{text} is not known; `ripstop dns list` shows all names")
        return self._render(views)

    def find(self, key: str) -> list[types.Name]:
        """Return all addresses of a name in lower case."""
        return self._render(self._dns.of(key))

    async def all(self, limit: int | None = None) -> list[types.Name]:
        """Return all names, those of one another below each other; in between others have their turn."""
        found: list[types.Name] = []
        async for view in self._all():
            if limit is not None and len(found) >= limit:
                break
            found += self._render((view,))
        return found

    def status(self) -> types.DnsStatus:
        """Return how names are doing."""
        table = self._dns.table
        return types.DnsStatus(
            domain=self._domain,
            names=len(table),
            hosts=tuple([
                types.DnsHost(self._mesh.nickname(peer), peer, table.count(peer), self._dns.is_hidden(peer))
                for peer in self._dns.peers
            ]),
            server=_render(self._server.status()) if self._server else None,
        )  # fmt: skip

    def problems(self) -> tuple[str, ...]:
        """Return what keeps names from being answered here, one line each."""
        if self._server is None:
            return ()
        server = self._server.status()
        if not server.pid and server.problem:
            return (f"the name server died ({server.problem}); it is started again",)
        return tuple([
            f"names are not answered on {place.address} port {place.port}: {place.problem}"
            for place in server.listening
            if place.problem
        ])  # fmt: skip

    async def _rename(self, changes: Iterable[AbstractContextManager[Renaming]]) -> None:
        """Make all changes, or none."""
        with contextlib.ExitStack() as stack:
            await self._holders.rename([stack.enter_context(change) for change in changes])

    @contextlib.contextmanager
    def _renaming(self, address: bytes, names: tuple[Registration, ...]) -> Iterator[Renaming]:
        """Yield what gives an address these names and no others; at the end of the block it has them."""
        before, after = (_bindings(address, which) for which in (self._addresses.get(address, ()), names))
        yield Renaming(
            _holder(address), before, after, (_PREFIX + address.hex(), msgspec.msgpack.encode(names) if names else None)
        )
        self._addresses[address] = names
        if not names:
            del self._addresses[address]

    def _absence(self, text: str, key: str, whose: str) -> str:
        """Return why there is nothing to remove."""
        if whose:
            return f"{text} is no name of {whose} here; `ripstop dns lookup {text}` shows whose it is"
        hosts = dict.fromkeys(self._mesh.nickname(view.peer) for view in self._dns.of(key))
        if hosts:
            return f"{text} is a name on {', '.join(hosts)}, not here; remove it there"
        return f"{text} is no name here; `ripstop dns list` shows all names"

    async def _all(self) -> AsyncIterator[NameView]:
        for count, key in enumerate(sorted(self._dns.table.keys()), start=1):
            for view in self._dns.of(key):
                yield view
            if count % _BREATH == 0:
                await asyncio.sleep(0)

    def _render(self, views: Iterable[NameView]) -> list[types.Name]:
        return [
            types.Name(
                name=view.binding.name,
                host=self._mesh.nickname(view.peer),
                peer=view.peer,
                container=view.binding.container,
                address=naming.format_address(view.binding.address),
                services=tuple(map(naming.format_service, view.binding.services)),
                hidden=view.hidden,
            )
            for view in views
        ]


def _decode(key: str, value: bytes) -> tuple[Registration, ...]:
    try:
        return _REGISTRATIONS.decode(value)
    except msgspec.DecodeError as error:
        raise StartError(f"state entry {key} is damaged ({error}); start with another --state-dir") from None


def _render(server: NameServerStatus) -> types.DnsServer:
    now = time.time()
    return types.DnsServer(
        pid=server.pid or 0,
        restarts=server.restarts,
        problem=server.problem,
        listening=tuple([
            types.DnsListener(place.address, place.port, place.since and max(0.0, now - place.since), place.problem)
            for place in server.listening
        ]),
        names=server.names,
        upstreams=server.upstreams,
        counters=server.counters,
    )  # fmt: skip


def _holder(address: bytes) -> Holder:
    return Holder(f"address {address.hex()}")


def _bindings(address: bytes, names: Iterable[Registration]) -> tuple[Binding, ...]:
    return naming.bind("", (address,), names)
