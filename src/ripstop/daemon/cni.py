"""Serves the network plugin of container runtimes: each command as the specification has it, over attach and detach.

Requests about one interface of one container come one after the other, so a DEL that overtakes nothing finds what the
ADD before it made, however that ended.  An ADD whose caller has gone meanwhile is undone: nobody knows of it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Interface

from ripstop.api.types import AttachRequest
from ripstop.core.address import Range
from ripstop.core.errors import (
    ConflictError,
    ExhaustedError,
    KernelError,
    NotFoundError,
    NotReadyError,
    RequestError,
    RipstopError,
)
from ripstop.core.events import PrimeRequested
from ripstop.daemon import ports
from ripstop.daemon.config import Config
from ripstop.daemon.containers import Containers
from ripstop.daemon.driver import Driver, StorageError
from ripstop.daemon.guards import and_multicast
from ripstop.daemon.host import Host
from ripstop.daemon.kernel import KernelThread
from ripstop.daemon.membership import Membership
from ripstop.kernel.shaping import Limit
from ripstop.store.sqlite import StoreError
from ripstop.wire import cni_result
from ripstop.wire.cni import CniError, Code, Request, decode, refusal, version_of

log = logging.getLogger("ripstop.cni")
WAIT = 10.0  # seconds for an address
PRIME_WAIT = 2.0  # seconds for the range to be divided, when asked whether ADD would work


@dataclass(slots=True)
class _Turn:
    """Whose turn it is at one interface of one container."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0  # who has it, and who waits for it


