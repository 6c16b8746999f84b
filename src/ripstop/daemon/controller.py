"""Answers every call of the API: asks the part that knows, renders what it says."""

import os
import time
from dataclasses import asdict
from typing import Protocol

from ripstop import __version__
from ripstop.api import types
from ripstop.api.server import Handler
from ripstop.core.address import format_address
from ripstop.core.errors import NotFoundError, RequestError
from ripstop.core.events import (
    ConnectRequested,
    ForgetRequested,
    NamesForgotten,
    PrimeRequested,
    RemoveRequested,
    ResetRequested,
)
from ripstop.core.mesh.messages import PROTOCOL_VERSION
from ripstop.core.names import PeerName, is_peer_name
from ripstop.core.node import Node
from ripstop.daemon import views
from ripstop.daemon.config import Config, parse_target
from ripstop.daemon.containers import Containers
from ripstop.daemon.driver import Driver
from ripstop.daemon.guards import guard_names
from ripstop.daemon.holders import check_wait
from ripstop.daemon.host import Host
from ripstop.daemon.logs import Recent
from ripstop.daemon.membership import Membership
from ripstop.daemon.names import Names
from ripstop.daemon.ports import PortRecord
from ripstop.daemon.reconciler import Reconciler
from ripstop.daemon.shell import Shell
from ripstop.kernel.abi import abi_hash
from ripstop.kernel.link import HOST_INTERFACE
from ripstop.transport.control import ControlTransport

REPORTED_NAMES = 1000  # in a report; `ripstop dns list` has them all


class GoDown(Protocol):
    """Ends the daemon and takes everything away."""

    def __call__(self, *, forget: bool = False) -> None:
        """End; with `forget`, delete the state as well."""


