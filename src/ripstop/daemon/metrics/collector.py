"""Looks at everything and keeps the text for a moment, so that many scrapers cost what one does.

What the kernel has is read in the kernel thread, what the core knows in the event loop, a part at a time; the rest is
done in a thread of its own.
"""

import asyncio
from dataclasses import asdict

from ripstop.core.node import Node
from ripstop.daemon import views
from ripstop.daemon.containers import Containers
from ripstop.daemon.controller import Controller
from ripstop.daemon.host import Host
from ripstop.daemon.kernel import KernelThread
from ripstop.daemon.membership import Membership
from ripstop.daemon.metrics.snapshot import MAX_STREAMS, GroupCounts, KernelCounts, MeshCounts, Snapshot, Stopped
from ripstop.daemon.sensors import Sensors
from ripstop.daemon.shell import Shell
from ripstop.transport.control import ControlTransport

MAX_AGE = 1.0  # seconds for which a text is good


class Metrics:
    """The daemon as a scraper sees it."""

    def __init__(
        self, node: Node, kernel: KernelThread, host: Host, containers: Containers, controller: Controller,
        membership: Membership, shell: Shell, control: ControlTransport, sensors: Sensors,
    ) -> None:  # fmt: skip
        self._node, self._kernel, self._host, self._containers = node, kernel, host, containers
        self._controller, self._membership = controller, membership
        self._shell, self._control, self._sensors = shell, control, sensors
        self._scraping = asyncio.Lock()
        self._snapshot: Snapshot | None = None
        self._fresh_until = 0.0
        self._texts: dict[bool, bytes] = {}  # by whether it is OpenMetrics

    async def text(self, openmetrics: bool) -> bytes:
        """Return everything, at most `MAX_AGE` old."""
        async with self._scraping:
            loop = asyncio.get_running_loop()
            if self._snapshot is None or loop.time() >= self._fresh_until:
                self._snapshot = await self._look()
                self._fresh_until = loop.time() + MAX_AGE
                self._texts = {}
            if openmetrics not in self._texts:
                self._texts[openmetrics] = await asyncio.to_thread(_write, self._snapshot, openmetrics)
            return self._texts[openmetrics]

    async def _look(self) -> Snapshot:
        datapath = await self._kernel.run(self._read)
        stopped = await self._containers.stopped()
        return Snapshot(
            version=await self._controller.version(None),
            own=self._node.mesh.name,
            ports=len(self._containers.ports),
            guarded=sum(1 for port in self._containers.ports if port.guards),
            stopped=tuple(
                Stopped(port.container, port.ifname, reason, count)
                for port in self._containers.ports
                for reason, count in stopped.get(port.host_ifname, {}).items()
            ),
            mtu=self._containers.mtu,
            mesh=await self._mesh(),
            datapath=datapath,
            ipam=self._node.allocator.status(),
            multicast=await self._multicast(datapath),
            dns=await self._controller.dns(None),
        )

    def _read(self) -> KernelCounts:
        """Read what the kernel has; for the kernel thread."""
        datapath = self._host.datapath
        streams, known = datapath.groups.busiest(MAX_STREAMS)
        return KernelCounts(
            counters=datapath.counters(),
            drops=datapath.drops(),
            stations=datapath.stations(),
            rows=datapath.groups.rows(),
            streams=streams,
            known_streams=known,
            port_names=self._host.port_names(),
        )

    async def _mesh(self) -> MeshCounts:
        """Look at the mesh; between two parts of it others have their turn."""
        mesh = self._node.mesh
        peers = views.peers(mesh)
        await asyncio.sleep(0)
        connections = views.connections(mesh)
        await asyncio.sleep(0)
        counters = self._control.counters
        return MeshCounts(
            peers=peers,
            connections=connections,
            targets=await self._controller.targets(None),
            routes=len(mesh.routes()),
            settled=not self._controller.waiting(peers),
            problems=len(self._controller.problems()),
            control=asdict(counters),
            probes={"unsent": self._shell.unsent_probes, "malformed": self._sensors.bad_probes},
        )

    async def _multicast(self, datapath: KernelCounts) -> GroupCounts:
        multicast = self._node.multicast
        groups = multicast.everyone.count()
        await asyncio.sleep(0)
        return GroupCounts(
            groups=groups,
            members=multicast.snooper.memberships(),
            remote=multicast.interest.memberships(),
            heard=self._membership.heard(datapath.port_names),
            refusals=self._membership.refusals(datapath.port_names),
            queries={family.name.lower(): count for family, count in self._shell.sent_queries.items()},
            streams=self._membership.streams(datapath.streams, datapath.port_names),
        )


def _write(snapshot: Snapshot, openmetrics: bool) -> bytes:
    """Write a snapshot down, and what the process itself costs by now."""
    # here, so that a daemon that nobody scrapes has no library for it in memory, which is almost 1 MB
    from prometheus_client import PROCESS_COLLECTOR

    from ripstop.daemon.metrics.families import families, render

    return render((*families(snapshot), *PROCESS_COLLECTOR.collect()), openmetrics=openmetrics)
