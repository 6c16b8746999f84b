"""The agent's mind: which Nodes there are, and what follows from that.  No I/O, no clock.

Level-triggered: what is to be is computed from what is known at the moment when it is done; whatever fails is tried
again, and what succeeded is done again from time to time, for nobody tells us when somebody else undoes it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from math import inf
from random import Random

from ripstop.core.names import PeerName
from ripstop.kubernetes.chore import Chore
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
from ripstop.kubernetes.objects import PEER, Lease, Node
from ripstop.kubernetes.reclaim import Reclaim

REPEAT = 60.0  # seconds after which the daemon is told again what it was told
SWEEP = 600.0  # seconds after which all Leases are looked at again
AFTER_DELETE = 1.0  # seconds from a deletion to the look at the Leases: several may come together


class Cluster:
    """Everything that the agent of one node knows and wants."""

    def __init__(self, own: str, rng: Random) -> None:
        """Begin knowing nothing.

        Args:
            own: name of our Node.
            rng: for rests.
        """
        self.nodes: dict[str, Node] = {}  # by UID
        self.is_listed = False  # whether `nodes` has been complete at any time
        self.daemon: PeerName | None = None  # what the daemon called itself last; None while it is not ready
        self._own, self._rng, self._version = own, rng, ""
        self._follow = Chore(rng, due=0.0)
        self._dial, self._expose, self._mark, self._restart = Chore(rng), Chore(rng, due=0.0), Chore(rng), Chore(rng)
        self._find = Chore(rng)
        self._reclaims: dict[PeerName, Reclaim] = {}

    @property
    def node(self) -> Node | None:
        """Our own Node, if there is one."""
        return next((node for node in self.nodes.values() if node.name == self._own), None)

    @property
    def others(self) -> tuple[Node, ...]:
        """All other Nodes, in the order of their UIDs."""
        return tuple(node for _, node in sorted(self.nodes.items()) if node.name != self._own)

    @property
    def addresses(self) -> tuple[str, ...]:
        """What the daemon is to dial, in order."""
        return tuple(sorted({node.underlay for node in self.others} - {""}))

    @property
    def errors(self) -> tuple[str, ...]:
        """What failed the last time it was tried."""
        named = {"nodes": self._follow, "dial": self._dial, "expose": self._expose, "condition": self._mark,
                 "leases": self._find}  # fmt: skip
        found = [f"{name}: {chore.error}" for name, chore in named.items() if chore.error]
        return (
            *found,
            *(f"{one.lease.node}: {one.error}" for one in self._reclaims.values() if not one.finished and one.error),
        )

    @property
    def deadline(self) -> float:
        """When `tick` next has something to do, in seconds."""
        return min((due for due, _ in self._agenda()), default=inf)

    def tick(self, now: float) -> list[Action]:
        """Return what is to be done now."""
        return [begin() for due, begin in list(self._agenda()) if due <= now]

    def receive(self, event: Event, now: float) -> None:
        """Take note of what has happened; `deadline` may be earlier after it."""
        match event:
            case NodesListed(nodes, version):
                self._listed(nodes, version, now)
            case NodeSeen(node):
                self._saw(node, now)
            case NodeGone(node):
                self._lost(node, now)
            case VersionReached(version):
                self._version = version
                self._follow.prosper()
            case WatchEnded():
                self._ended(event, now)
            case DaemonReady(peer):
                self.daemon = peer
                self._expose.succeed(again=now + self._around(REPEAT))
                self._mark.want(now)
                self._check_name(now)
            case LeasesFound(leases):
                self._find.succeed(again=now + self._around(SWEEP))
                self._sort(leases, now)
            case NodeChecked() | LeaseTaken() | Done() | Failed():
                self._finish(event, now)

    def _listed(self, nodes: tuple[Node, ...], version: str, now: float) -> None:
        self.nodes = {node.metadata.uid: node for node in nodes}
        self._version, self.is_listed = version, True
        self._follow.succeed(again=now)
        self._dial.want(now)
        self._mark.want(now)
        self._find.want(now)  # somebody may have been deleted while we were not told
        self._check_name(now)

    def _saw(self, node: Node, now: float) -> None:
        before = self.nodes.get(node.metadata.uid)
        for uid, known in list(self.nodes.items()):
            if known.name == node.name and uid != node.metadata.uid:  # deleted and made again between two looks
                self._lost(known, now)
        self.nodes[node.metadata.uid], self._version = node, node.metadata.resource_version
        self._follow.prosper()
        if before is None or before.underlay != node.underlay:
            self._dial.want(now)
        if node.name == self._own:
            self._mark.want(now)
            self._check_name(now)

    def _lost(self, node: Node, now: float) -> None:
        self._version = node.metadata.resource_version
        if self.nodes.pop(node.metadata.uid, None) is not None:
            self._dial.want(now)
        self._find.want(now + AFTER_DELETE)

    def _ended(self, end: WatchEnded, now: float) -> None:
        if end.expired:
            self._version = ""
        if end.error:
            self._follow.fail(end.error, now)
        else:
            self._follow.succeed(again=now + self._rng.random())

    def _check_name(self, now: float) -> None:
        """Have the daemon end if our Node is another one than it was named after."""
        node = self.node
        if node is not None and self.daemon is not None and self.daemon != node.peer:
            self._restart.want(now)

    def _sort(self, leases: tuple[Lease, ...], now: float) -> None:
        """Find the Leases whose Nodes are gone."""
        if not self.is_listed:
            return
        dead = {one.peer: one for one in leases if one.role == PEER and one.uid and one.uid not in self.nodes}
        for peer in [peer for peer, reclaim in self._reclaims.items() if reclaim.finished or peer not in dead]:
            del self._reclaims[peer]
        for peer, lease in sorted(dead.items()):
            if peer in self._reclaims:
                self._reclaims[peer].found(lease, now)
            elif peer != self.daemon:  # we are not yet restarted under our new name; others look after the old one
                self._reclaims[peer] = Reclaim(lease, self._own, self._rng, now)

    def _finish(self, event: NodeChecked | LeaseTaken | Done | Failed, now: float) -> None:
        lease = _lease(event)
        if lease is not None:
            self._step(self._reclaims.get(lease.peer), event, now)
            return
        if isinstance(event, Done):
            if isinstance(event.action, Dial):
                self._dial.succeed(again=now + self._around(REPEAT))
                if event.action.addresses != self.addresses:
                    self._dial.want(now)
            elif isinstance(event.action, MarkAvailable):
                self._mark.succeed()
            elif isinstance(event.action, RestartDaemon):
                self.daemon = None
                self._restart.succeed()
                self._expose.want(now)
        elif isinstance(event, Failed):
            if isinstance(event.action, Expose):
                self.daemon = None
            chores: dict[type[Action], Chore] = {
                ListNodes: self._follow, WatchNodes: self._follow, Dial: self._dial, Expose: self._expose,
                MarkAvailable: self._mark, FindLeases: self._find, RestartDaemon: self._restart,
            }  # fmt: skip
            chores[type(event.action)].fail(event.error, now)

    def _step(self, reclaim: Reclaim | None, event: Event, now: float) -> None:
        if reclaim is None:
            return
        match event:
            case NodeChecked(_, gone):
                reclaim.checked(gone, now)
            case LeaseTaken(lease):
                reclaim.taken(lease, now)
            case Done():
                reclaim.done(now)
            case Failed(_, error, gone, changed):
                reclaim.fail(error, now, gone=gone, changed=changed)
                if changed:
                    self._find.want(now + 1.0)
            case _:
                pass

    def _agenda(self) -> Iterator[tuple[float, Callable[[], Action]]]:
        """Yield everything that may be begun, and when."""
        yield self._follow.due, self._begin_follow
        yield self._expose.due, lambda: _begun(self._expose, Expose())
        if self.is_listed:
            yield self._dial.due, lambda: _begun(self._dial, Dial(self.addresses))
            yield self._find.due, lambda: _begun(self._find, FindLeases())
        if self.daemon is not None and self.node is not None and not self.node.has_network:
            yield self._mark.due, lambda: _begun(self._mark, MarkAvailable())
        if self.daemon is not None and self.node is not None and self.node.peer != self.daemon:
            why = f"it is peer {self.daemon}, and node {self._own} is {self.node.peer}"
            yield self._restart.due, lambda: _begun(self._restart, RestartDaemon(why))
        for reclaim in self._reclaims.values():
            yield reclaim.due, partial(self._begin_reclaim, reclaim)

    def _begin_follow(self) -> Action:
        return _begun(self._follow, WatchNodes(self._version) if self._version else ListNodes())

    def _begin_reclaim(self, reclaim: Reclaim) -> Action:
        return reclaim.begin(tuple(node.peer for node in self.others))

    def _around(self, seconds: float) -> float:
        return seconds * (0.75 + self._rng.random() / 2)


def _begun(chore: Chore, action: Action) -> Action:
    chore.begin()
    return action


def _lease(event: NodeChecked | LeaseTaken | Done | Failed) -> Lease | None:
    """Return the Lease that a step was about."""
    about = event if isinstance(event, NodeChecked | LeaseTaken) else event.action
    return (
        about.lease
        if isinstance(about, NodeChecked | LeaseTaken | CheckNode | TakeLease | WriteOff | DropLease)
        else None
    )
