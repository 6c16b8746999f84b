"""The fake datapath drops what the real one drops."""

from ripstop.core.mesh.messages import Probe
from ripstop.core.names import NO_PEER, PeerName, ShortId, UnderlayIp
from ripstop.core.overlay.forwarding import ForwardingTables, Hop, Tree
from ripstop.sim.kernel import FIRST_TTL, FakeKernel, follow_flood, follow_unicast

A, B, C = (PeerName(letter * 16) for letter in "abc")
IP = {A: UnderlayIp("192.0.2.1"), B: UnderlayIp("192.0.2.2"), C: UnderlayIp("192.0.2.3")}
ID = {A: ShortId(1), B: ShortId(2), C: ShortId(3)}
VTEPS = {IP[name]: ID[name] for name in IP}


def hop(here: PeerName, there: PeerName) -> Hop:
    """Return a step."""
    return Hop(ID[there], IP[there], IP[here], 1450)


def kernel(name: PeerName, routes: dict[PeerName, PeerName], trees: dict[PeerName, Tree]) -> FakeKernel:
    """Return a host whose routes lead by these next hops."""
    ways = {ID[goal]: hop(name, way) for goal, way in routes.items()}
    return FakeKernel(name, ForwardingTables(ID[name], VTEPS, ways, {ID[s]: tree for s, tree in trees.items()}))


def test_frames_are_relayed_and_counted() -> None:
    hosts = {
        IP[A]: kernel(A, {C: B}, {A: Tree(NO_PEER, (hop(A, B),))}),
        IP[B]: kernel(B, {C: C}, {A: Tree(ID[A], (hop(B, C),))}),
        IP[C]: kernel(C, {}, {A: Tree(ID[B], ())}),
    }
    trail = follow_unicast(hosts[IP[A]], ID[C], lambda _local, remote: hosts[remote])
    assert (dict(trail.arrived), trail.copies) == ({C: 1}, 2)
    flood = follow_flood(hosts[IP[A]], lambda _local, remote: hosts[remote])
    assert (dict(flood.arrived), flood.copies, flood.dropped) == ({B: 1, C: 1}, 2, ())


def test_a_loop_ends() -> None:
    hosts = {IP[A]: kernel(A, {C: B}, {}), IP[B]: kernel(B, {C: A}, {})}
    trail = follow_unicast(hosts[IP[A]], ID[C], lambda _local, remote: hosts[remote])
    assert (trail.dropped, trail.copies) == (("ttl",), FIRST_TTL)


def test_a_flood_from_a_wrong_parent_is_dropped() -> None:
    hosts = {
        IP[A]: kernel(A, {}, {A: Tree(NO_PEER, (hop(A, B), hop(A, C)))}),
        IP[B]: kernel(B, {}, {A: Tree(ID[A], (hop(B, C),))}),
        IP[C]: kernel(C, {}, {A: Tree(ID[B], ())}),
    }
    flood = follow_flood(hosts[IP[A]], lambda _local, remote: hosts[remote])
    assert dict(flood.arrived) == {B: 1, C: 1}
    assert flood.dropped == (f"wrong parent at {C}",)


def test_what_gets_lost_is_named() -> None:
    alone = kernel(A, {B: B}, {A: Tree(NO_PEER, (hop(A, B),))})
    assert follow_unicast(alone, ID[C], lambda *_: None).dropped == (f"no route at {A}",)
    assert follow_unicast(alone, ID[B], lambda *_: None).dropped == (f"lost after {A}",)
    assert follow_flood(alone, lambda *_: None).dropped == (f"lost after {A}",)
    stranger = FakeKernel(B, ForwardingTables(ID[B]))
    assert follow_unicast(alone, ID[B], lambda *_: stranger).dropped == (f"stranger at {B}",)
    assert follow_flood(alone, lambda *_: stranger).dropped == (f"wrong parent at {B}",)


def test_probes_of_known_hosts_for_us_come_back() -> None:
    host = kernel(A, {}, {})
    probe = Probe(False, B, A, 7, 1450)
    assert host.echo(probe, IP[B]) == Probe(True, B, A, 7, 1450)
    assert host.echo(probe, UnderlayIp("203.0.113.1")) is None
    assert host.echo(Probe(False, B, C, 7, 1450), IP[B]) is None
    assert host.echo(Probe(True, B, A, 7, 1450), IP[B]) is None
