"""The agent's mind, many of them in one simulated cluster: Nodes come and go, whatever is asked may fail."""

from dataclasses import dataclass, field
from math import inf
from random import Random

import pytest

from ripstop.core.names import PeerName
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
from ripstop.kubernetes.objects import (
    NODE,
    PEER,
    ROLE,
    UID,
    Address,
    Condition,
    Lease,
    LeaseSpec,
    Meta,
    Node,
    NodeStatus,
    peer_name,
)


def node(name: str, uid: str, version: int = 1, *, available: bool = True) -> Node:
    status = NodeStatus(
        (Address("Hostname", name), Address("InternalIP", f"192.0.2.{int(name[1:])}")),
        (Condition("NetworkUnavailable", "False" if available else "True"),),
    )
    return Node(Meta(name, uid, str(version)), status=status)


def lease(one: Node, version: int = 1, holder: str = "") -> Lease:
    annotations = {NODE: one.name, UID: one.metadata.uid}
    return Lease(Meta(f"ripstop-{one.peer}", "u", str(version), annotations, {ROLE: PEER}), LeaseSpec(holder))


class Mind:
    """A cluster core whose actions are carried out by hand."""

    def __init__(self, own: str = "n1") -> None:
        self.core = Cluster(own, Random(1))
        self.now = 0.0

    def next(self) -> list[Action]:
        """Go on to the next time at which something is to be done, and return it."""
        self.now = max(self.now, self.core.deadline)
        assert self.now < inf, "nothing is ever to be done"
        return self.core.tick(self.now)

    def tell(self, *events: Event) -> None:
        """Tell what has happened, now."""
        for event in events:
            self.core.receive(event, self.now)


def following() -> Mind:
    """Return a mind that has a list of two Nodes and watches them."""
    mind = Mind()
    assert mind.next() == [ListNodes(), Expose()]
    mind.tell(NodesListed((node("n1", "a"), node("n2", "b")), "7"), DaemonReady(peer_name("a")))
    assert mind.next() == [WatchNodes("7"), Dial(("192.0.2.2",)), FindLeases()]
    mind.tell(Done(Dial(("192.0.2.2",))), LeasesFound(()))
    return mind


def test_lists_then_watches_from_there_and_dials_all_others() -> None:
    following()


def test_a_watch_that_ends_is_taken_up_where_it_was() -> None:
    mind = following()
    mind.tell(NodeSeen(node("n2", "b", 8)), VersionReached("12"), WatchEnded())
    assert mind.next() == [WatchNodes("12")]
    mind.tell(WatchEnded(error="cut off"))
    assert mind.next() == [WatchNodes("12")]


def test_a_version_that_is_forgotten_leads_to_a_new_list() -> None:
    mind = following()
    mind.tell(WatchEnded(expired=True))
    assert mind.next() == [ListNodes()]


def test_failures_are_followed_by_rests_that_grow_up_to_a_limit_and_end_with_success() -> None:
    mind = following()
    rests = []
    for _ in range(12):
        before = mind.now
        mind.tell(WatchEnded(error="refused"))
        while WatchNodes("7") not in (actions := mind.next()):
            mind.tell(
                *(Done(action) if isinstance(action, Dial) else DaemonReady(peer_name("a")) for action in actions)
            )
        rests.append(mind.now - before)
    assert rests[0] < 0.6
    assert 15 <= rests[-1] <= 31


def test_what_changes_is_dialed_and_a_change_of_no_matter_is_not() -> None:
    mind = following()
    mind.tell(NodeSeen(node("n2", "b", 8)))
    mind.tell(NodeSeen(node("n3", "c", 9)))
    assert mind.next() == [Dial(("192.0.2.2", "192.0.2.3"))]
    mind.tell(NodeGone(node("n2", "b", 10)), Done(Dial(("192.0.2.2", "192.0.2.3"))))
    assert Dial(("192.0.2.3",)) in mind.next()


