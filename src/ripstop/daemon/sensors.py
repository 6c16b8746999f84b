"""What the kernel tells us unasked: devices that change, probes that come in."""

import asyncio
import contextlib
import logging
import socket

from ripstop.core.errors import ProtocolError
from ripstop.core.events import Probed, Snooped, UnderlayChanged
from ripstop.core.names import SourceIp, UnderlayIp
from ripstop.daemon.containers import Containers
from ripstop.daemon.driver import Driver
from ripstop.daemon.host import Host
from ripstop.daemon.kernel import KernelThread
from ripstop.kernel.watch import Change, Watch
from ripstop.wire import probe, snoop

log = logging.getLogger("ripstop.multicast")

SWEEP_INTERVAL = 30.0  # seconds between sweeps of the forwarding database
_RESCAN_DELAY = 0.02  # seconds: one command changes several things
_REST = 5.0  # times as long as the last look took, until the next
_LONGEST_REST = 1.0  # seconds


def source_address(remote: UnderlayIp) -> UnderlayIp | None:
    """Return the address the kernel would send from to `remote`, or None without a route to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ask:
        try:
            ask.connect((remote, 9))  # sends nothing
        except OSError:
            return None
        return UnderlayIp(ask.getsockname()[0])


class Sensors:
    """Turns the kernel's notifications into events."""

    def __init__(self, kernel: KernelThread, host: Host, driver: Driver, containers: Containers) -> None:
        self._kernel, self._host, self._driver, self._containers = kernel, host, driver, containers
        self._changed = asyncio.Event()
        self._news = Change.NOTHING  # since the last look
        self._last: UnderlayChanged | None = None
        self._listening: asyncio.TimerHandle | None = None
        self.bad_probes = 0

    async def start(self) -> None:
        """Begin to watch; the node learns its addresses before anything else."""
        loop = asyncio.get_running_loop()
        self._watch = Watch()
        await self._rescan()
        self._listen()
        loop.add_reader(self._host.datapath.upcall_fd(), self._read_upcalls)
        loop.add_reader(self._host.datapath.groups.snoop_fd(), self._read_snoops)

    def stop(self) -> None:
        """Watch no more."""
        loop = asyncio.get_running_loop()
        if self._listening is not None:
            self._listening.cancel()
        loop.remove_reader(self._watch.fileno())
        loop.remove_reader(self._host.datapath.upcall_fd())
        loop.remove_reader(self._host.datapath.groups.snoop_fd())
        self._watch.close()

    async def run(self) -> None:
        """Rescan whenever something changed, sweep now and then; until cancelled."""
        loop = asyncio.get_running_loop()
        sweep_at = loop.time() + SWEEP_INTERVAL
        look_at = 0.0  # not earlier: others' devices may come and go without end
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(sweep_at):
                    await self._changed.wait()
            if self._changed.is_set():
                await asyncio.sleep(max(_RESCAN_DELAY, look_at - loop.time()))
                self._changed.clear()
                begin = loop.time()
                news, self._news = self._news, Change.NOTHING
                if Change.DEVICES in news:
                    await self._rescan()
                else:
                    await self._containers.drop_gone(await self._kernel.run(self._host.gone))
                look_at = loop.time() + min(_LONGEST_REST, _REST * (loop.time() - begin))
            if loop.time() >= sweep_at:
                await self._kernel.run(self._host.sweep)
                self._containers.reconcile()
                sweep_at = loop.time() + SWEEP_INTERVAL

    def _notice(self) -> None:
        """Read what has changed, and then nothing for a moment: making one container's port is told in ten pieces."""
        self._news |= self._watch.drain()
        if self._news:
            self._changed.set()
        loop = asyncio.get_running_loop()
        if self._listening is not None:
            self._listening.cancel()
        loop.remove_reader(self._watch.fileno())
        self._listening = loop.call_later(_RESCAN_DELAY, self._listen)

    def _listen(self) -> None:
        asyncio.get_running_loop().add_reader(self._watch.fileno(), self._notice)

    async def _rescan(self) -> None:
        scan = await self._kernel.run(self._host.rescan)
        event = UnderlayChanged(scan.addresses, scan.mtu)
        if event != self._last:
            self._last = event
            self._driver.post(event)
        await self._containers.drop_gone(scan.gone)

    def _read_upcalls(self) -> None:
        for upcall in self._host.datapath.read_upcalls():
            try:
                content = probe.decode(upcall.frame)
            except ProtocolError:
                self.bad_probes += 1
                continue
            self._driver.post(Probed(upcall.remote, upcall.local, content))

    def _read_snoops(self) -> None:
        for snooped in self._host.datapath.groups.read_snoops():
            try:
                sender, message = snoop.decode(snooped.frame)
            except ProtocolError as error:
                log.debug("port %d: %s", snooped.port, error)
                self._driver.post(Snooped(snooped.port, SourceIp(b""), None))
                continue
            if message is not None:
                self._driver.post(Snooped(snooped.port, sender, message))
