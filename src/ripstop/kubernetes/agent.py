"""Runs the cluster's state machine: carries each action out in a task of its own, and tells it what came of that."""

import asyncio
import contextlib
import logging
import os
import signal
from random import Random

from ripstop.api.types import ExposeRequest, Peer, RemovePeersRequest, TargetsRequest
from ripstop.client import Client, RefusedError
from ripstop.core.errors import RipstopError
from ripstop.core.names import PeerName
from ripstop.kubernetes import health
from ripstop.kubernetes.api import Api, ApiError, decode_node
from ripstop.kubernetes.cluster import Cluster
from ripstop.kubernetes.messages import (
    Action,
    CheckNode,
    DaemonReady,
    Dial,
    Done,
    DropLease,
    Event,
    Expose,
    Failed,
    FindLeases,
    LeasesFound,
    LeaseTaken,
    ListNodes,
    MarkAvailable,
    MarkDivided,
    NodeChecked,
    NodeGone,
    NodeSeen,
    NodesListed,
    RestartDaemon,
    TakeLease,
    VersionReached,
    WatchEnded,
    WatchNodes,
    WriteOff,
)
from ripstop.kubernetes.objects import Lease
from ripstop.kubernetes.reclaim import HOLD
from ripstop.kubernetes.settings import Settings

log = logging.getLogger("ripstop.kubernetes")
WATCH_SECONDS = (180.0, 300.0)  # how long the API server is asked to tell us of changes
PATIENCE = 10.0  # seconds that the daemon has for what needs other hosts
HUNG = 30.0  # seconds of silence after which a daemon counts as unreachable


class Agent:
    """The agent of one node."""

    def __init__(self, settings: Settings, api: Api, rng: Random) -> None:
        self.cluster = Cluster(settings.node, rng)
        self._settings, self._api, self._rng = settings, api, rng
        self._daemon = Client(settings.run_dir, timeout=HUNG)
        self._inbox: asyncio.Queue[Event] = asyncio.Queue()
        self._errors: tuple[str, ...] = ()

    async def run(self) -> None:
        """Run until cancelled."""
        clock = asyncio.get_running_loop().time
        async with asyncio.TaskGroup() as tasks:
            while True:
                for action in self.cluster.tick(clock()):
                    log.debug("%s", action)
                    tasks.create_task(self._carry_out(action))
                self._tell_errors()
                with contextlib.suppress(TimeoutError):
                    deadline = self.cluster.deadline
                    async with asyncio.timeout_at(deadline if deadline != float("inf") else None):
                        self.cluster.receive(await self._inbox.get(), clock())

    async def _carry_out(self, action: Action) -> None:
        try:
            event: Event = await self._perform(action)
        except ApiError as error:
            event = Failed(action, str(error), gone=error.is_gone, changed=error.is_conflict)
        except (RipstopError, OSError) as error:
            event = Failed(action, str(error))
        self._inbox.put_nowait(event)

    async def _perform(self, action: Action) -> Event:
        match action:
            case ListNodes():
                return NodesListed(*await self._api.nodes())
            case WatchNodes(version):
                return await self._watch(version)
            case FindLeases():
                return LeasesFound(await self._api.leases())
            case CheckNode(lease):
                return NodeChecked(lease, await self._is_gone(lease))
            case TakeLease(lease):
                return LeaseTaken(await self._api.take(lease, self._settings.node, HOLD))
            case Expose():
                return DaemonReady(await asyncio.to_thread(self._expose))
            case MarkAvailable():
                await self._api.mark_available(self._settings.node)
                log.info("node %s: the network is available", self._settings.node)
            case MarkDivided():
                await self._api.mark_divided()
            case Dial(addresses):
                await asyncio.to_thread(self._daemon.call, "connect", TargetsRequest(addresses, replace=True))
            case WriteOff(lease, live):
                await asyncio.to_thread(self._write_off, lease, live)
            case DropLease(lease):
                await self._api.drop(lease)
            case RestartDaemon(why):
                await asyncio.to_thread(self._restart, why)
        return Done(action)

    async def _watch(self, version: str) -> Event:
        try:
            async for change in self._api.watch(version, self._rng.uniform(*WATCH_SECONDS)):
                node = decode_node(change)
                if change.type == "BOOKMARK":
                    self._inbox.put_nowait(VersionReached(node.metadata.resource_version))
                elif change.type == "DELETED":
                    log.info("node %s was deleted", node.name)
                    self._inbox.put_nowait(NodeGone(node))
                else:
                    self._inbox.put_nowait(NodeSeen(node))
        except ApiError as error:
            return WatchEnded(expired=error.is_expired, error="" if error.is_expired else str(error))
        return WatchEnded()

    async def _is_gone(self, lease: Lease) -> bool:
        """Ask for the Node itself: a list may be older than the Lease."""
        try:
            gone = (await self._api.node(lease.node)).metadata.uid != lease.uid
        except ApiError as error:
            if not error.is_gone:
                raise
            gone = True
        if gone:
            ipam = await asyncio.to_thread(self._daemon.call, "ipam")
            if ipam.why or ipam.doubt:  # the Lease is for others, then
                raise RefusedError(503, ipam.why or ipam.doubt)
        return gone

    def _expose(self) -> PeerName:
        peer = PeerName(self._daemon.call("status").name)
        self._daemon.call("expose", ExposeRequest(wait=PATIENCE))
        return peer

    def _write_off(self, lease: Lease, live: tuple[PeerName, ...]) -> None:
        """Have the daemon take over what a peer owned.

        With all peers of live Nodes in reach there is nobody whom only the dead knew, so it may be any number of them.
        """
        complete = all_reachable(self._daemon.call("peers"), live)
        request = RemovePeersRequest((lease.peer,), force=complete, wait=PATIENCE)
        try:
            moved = self._daemon.call("rmpeer", request).addresses
        except RefusedError as error:
            if error.status != 404 or not complete:
                raise
            moved = 0  # nobody here has heard of it, so it owned nothing; or somebody else has what it owned
        log.info("node %s (peer %s) is gone: %d addresses taken over", lease.node, lease.peer, moved)

    def _restart(self, why: str) -> None:
        pid = self._daemon.daemon_pid()
        if pid <= 0:
            raise RefusedError(409, f"{why}, but its process is not in sight; restart the pod")
        log.warning("ending the daemon: %s", why)
        os.kill(pid, signal.SIGTERM)

    def _tell_errors(self) -> None:
        """Log what fails, once for as long as it fails the same way."""
        errors = self.cluster.errors
        for line in errors:
            if line not in self._errors:
                log.warning("%s", line)
        self._errors = errors


def all_reachable(peers: list[Peer], live: tuple[PeerName, ...]) -> bool:
    """Return whether every one of these peers can be reached."""
    reachable = {peer.name for peer in peers if peer.state in ("self", "direct", "relayed")}
    return reachable.issuperset(live)


async def main(settings: Settings, address: str) -> None:
    """Run the agent until SIGTERM or SIGINT.

    Args:
        settings: who and where we are.
        address: where to say how we are, "" for nowhere.
    """
    loop = asyncio.get_running_loop()
    async with Api(settings) as api:
        agent = Agent(settings, api, Random())
        work = asyncio.ensure_future(agent.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        async with health.serving(address, agent.cluster):
            with contextlib.suppress(asyncio.CancelledError):
                await work