def test_the_node_is_told_once_the_daemon_is_ready_and_again_when_somebody_takes_it_back() -> None:
    mind = Mind()
    mind.next()
    mind.tell(NodesListed((node("n1", "a", available=False),), "7"))
    assert MarkAvailable() not in mind.next()
    mind.tell(Failed(Expose(), "no daemon"))
    assert mind.next() == [Expose()]
    mind.tell(DaemonReady(peer_name("a")))
    assert mind.next() == [MarkAvailable()]
    mind.tell(Done(MarkAvailable()), NodeSeen(node("n1", "a", 8)), NodeSeen(node("n1", "a", 9, available=False)))
    assert mind.next() == [MarkAvailable()]


def test_the_daemon_of_a_node_that_was_made_again_is_restarted_once() -> None:
    mind = following()
    mind.tell(NodeSeen(node("n1", "z", 9)))
    (restart, *_) = [action for action in mind.next() if isinstance(action, RestartDaemon)]
    mind.tell(Done(restart))
    assert mind.next() == [Expose()]
    mind.tell(Failed(Expose(), "no daemon"))
    assert mind.next() == [Expose()]
    mind.tell(DaemonReady(peer_name("z")))
    assert not any(isinstance(action, RestartDaemon) for action in mind.core.tick(mind.now + 1000))


def test_a_dead_peer_is_written_off_step_by_step_and_every_attempt_begins_with_the_check() -> None:
    mind = following()
    gone = lease(node("n9", "x"))
    mind.tell(LeasesFound((gone, lease(node("n2", "b")))))
    assert mind.next() == [CheckNode(gone)]
    mind.tell(NodeChecked(gone, gone=True))
    assert mind.next() == [TakeLease(gone)]
    taken = lease(node("n9", "x"), 2, "n1")
    mind.tell(LeaseTaken(taken))
    assert mind.next() == [WriteOff(taken, (peer_name("b"),))]
    mind.tell(Failed(WriteOff(taken, ()), "can be reached"))
    assert mind.next() == [CheckNode(taken)]
    mind.tell(NodeChecked(taken, gone=True))
    mind.next()
    mind.tell(LeaseTaken(taken))
    mind.next()
    mind.tell(Done(WriteOff(taken, ())))
    assert mind.next() == [DropLease(taken)]
    mind.tell(Done(DropLease(taken)))
    assert mind.now < 30


def test_a_lease_that_somebody_holds_is_left_to_them_until_they_are_silent() -> None:
    mind = following()
    theirs = lease(node("n9", "x"), 2, "n2")
    mind.tell(LeasesFound((theirs,)))
    begun = mind.now
    while not any(isinstance(action, CheckNode) for action in mind.next()):
        pass
    assert mind.now - begun >= 30


