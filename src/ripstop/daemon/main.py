"""The daemon: where everything meets.

Start-up goes from what can refuse without a trace (configuration, locks, ports) to what changes the machine, so that
a start that fails leaves nothing behind.  SIGTERM and SIGINT end the process alone: the kernel keeps forwarding and
the next start adopts it.  `ripstop down` takes everything away.
"""

import asyncio
import errno
import gc
import os
import signal
import socket
import sys
from random import SystemRandom

from ripstop.api import scrape, server
from ripstop.api.cni import PluginServer, listen
from ripstop.api.scrape import ScrapeServer
from ripstop.core.errors import RipstopError, StartError
from ripstop.core.events import FormerRows, LeaveRequested
from ripstop.core.ipam.allocator import parse_init
from ripstop.core.mesh.membership import Identity
from ripstop.core.mesh.mesh import Settings
from ripstop.core.names import UnderlayIp
from ripstop.core.node import Node, NodeConfig
from ripstop.daemon import identity, logs
from ripstop.daemon.aftermath import Aftermath
from ripstop.daemon.cni import Cni
from ripstop.daemon.config import DNS_PORT, Config
from ripstop.daemon.containers import Containers
from ripstop.daemon.controller import Controller
from ripstop.daemon.double import refuse_double
from ripstop.daemon.driver import Driver
from ripstop.daemon.exposure import Exposure
from ripstop.daemon.holders import Holders
from ripstop.daemon.host import Host
from ripstop.daemon.kernel import KernelThread
from ripstop.daemon.lock import Lock
from ripstop.daemon.membership import Membership
from ripstop.daemon.metrics.collector import Metrics
from ripstop.daemon.names import Names
from ripstop.daemon.nameserver import NameServer, NameServerConfig, dismiss
from ripstop.daemon.reconciler import Reconciler
from ripstop.daemon.reservations import Reservations
from ripstop.daemon.sensors import Sensors, source_address
from ripstop.daemon.shell import Shell
from ripstop.kernel.link import HOST_INTERFACE
from ripstop.kernel.watch import FrameSocket, PortSocket
from ripstop.store.sqlite import Store
from ripstop.store.witness import Witness
from ripstop.transport.control import ControlTransport
from ripstop.wire.cni import breakdown

GOODBYE_TIME = 0.3  # seconds for the goodbye to leave before connections close
# Seconds that a busy thread keeps the interpreter.  The kernel thread gives it up at every call to the kernel, dozens
# of times for a port; while many containers come at once, it would wait so long each time to have it back.
SWITCH_INTERVAL = 0.0002


def run(config: Config) -> int:
    """Run a daemon in the foreground until it is told to stop; return the exit code.

    What cannot start says why on one line of standard error.
    """
    try:
        config.check()
        if os.geteuid() != 0:
            raise StartError("the daemon must run as root: it makes devices and loads eBPF programs")
        sys.setswitchinterval(SWITCH_INTERVAL)
        recent = logs.start(config.log_level)
        lock = Lock(config.run_dir)
        try:
            asyncio.run(_Daemon(config, recent).run())
        except ExceptionGroup as group:
            raise _expected(group) from None
        finally:
            lock.release()
    except RipstopError as error:
        print(f"ripstop: {error}", file=sys.stderr)
        return 1
    return 0


def _expected(group: ExceptionGroup[Exception]) -> Exception:
    """Return the error of ours in what the tasks raised, if nothing else is in it; a bug keeps its traceback."""
    while len(group.exceptions) == 1:
        (error,) = group.exceptions
        if not isinstance(error, ExceptionGroup):
            return error if isinstance(error, RipstopError) else group
        group = error
    return group