class Controller:
    """One method per call of `api/routes.py`, of the same name."""

    def __init__(
        self, config: Config, node: Node, driver: Driver, containers: Containers, reconciler: Reconciler,
        shell: Shell, control: ControlTransport, host: Host, recent: Recent,
        membership: Membership, names: Names, go_down: "GoDown",
    ) -> None:  # fmt: skip
        self._config, self._node, self._driver, self._containers = config, node, driver, containers
        self._reconciler, self._shell, self._control, self._host = reconciler, shell, control, host
        self._recent, self._membership, self._names, self._go_down = recent, membership, names, go_down
        self._started = time.monotonic()

    def handlers(self) -> dict[str, Handler]:
        """Return the handler of each call."""
        return {
            "version": self.version, "status": self.status, "peers": self.peers, "connections": self.connections,
            "routes": self.routes, "targets": self.targets, "ipam": self.ipam, "ports": self.ports,
            "report": self.report, "attach": self.attach, "detach": self.detach, "expose": self.expose,
            "guard": self.guard, "hide": self.hide, "connect": self.connect, "forget": self.forget,
            "down": self.down, "prime": self.prime, "rmpeer": self.rmpeer, "reset": self.reset,
            "multicast": self.multicast, "trace": self.trace, "join": self.join, "leave": self.leave,
            "dns": self.dns, "names": self.names, "lookup": self.lookup,
            "add_name": self.add_name, "remove_name": self.remove_name,
        }  # fmt: skip

    async def version(self, _request: None) -> types.Version:
        """Answer `version`."""
        return types.Version(__version__, PROTOCOL_VERSION, abi_hash())

    async def status(self, _request: None) -> types.Status:
        """Answer `status`."""
        mesh = self._node.mesh
        peers = views.peers(mesh)
        waiting = self.waiting(peers)
        return types.Status(
            version=__version__,
            name=mesh.name,
            nickname=next(peer.nickname for peer in peers if peer.state == "self"),
            short_id=next(peer.short_id for peer in peers if peer.state == "self"),
            incarnation=next(peer.incarnation for peer in peers if peer.state == "self"),
            pid=os.getpid(),
            uptime=time.monotonic() - self._started,
            port=self._config.port,
            encryption="none: all traffic between hosts is in clear",
            range=str(self._config.universe),
            mtu=self._containers.mtu,
            addresses=next(peer.addresses for peer in peers if peer.state == "self"),
            peers=len([peer for peer in peers if peer.state not in ("self", "left")]),
            reachable=len([peer for peer in peers if peer.state in ("direct", "relayed")]),
            connections=len([found for found in views.connections(mesh) if found.control == "established"]),
            containers=len(self._containers.ports),
            exposed=self._containers.exposure.record.addresses,
            settled=not waiting,
            waiting=waiting,
            drops=tuple(types.Drop(reason, count) for reason, count in self._host.datapath.drops().items() if count),
            problems=self.problems(),
        )

    def waiting(self, peers: list[types.Peer]) -> tuple[str, ...]:
        """Return what `status --wait` waits for, one line each."""
        found = []
        if self._reconciler.tables is None:
            found.append("the datapath's tables are not written yet")
        found += [
            f"target {target.address} is not connected: {target.error or target.state}"
            for target in views.targets(self._node.mesh, self._driver.now)
            if target.state != "connected"
        ]
        found += [
            f"peer {peer.nickname} ({peer.name}) is not reachable" for peer in peers if peer.state == "unreachable"
        ]
        return tuple(found)

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong now, one line each."""
        ipam = self._node.allocator.status()
        return (
            *(text for text in (self._reconciler.problem, self._shell.disk_problem) if text),
            *(
                f"the host at {address} has the name of this one: its state was copied; stop one of the two, delete its"
                " state directory, and start it again"
                for address in self._node.mesh.clones(self._driver.now)
            ),
            *(f"range {contested} is claimed by two peers; it is not given out" for contested in ipam.contested),
            *ipam.foreign,
            *(text for text in (ipam.doubt, ipam.taking) if text),
            *(f"{format_address(stray)} is in use here, but another host owns it" for stray in ipam.strays),
            *self._names.problems(),
            *(() if self._host.has_underlay else ("no underlay device is up: no peer can be reached",)),
        )

    async def peers(self, _request: None) -> list[types.Peer]:
        """Answer `peers`."""
        return views.peers(self._node.mesh)

    async def connections(self, _request: None) -> list[types.Connection]:
        """Answer `connections`."""
        return views.connections(self._node.mesh)

    async def routes(self, _request: None) -> list[types.Route]:
        """Answer `routes`."""
        return views.routes(self._node.mesh)

    async def targets(self, _request: None) -> list[types.Target]:
        """Answer `targets`."""
        return views.targets(self._node.mesh, self._driver.now)

    async def ipam(self, _request: None) -> types.IpamStatus:
        """Answer `ipam`."""
        return views.ipam(self._node)

    async def ports(self, _request: None) -> list[types.Port]:
        """Answer `ports`."""
        return await self._ports(self._containers.ports)

    async def report(self, _request: None) -> types.Report:
        """Answer `report`."""
        datapath = self._host.datapath
        counters = {
            f"{name}_{unit}": value
            for name, counter in datapath.counters().items()
            for unit, value in (("packets", counter.packets), ("bytes", counter.bytes))
        }
        return types.Report(
            status=await self.status(None),
            peers=tuple(views.peers(self._node.mesh)),
            connections=tuple(views.connections(self._node.mesh)),
            routes=tuple(views.routes(self._node.mesh)),
            targets=tuple(views.targets(self._node.mesh, self._driver.now)),
            ipam=views.ipam(self._node),
            ports=tuple(await self._ports(self._containers.ports)),
            multicast=await self._membership.status(),
            dns=self._names.status(),
            names=tuple(await self._names.all(REPORTED_NAMES)),
            counters=counters,
            control={**asdict(self._control.counters), "unsent_probes": self._shell.unsent_probes},
            fdb=tuple(views.station(entry) for entry in datapath.fdb()),
            kernel={"release": os.uname().release, "machine": os.uname().machine, "pins": str(self._host.pins)},
            log=tuple(self._recent.lines),
        )

    async def attach(self, request: types.AttachRequest) -> types.Port:
        """Answer `attach`."""
        return self._port(await self._containers.attach(request), {})

    async def detach(self, request: types.DetachRequest) -> types.Detached:
        """Answer `detach`."""
        return types.Detached(tuple([self._port(port, {}) for port in await self._containers.detach(request)]))

    async def guard(self, request: types.GuardRequest) -> list[types.Port]:
        """Answer `guard`."""
        changed = await self._containers.guard(request)
        await self._membership.rejoin()
        return await self._ports(changed)

    async def expose(self, request: types.ExposeRequest) -> types.Exposed:
        """Answer `expose`."""
        addresses = (await self._containers.exposure.expose(request)).addresses
        await self._membership.rejoin()
        return types.Exposed(HOST_INTERFACE, addresses)

    async def hide(self, _request: None) -> types.Exposed:
        """Answer `hide`."""
        return types.Exposed(HOST_INTERFACE, await self._containers.exposure.hide())

    async def prime(self, request: types.PrimeRequest) -> None:
        """Answer `prime`."""
        check_wait(request.wait)
        await self._driver.ask(lambda number: PrimeRequested(number, request.wait))

    async def rmpeer(self, request: types.RemovePeersRequest) -> types.Moved:
        """Answer `rmpeer`."""
        check_wait(request.wait)
        if not request.peers:
            raise RequestError("which peers are dead? give their names; `ripstop status ipam` lists them")
        names = tuple(dict.fromkeys(self._peer(text) for text in request.peers))
        moved = await self._driver.ask(lambda number: RemoveRequested(number, names, request.wait, request.force))
        self._driver.post(NamesForgotten(names))
        return types.Moved(moved)

    def _peer(self, text: str) -> PeerName:
        """Return the peer that somebody calls by its name or nickname."""
        if is_peer_name(text):
            return PeerName(text)
        called = [peer.name for peer in self._node.mesh.peers() if peer.nickname == text]
        if len(called) > 1:
            raise RequestError(f"{len(called)} peers are called {text}: {', '.join(called)}; give one of these names")
        if not called:
            raise NotFoundError(f"no peer is called {text}; `ripstop status ipam` lists them")
        return PeerName(called[0])

    async def reset(self, request: types.ResetRequest) -> types.Moved:
        """Answer `reset`: the answer leaves, then everything goes."""
        check_wait(request.wait)
        moved = 0
        if not request.force:
            moved = await self._driver.ask(lambda number: ResetRequested(number, request.wait))
        self._go_down(forget=True)
        return types.Moved(moved)

    async def multicast(self, _request: None) -> types.MulticastStatus:
        """Answer `multicast`."""
        return await self._membership.status()

    async def trace(self, request: types.TraceRequest) -> types.MulticastTrace:
        """Answer `trace`."""
        return await self._membership.trace(request)

    async def join(self, request: types.GroupRequest) -> list[types.MulticastMember]:
        """Answer `join`."""
        return await self._membership.join(request)

    async def leave(self, request: types.GroupRequest) -> list[types.MulticastMember]:
        """Answer `leave`."""
        return await self._membership.leave(request)

    async def dns(self, _request: None) -> types.DnsStatus:
        """Answer `dns`."""
        return self._names.status()

    async def names(self, _request: None) -> list[types.Name]:
        """Answer `names`."""
        return await self._names.all()

    async def lookup(self, request: types.LookupRequest) -> list[types.Name]:
        """Answer `lookup`."""
        return await self._names.lookup(request.what)

    async def add_name(self, request: types.NameRequest) -> list[types.Name]:
        """Answer `add_name`."""
        return await self._names.add(request)

    async def remove_name(self, request: types.NameRequest) -> list[types.Name]:
        """Answer `remove_name`."""
        return await self._names.remove(request)

    async def connect(self, request: types.TargetsRequest) -> list[types.Target]:
        """Answer `connect`."""
        targets = tuple(parse_target(text, self._config.port) for text in request.targets)
        if not targets and not request.replace:
            raise RequestError("connect to whom? give at least one ADDRESS[:PORT]")
        await self._driver.done(ConnectRequested(targets, request.replace))
        return views.targets(self._node.mesh, self._driver.now)

    async def forget(self, request: types.TargetsRequest) -> list[types.Target]:
        """Answer `forget`."""
        targets = tuple(parse_target(text, self._config.port) for text in request.targets)
        known = [target.address for target in views.targets(self._node.mesh, self._driver.now)]
        for target in targets:
            if str(target) not in known:
                raise RequestError(f"{target} is no target; `ripstop status targets` lists them")
        await self._driver.done(ForgetRequested(targets))
        return views.targets(self._node.mesh, self._driver.now)

    async def down(self, _request: None) -> None:
        """Answer `down`: the answer leaves, then everything goes."""
        self._go_down()

    async def _ports(self, ports: tuple[PortRecord, ...]) -> list[types.Port]:
        stopped = await self._containers.stopped()
        return [self._port(port, stopped.get(port.host_ifname, {})) for port in ports]

    def _port(self, port: PortRecord, stopped: dict[str, int]) -> types.Port:
        return types.Port(
            port.container, port.netns, port.ifname, port.host_ifname, port.mac, port.addresses, self._containers.mtu,
            guard_names(port.guards), port.allowed, stopped, tuple(one.name for one in port.names),
        )  # fmt: skip