class Cni:
    """Answers the plugin."""

    def __init__(
        self, config: Config, driver: Driver, containers: Containers, kernel: KernelThread, host: Host,
        membership: Membership,
    ) -> None:  # fmt: skip
        self._config, self._driver, self._containers, self._membership = config, driver, containers, membership
        self._kernel, self._host = kernel, host
        self._queue = config.run_dir / "cni"  # what was asked while we were away
        self._turns: dict[tuple[str, str], _Turn] = {}

    async def serve(self, body: bytes, is_heard: Callable[[], bool]) -> tuple[bool, bytes]:
        """Do what the plugin was called for; return whether it was done, and what it is to print.

        Args:
            body: what the plugin was given.
            is_heard: tells whether the plugin still waits for the answer.
        """
        try:
            return True, await self._serve(decode(body), is_heard)
        except CniError as error:
            return False, refusal(version_of(body), error)
        except RipstopError as error:
            if not isinstance(error, RequestError):
                log.error("%s", error)
            return False, refusal(version_of(body), CniError(_code(error), str(error)))

    async def catch_up(self) -> None:
        """Do the DELs that nobody heard while there was no daemon; they were promised."""
        for path in sorted(self._queue.glob("[!.]*")):
            try:
                request = decode(path.read_bytes())
            except FileNotFoundError:
                continue  # the plugin has found us after all
            except (CniError, OSError) as error:
                log.error("%s is no request: %s", path, error)
                path.unlink(missing_ok=True)
                continue
            async with self._alone(request.container, request.ifname):
                if not path.exists():
                    continue  # it was done meanwhile, and the same container may be back
                try:
                    await self._containers.remove(request.container, request.ifname)
                except RipstopError as error:
                    log.error("%s of %s stays until the next start: %s", request.ifname, request.container, error)
                else:
                    path.unlink(missing_ok=True)

    async def _serve(self, request: Request, is_heard: Callable[[], bool]) -> bytes:
        match request.command:
            case "ADD":
                async with self._alone(request.container, request.ifname):
                    return await self._add(request, is_heard)
            case "DEL":
                async with self._alone(request.container, request.ifname):
                    await self._containers.remove(request.container, request.ifname)
            case "CHECK":
                await self._check(request)
            case "GC":
                await self._collect(request)
            case _:
                await self._status()
        return b""

    @contextlib.asynccontextmanager
    async def _alone(self, container: str, ifname: str) -> AsyncIterator[None]:
        """Wait until nobody else works on the same interface of the same container."""
        key = container, ifname
        turn = self._turns.setdefault(key, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[key]

    async def _add(self, request: Request, is_heard: Callable[[], bool]) -> bytes:
        config = request.config
        if config.mtu > self._containers.mtu:
            raise CniError(Code.CONFIG, f"mtu {config.mtu} is more than the overlay carries, {self._containers.mtu}")
        addresses = request.addresses(str(self._config.subnet))
        gateway = await self._gateway(addresses[0]) if config.default_route else ""
        attach = AttachRequest(
            netns=request.netns,
            ifname=request.ifname,
            addresses=addresses,
            multicast_route=config.multicast_route,
            container=request.container,
            wait=WAIT,
            hostnames=request.hostnames,
            network=config.name,
            mac=request.mac,
            mtu=config.mtu,
            guard=request.guard or not config.multicast,
            guards=request.guards if config.multicast else and_multicast(request.guard, request.guards),
        )
        limits = config.runtime_config.bandwidth
        # A plugin for limits may come after us, and what it makes finds no room beside a filter.
        port = await self._containers.attach(attach, gateway, soon=not limits.is_set)
        try:
            if limits.is_set:
                sent = Limit(limits.egress_rate, limits.egress_burst)
                received = Limit(limits.ingress_rate, limits.ingress_burst)
                await self._kernel.run(lambda: self._host.limit_port(port, sent, received))
            if not is_heard():
                raise CniError(Code.LATER, "the caller went away before it was told")
        except (CniError, RipstopError):
            await self._containers.remove(request.container, request.ifname)
            raise
        made = cni_result.Made(
            port.host_ifname,
            ports.host_mac(port.host_ifname),
            port.mac,
            self._containers.mtu_of(port),
            port.addresses,
            gateway,
            config.multicast_route,
        )
        return cni_result.render(request, made)

    async def _gateway(self, wanted: str) -> str:
        """Return this host's address where the container's will be; the host takes one if it has none there.

        Raises:
            RequestError: it cannot have one.
        """
        if wanted.startswith("net:"):
            name = wanted.removeprefix("net:")
            subnet = self._config.subnet if name == "default" else Range.parse(name)
        else:
            subnet = Range.parse(str(IPv4Interface(wanted).network))
        exposure = self._containers.exposure
        was_exposed = bool(exposure.record.addresses)
        try:
            found = await exposure.gateway(subnet, WAIT)
        except ConflictError as error:
            raise CniError(Code.LATER, f"this host is given an address right now: {error}") from None
        if not was_exposed:
            await self._membership.rejoin()
        return found

    async def _check(self, request: Request) -> None:
        expected = cni_result.expected(request)
        port = self._containers.find(request.container, request.ifname)
        if port is None:
            raise CniError(Code.CONTAINER, f"{request.ifname} of {request.container} is not attached")
        if missing := [address for address in expected.addresses if address not in port.addresses]:
            raise CniError(Code.CHANGED, f"{', '.join(missing)}: not what {request.container} was given")
        problem = await self._kernel.run(lambda: self._host.inspect(port, request.netns, expected.mac))
        if problem:
            raise CniError(Code.CHANGED, problem)

    async def _collect(self, request: Request) -> None:
        """Remove what a network has and should not have; go on when something cannot be removed."""
        valid, failures = request.valid(), []
        for port in self._containers.ports:
            if port.network != request.config.name or (port.container, port.ifname) in valid:
                continue
            try:
                async with self._alone(port.container, port.ifname):
                    if self._containers.find(port.container, port.ifname) == port:  # nobody was quicker
                        await self._containers.remove(port.container, port.ifname)
            except RipstopError as error:
                failures.append(f"{port.container} {port.ifname}: {error}")
        if failures:
            raise CniError(Code.HOST, "; ".join(failures))

    async def _status(self) -> None:
        """Find out whether ADD would work: whether there are addresses to give."""
        try:
            await self._driver.ask(lambda number: PrimeRequested(number, PRIME_WAIT))
        except RequestError as error:
            unreachable = any(peer.state == "unreachable" for peer in self._driver.node.mesh.peers())
            raise CniError(Code.LIMITED if unreachable else Code.UNAVAILABLE, str(error)) from None


def _code(error: RipstopError) -> Code:
    """Return the number by which the specification knows an error of ours."""
    match error:
        case NotReadyError() | ExhaustedError():
            return Code.LATER
        case ConflictError():
            return Code.TAKEN
        case NotFoundError():
            return Code.CONTAINER
        case StorageError() | StoreError() | KernelError():
            return Code.HOST
        case RequestError():
            return Code.CONFIG
        case _:
            return Code.HOST
