"""What interfaces hold by the node's leave: addresses, which are asked for and given back, and names."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from ripstop.core.address import Range, format_address, parse_interface
from ripstop.core.dns.messages import Binding
from ripstop.core.errors import RequestError, RipstopError
from ripstop.core.events import AllocateRequested, ClaimRequested, NamesRequested, ReleaseRequested
from ripstop.core.names import ContainerId, Holder
from ripstop.daemon.config import Config
from ripstop.daemon.driver import Driver
from ripstop.store.sqlite import Store

MAX_WAIT = 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Renaming:
    """What is to become of the names of one holder."""

    holder: Holder
    before: tuple[Binding, ...]
    after: tuple[Binding, ...]
    item: tuple[str, bytes | None]  # its record on disk afterwards


class Holders:
    """Asks the node on behalf of interfaces, and keeps what those that vanished had, for a while."""

    def __init__(self, config: Config, store: Store, driver: Driver) -> None:
        self._config, self._store, self._driver = config, store, driver
        self._leaving: dict[ContainerId, tuple[tuple[str, ...], asyncio.TimerHandle]] = {}

    @property
    def leaving(self) -> dict[ContainerId, tuple[str, ...]]:
        """Who has vanished lately, and the addresses that are still kept for it."""
        return {holder: addresses for holder, (addresses, _) in self._leaving.items()}

    async def take(self, holder: ContainerId, wanted: tuple[str, ...], wait: float) -> tuple[str, ...]:
        """Allocate or claim every address asked for; none is kept if one fails.

        Args:
            holder: for whom; what was kept for it is its own again.
            wanted: ADDRESS/LEN, `net:SUBNET` or `net:default`; empty for that last.
            wait: seconds until an allocation fails with its reason.

        Raises:
            RequestError: one of them cannot be had.
        """
        self.come_back(holder)
        check_wait(wait)
        if len(set(wanted)) != len(wanted):
            raise RequestError("an address is asked for twice")
        taken: list[str] = []
        try:
            for text in wanted or ("net:default",):  # one after the other: a failure must know what to undo
                found = await self._take_one(holder, text, wait)
                if any(found.partition("/")[0] == known.partition("/")[0] for known in taken):
                    raise RequestError(f"{text} overlaps what else is asked for: {found} would be there twice")
                taken.append(found)
        except BaseException:
            if taken:
                self._driver.post(ReleaseRequested(holder))
            raise
        return tuple(taken)

    async def _take_one(self, holder: ContainerId, text: str, wait: float) -> str:
        if text.startswith("net:"):
            name = text.removeprefix("net:")
            subnet = self._config.subnet if name == "default" else Range.parse(name)
            if not self._config.universe.covers(subnet):
                raise RequestError(f"subnet {subnet} is not within the range {self._config.range}")
            found = await self._driver.ask(lambda request: AllocateRequested(request, holder, subnet, wait))
            return f"{format_address(found)}/{33 - len(subnet).bit_length()}"
        number, length = parse_interface(text)
        address = IPv4Address(number)
        if address.is_multicast or address.is_loopback or address.is_unspecified or address.is_reserved:
            raise RequestError(f"address {text} cannot be that of an interface")
        await self._driver.ask(lambda request: ClaimRequested(request, holder, number, wait))
        return f"{address}/{length}"

    def come_back(self, holder: ContainerId) -> None:
        """Let who was gone for a moment have its addresses again."""
        if holder in self._leaving:
            self._leaving.pop(holder)[1].cancel()

    def release(self, holder: ContainerId, addresses: tuple[str, ...] = (), grace: float = 0.0) -> None:
        """Give back what somebody held.

        Args:
            holder: who.
            addresses: what it held.
            grace: seconds until they are free.
        """
        self.come_back(holder)
        if grace > 0:
            timer = asyncio.get_running_loop().call_later(grace, self.release, holder)
            self._leaving[holder] = addresses, timer
        else:
            self._driver.post(ReleaseRequested(holder))

    async def use_names(self, holders: Mapping[Holder, tuple[Binding, ...]]) -> None:
        """Have the node know these names of some, and no others.

        Raises:
            RequestError: refused, and nothing was changed.
        """
        if any(bindings or self._driver.node.dns.bindings(holder) for holder, bindings in holders.items()):
            await self._driver.ask(lambda request: NamesRequested(request, holders))

    async def rename(self, renamings: Sequence[Renaming]) -> None:
        """Have the node know other names of some, and their records on disk say so: all of them, or none.

        Raises:
            RequestError: refused, and nothing was changed.
        """
        try:
            await self.use_names({one.holder: one.after for one in renamings})
            self._store.put([one.item for one in renamings])
        except RipstopError as error:
            with contextlib.suppress(RequestError):  # by a disk that is full: the node has done it all the same
                await self.use_names({one.holder: one.before for one in renamings})
            raise error if isinstance(error, RequestError) else RequestError(f"{error}; nothing was changed") from None

    def close(self) -> None:
        """Release nothing any more."""
        for _, timer in self._leaving.values():
            timer.cancel()
        self._leaving.clear()


def check_wait(wait: float) -> None:
    """Refuse to wait for ever, or not at all."""
    if not 0 < wait <= MAX_WAIT:
        raise RequestError(f"wait {wait} is not within 0..{MAX_WAIT:g} seconds")