class _Daemon:
    """One run of the daemon, from start to stop."""

    def __init__(self, config: Config, recent: logs.Recent) -> None:
        self._config, self._recent = config, recent
        self._kernel = KernelThread()
        self._stop = asyncio.Event()
        self._take_down = self._forget = False

    async def run(self) -> None:
        """Start, serve, stop."""
        config = self._config
        witness = Witness(config.run_dir / "witness", config.state_dir)
        store, disk = identity.open_store(config.state_dir, witness)
        try:
            name, incarnation = identity.load(store, config.name)
            identity.check_range(store, str(config.universe))
            saved = store.load("")
            await refuse_double(name, saved)
            nickname = config.nickname or socket.gethostname()
            advertise = tuple(UnderlayIp(address) for address in config.advertise)
            settings = Settings(
                port=config.port,
                targets=config.targets,
                no_discovery=config.no_discovery,
                advertise=advertise,
                mtu=config.mtu,
            )
            init = parse_init(config.init, len(config.targets))
            multicast = config.multicast_settings
            who = Identity(name, incarnation, nickname)
            node_config = NodeConfig(who, settings, config.universe, init, disk, multicast)
            clock = asyncio.get_running_loop().time
            node = Node(node_config, saved, clock(), SystemRandom())
            host = await self._kernel.run(
                lambda: Host(
                    name,
                    config.vxlan_port,
                    advertise,
                    config.universe,
                    snoops=multicast.snoops,
                    floods_unknown=multicast.floods_unknown,
                )
            )
            try:
                await self._serve(store, host, node)
            finally:
                await self._kernel.run(host.close)
        finally:
            self._kernel.close()
            store.close()
            witness.close()
            if self._forget:
                identity.forget(config.state_dir)

    async def _serve(self, store: Store, host: Host, node: Node) -> None:
        config, loop = self._config, asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            control = ControlTransport(config.port, lambda event: driver.post(event), tasks)
            await _listen(control)
            scrapes = _listen_for_scrapes(config)
            await self._kernel.run(host.build)
            frames = FrameSocket(HOST_INTERFACE)
            ports = PortSocket()
            reconciler = Reconciler(
                self._kernel, host.apply, host.distribute, lambda mtu: host.set_mtu(mtu, containers.ports)
            )
            name_server = None if config.no_dns else NameServer(NameServerConfig.of(config))
            if name_server is None:
                dismiss(config.run_dir)
            shell = Shell(store, control, frames, reconciler, source_address, ports, host.mac, name_server)
            driver = Driver(node, shell)
            aftermath = Aftermath(host.delete_ports, host.promote_port)
            reservations, holders = Reservations(), Holders(config, store, driver)
            exposure = Exposure(config, store, driver, self._kernel, host, holders, reservations,
                lambda exposed: name_server.listen(_places(config, exposed)) if name_server else None,
            )  # fmt: skip
            containers = Containers(config, node.mesh.name, store, driver, self._kernel, host, reconciler, aftermath,
                holders, exposure, reservations,
            )  # fmt: skip
            sensors = Sensors(self._kernel, host, driver, containers)
            await sensors.start()
            former = await self._kernel.run(host.former_deliveries)
            await containers.adopt()  # before anybody is talked to: our word to others says what containers here hold
            names = Names(config, store, driver, holders, containers, name_server)
            names.restore()
            works = (driver.run(), reconciler.run(), sensors.run(), aftermath.run())
            running = [tasks.create_task(work) for work in works]
            await driver.done(FormerRows(former))  # and all before it: whoever asks for the status finds us in it
            membership = Membership(config, store, driver, self._kernel, host, containers)
            await membership.rejoin()
            await control.serve()
            controller = Controller(
                config, node, driver, containers, reconciler, shell, control, host, self._recent, membership, names,
                self._go_down,
            )  # fmt: skip
            metrics = Metrics(node, self._kernel, host, containers, controller, membership, shell, control, sensors)
            cni = Cni(config, driver, containers, self._kernel, host, membership)
            await cni.catch_up()
            app = server.application(controller.handlers(), metrics.text)
            gc.freeze()  # what is there now stays; to look through it for garbage stops everything for 40 ms
            listener = listen(config.plugin_socket)  # first: who finds the other one may have the plugin called
            runner = await server.serve(app, config.socket)
            plugins = tasks.create_task(PluginServer(listener, cni.serve, breakdown).run())
            if name_server:  # only now: a start of its own; after a restart the former one answers on meanwhile
                running.append(tasks.create_task(name_server.run()))
            await cni.catch_up()  # what a plugin kept before it could see that we are back
            if scrapes is not None:
                running.append(tasks.create_task(ScrapeServer(scrapes, metrics.text).run()))
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop.set)
            await self._stop.wait()
            if self._take_down:
                driver.post(LeaveRequested())
                await asyncio.sleep(GOODBYE_TIME)
            plugins.cancel()
            await runner.cleanup()
            await asyncio.wait((plugins,))
            for path in (config.socket, config.plugin_socket):
                path.unlink(missing_ok=True)
            sensors.stop()
            await control.close()
            for task in running:
                task.cancel()
            aftermath.close()
            holders.close()
            if self._take_down:
                await containers.forget_all()
                dismiss(config.run_dir)
                await self._kernel.run(host.destroy)
            frames.close()
            ports.close()

    def _go_down(self, *, forget: bool = False) -> None:
        self._take_down, self._forget = True, forget
        self._stop.set()


def _places(config: Config, exposed: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Return where names are answered, given the host's addresses on the overlay."""
    return (*((address.partition("/")[0], DNS_PORT) for address in exposed), *config.dns_places)


async def _listen(control: ControlTransport) -> None:
    try:
        await control.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"TCP port {control.port} is in use; stop its user or give another --port") from None
        raise StartError(f"cannot listen on TCP port {control.port}: {error.strerror}") from None


def _listen_for_scrapes(config: Config) -> socket.socket | None:
    if config.metrics_listener is None:
        return None
    try:
        return scrape.listen(*config.metrics_listener)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"TCP {config.metrics} is in use; stop its user or give another --metrics") from None
        raise StartError(
            f"cannot listen on TCP {config.metrics} for --metrics: {os.strerror(error.errno or 0)}"
        ) from None