@dataclass
class World:
    """An API server, and daemons that are asked to write peers off."""

    rng: Random
    nodes: dict[str, Node] = field(default_factory=dict)  # by name
    leases: dict[PeerName, Lease] = field(default_factory=dict)
    minds: dict[str, Cluster] = field(default_factory=dict)
    dialed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    written_off: dict[PeerName, int] = field(default_factory=dict)
    pending: list[tuple[float, int, str, Cluster, Event]] = field(default_factory=list)
    watching: dict[str, WatchNodes] = field(default_factory=dict)
    version: int = 1
    now: float = 0.0
    failing: bool = True
    told: int = 0

    def add(self, name: str) -> None:
        """Make a Node, its Lease, and an agent."""
        self.version += 1
        self.nodes[name] = node(name, f"{name}-{self.version}", self.version)
        self.leases[self.nodes[name].peer] = lease(self.nodes[name], self.version)
        self.minds[name] = Cluster(name, self.rng)
        self.tell(NodeSeen(self.nodes[name]))

    def delete(self, name: str) -> None:
        """Delete a Node; its agent is gone too."""
        self.version += 1
        gone = self.nodes.pop(name)
        self.minds.pop(name, None)
        self.watching.pop(name, None)
        self.tell(NodeGone(node(name, gone.metadata.uid, self.version)))

    def restart(self, name: str) -> None:
        """Restart an agent, with nothing in its mind."""
        self.minds[name] = Cluster(name, self.rng)
        self.watching.pop(name, None)

    def tell(self, event: Event) -> None:
        """Tell those who watch; or one of them that its watch is over, and nothing more."""
        for name in sorted(self.watching):
            if self.rng.random() < 0.3 and self.failing:
                del self.watching[name]
                self.later(name, WatchEnded(expired=True))
            else:
                self.later(name, event)

    def later(self, name: str, event: Event) -> None:
        """Have an agent hear of something, some time soon."""
        if name in self.minds:
            at = self.now + self.rng.random() * (0.0 if isinstance(event, NodeSeen | NodeGone | WatchEnded) else 0.5)
            self.told += 1
            self.pending.append((at, self.told, name, self.minds[name], event))

    def perform(self, name: str, action: Action) -> None:
        """Do what an agent wants, or fail at it, before or after it was done."""
        mood = self.rng.random() if self.failing else 1.0
        event = self.answer(name, action) if mood > 0.15 else None
        failed = event is None or (mood < 0.3 and not isinstance(action, WatchNodes))
        if failed:
            event = WatchEnded(error="500") if isinstance(action, WatchNodes) else Failed(action, "500")
            self.watching.pop(name, None) if isinstance(action, WatchNodes) else None
        if event is not None and not (isinstance(action, WatchNodes) and not failed):
            self.later(name, event)

    def answer(self, name: str, action: Action) -> Event | None:
        """Carry an action out."""
        match action:
            case ListNodes():
                return NodesListed(tuple(self.nodes.values()), str(self.version))
            case WatchNodes(version):
                if int(version) < self.version:
                    self.later(name, WatchEnded(expired=True))
                else:
                    self.watching[name] = action
                return VersionReached(version)
            case Dial(addresses):
                self.dialed[name] = addresses
            case Expose():
                return DaemonReady(self.nodes[name].peer)
            case FindLeases():
                return LeasesFound(tuple(self.leases.values()))
            case CheckNode(one):
                known = self.nodes.get(one.node)
                return NodeChecked(one, known is None or known.metadata.uid != one.uid)
            case TakeLease(one) | DropLease(one):
                found = self.leases.get(one.peer)
                if found is None or found.metadata.resource_version != one.metadata.resource_version:
                    return Failed(action, "409", gone=found is None, changed=found is not None)
                if isinstance(action, DropLease):
                    del self.leases[one.peer]
                    return Done(action)
                self.version += 1
                holder = next(known for known in self.nodes.values() if known.name == name)
                dead = Node(Meta(one.node, one.uid))
                assert holder.peer != one.peer
                self.leases[one.peer] = lease(dead, self.version, name)
                return LeaseTaken(self.leases[one.peer])
            case WriteOff(one):
                assert one.peer not in [known.peer for known in self.nodes.values()], "that one lives"
                self.written_off[one.peer] = self.written_off.get(one.peer, 0) + 1
        return Done(action)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.now + seconds
        while True:
            due = min((mind.deadline for mind in self.minds.values()), default=inf)
            due = min(due, min((entry[0] for entry in self.pending), default=inf))
            if due > end:
                self.now = end
                return
            self.now = max(self.now, due)
            for entry in sorted(self.pending, key=lambda entry: entry[:2]):
                if entry[0] <= self.now:
                    self.pending.remove(entry)
                    _, _, name, mind, event = entry
                    if self.minds.get(name) is mind:  # else it was meant for one that was killed
                        mind.receive(event, self.now)
            for name, mind in sorted(self.minds.items()):
                for action in mind.tick(self.now):
                    if name in self.nodes:
                        self.perform(name, action)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_fails_deleted_nodes_are_written_off_and_live_ones_never(seed: int) -> None:
    rng = Random(seed)
    world = World(rng)
    deleted: list[PeerName] = []
    for number in range(1, 7):
        world.add(f"n{number}")
    for _ in range(40):
        world.run(rng.uniform(0, 10))
        name = f"n{rng.randint(1, 8)}"
        if name not in world.nodes:
            world.add(name)
        elif rng.random() < 0.5 and len(world.nodes) > 2:
            deleted.append(world.nodes[name].peer)
            world.delete(name)
        else:
            world.restart(name)
    world.failing = False
    world.run(800)
    assert set(world.leases) == {one.peer for one in world.nodes.values()}
    assert set(world.written_off) == set(deleted)
    for name, one in world.nodes.items():
        wanted = sorted(other.underlay for other in world.nodes.values() if other is not one)
        assert world.dialed[name] == tuple(wanted)
