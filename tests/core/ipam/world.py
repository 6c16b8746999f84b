"""Several allocators in one process, with a mesh between them that loses, doubles and reorders what it is told to.

Containers are apart from what allocators believe of them: a container has the addresses that were answered, until it is
released or its machine goes off.  The world sees all of them, and asserts that no two have the same.
"""

from collections.abc import Iterable, Sequence
from itertools import permutations
from random import Random

import msgspec

from ripstop.core.address import Range
from ripstop.core.effects import Announce, Answer, Effect, Internal, Notice, Save, Tell
from ripstop.core.errors import ExhaustedError, RequestError
from ripstop.core.ipam.allocator import Allocator
from ripstop.core.ipam.counting import Counting
from ripstop.core.ipam.messages import IpamMessage
from ripstop.core.ipam.paxos import Consensus, Init, Observer
from ripstop.core.ipam.ring import Ring
from ripstop.core.ipam.saved import Disk
from ripstop.core.mesh.messages import Entry
from ripstop.core.names import ContainerId, PeerName, RequestId

UNIVERSE = Range.parse("10.32.0.0/27")  # small, so that it runs out
STORM = 1000  # messages under way at once, far more than a few peers ever have to say


def peer_name(number: int) -> PeerName:
    """Return the name of the peer with a number."""
    return PeerName(f"{number:016x}")


class Host:
    """One peer: its disk, its copy of the replicated entries, and its allocator while it runs."""

    def __init__(self, name: PeerName, universe: Range, init: Init) -> None:
        self.name, self.universe, self.init = name, universe, init
        self.disk: dict[str, bytes] = {}
        self.entries: dict[str, Entry] = {}
        self.counting = Counting()
        self.revision = 0  # of `entries`: grows with every change
        self.allocator: Allocator | None = None
        self.ghost: Allocator | None = None  # what would be if it were started now, for the checks
        self.is_on = True  # the machine; its containers run as long, whatever its daemon does
        self.has_adopted = True  # whether a daemon has seen all containers since the disk was exchanged
        self.backup: dict[str, bytes] | None = None  # an earlier state of the disk
        self.restored = Disk.CURRENT  # what is known of the disk at the next start

    def merge(self, entries: Iterable[Entry]) -> list[Entry]:
        """Keep the greatest entry of each key, as the mesh does; return what was news."""
        news: dict[str, Entry] = {}
        for entry in entries:
            known = self.entries.get(entry.key)
            if known is entry:
                continue
            if known is None or _order(entry) > _order(known):
                self.entries[entry.key] = news[entry.key] = entry
        if news:
            self.revision += 1
        for key in self.counting.take(news.values()):
            del self.entries[key]
            news.pop(key, None)
        return list(news.values())


class World:
    """Hosts, the time, and what is under way between them."""

    def __init__(self, count: int, rng: Random, universe: Range = UNIVERSE, init: Init | None = None) -> None:
        self.now, self.rng = 0.0, rng
        self.hosts = {
            name: Host(name, universe, init or Consensus(count)) for name in (peer_name(n + 1) for n in range(count))
        }
        self.flights: list[tuple[float, PeerName, PeerName, IpamMessage]] = []  # told, not yet heard
        self.groups: dict[PeerName, int] = dict.fromkeys(self.hosts, 0)  # hosts with the same number reach each other
        self.results: dict[RequestId, int | RequestError] = {}
        self.notices: list[Notice] = []
        self.loss = self.doubling = self.crashes = (
            0.0  # how likely: a message is lost, comes twice; a call ends in a crash
        )
        self.promised: dict[tuple[PeerName, ContainerId], dict[int, str]] = {}  # containers' addresses, and their rings
        self._asked: dict[RequestId, tuple[PeerName, ContainerId]] = {}
        self._requests = 0
        self._resets: dict[RequestId, None] = {}
        self._equal: dict[tuple[PeerName, PeerName], tuple[int, int]] = {}  # revisions at which two had equal entries
        for name in self.hosts:
            self.start(name)

    def host(self, number: int) -> Host:
        """Return the host with a number, from 1."""
        return self.hosts[peer_name(number)]

    def allocator(self, number: int) -> Allocator:
        """Return the allocator of a running host."""
        allocator = self.host(number).allocator
        assert allocator is not None
        return allocator

    def ring(self, number: int) -> Ring:
        """Return the ring as a running host knows it."""
        ring = self.allocator(number).ring
        assert ring is not None
        return ring

    def start(self, name: PeerName) -> None:
        """Start a peer from what is on its disk, and tell it which containers there are."""
        host = self.hosts[name]
        disk, host.is_on = host.restored, True
        rng = Random(self.rng.random())
        host.allocator = Allocator(name, host.universe, host.init, dict(host.disk), self.now, rng, disk)
        self.call(name, host.allocator.tick(self.now))
        if host.allocator is not None:
            host.restored = Disk.CURRENT  # what follows from its age is on it now
        living = {container: list(has) for (owner, container), has in self.promised.items() if owner == name}
        if host.allocator is not None:
            self.call(name, host.allocator.reconcile(living, self.now))
        host.has_adopted = host.has_adopted or host.allocator is not None
        self.reach()

    def stop(self, name: PeerName) -> None:
        """End a peer without warning; only its disk stays."""
        host = self.hosts[name]
        host.allocator, host.entries, host.counting = None, {}, Counting()
        host.revision += 1
        host.ghost = Allocator(name, host.universe, host.init, dict(host.disk), self.now, Random(0), host.restored)
        self.reach()

    def power_off(self, number: int) -> None:
        """Let a machine go off, and its containers with it."""
        name = peer_name(number)
        host = self.hosts[name]
        host.is_on = False
        if host.restored is Disk.CURRENT:
            host.restored = Disk.UNSURE
        self.promised = {who: addresses for who, addresses in self.promised.items() if who[0] != name}
        self.stop(name)

    def wipe(self, number: int, *, keep_containers: bool = False) -> None:
        """Let a peer lose its disk, and its containers unless told otherwise."""
        name = peer_name(number)
        if not keep_containers:
            self.power_off(number)
        self.stop(name)
        self.hosts[name].disk.clear()
        self.hosts[name].has_adopted, self.hosts[name].restored = False, Disk.CURRENT
        self.start(name)

    def back_up(self, number: int) -> None:
        """Keep a copy of a disk."""
        self.host(number).backup = dict(self.host(number).disk)

    def put_back(self, number: int) -> None:
        """Put the copy of a disk back, which the daemon then finds to be another file."""
        host = self.host(number)
        if host.backup is not None:
            self.stop(host.name)
            host.disk, host.restored = dict(host.backup), Disk.OLD
            host.has_adopted = False
            self.start(host.name)

    def reach(self) -> None:
        """Tell every running peer whom it can reach."""
        for name, host in self.hosts.items():
            if host.allocator is not None:
                peers = [other for other in self.hosts if other != name and self.connected(name, other)]
                self.call(name, host.allocator.set_reachable(peers, self.now))

    def connected(self, one: PeerName, other: PeerName) -> bool:
        """Return whether two peers run and can reach each other."""
        both = self.hosts[one].allocator is not None and self.hosts[other].allocator is not None
        return both and self.groups[one] == self.groups[other]

    def split(self, *groups: Iterable[int]) -> None:
        """Cut the hosts with these numbers off from those of other groups; those not named form one group."""
        self.groups = dict.fromkeys(self.hosts, 0)
        for index, group in enumerate(groups):
            for number in group:
                self.groups[peer_name(number)] = index + 1
        self.reach()

    def allocate(self, number: int, container: str, subnet: Range | None = None, wait: float = 10.0) -> RequestId:
        """Ask a host for an address for a container."""
        request = self.request(number, container)
        allocator = self.allocator(number)
        within = subnet or self.host(number).universe
        self.call(peer_name(number), allocator.allocate(request, ContainerId(container), within, wait, self.now))
        return request

    def claim(self, number: int, container: str, address: int, wait: float = 10.0) -> RequestId:
        """Tell a host that a container has an address."""
        request = self.request(number, container)
        effects = self.allocator(number).claim(request, ContainerId(container), address, wait, self.now)
        self.call(peer_name(number), effects)
        return request

    def release(self, number: int, container: str) -> None:
        """Take a container's addresses."""
        name = peer_name(number)
        self.promised.pop((name, ContainerId(container)), None)
        self.call(name, self.allocator(number).release(ContainerId(container), self.now))

    def remove(self, number: int, dead: Iterable[int], wait: float = 10.0, *, force: bool = False) -> RequestId:
        """Have a host take over what dead ones owned."""
        request = self.request(number, "")
        names = [peer_name(one) for one in dead]
        self.call(peer_name(number), self.allocator(number).remove(request, names, wait, self.now, force=force))
        return request

    def prime(self, number: int, wait: float = 10.0) -> RequestId:
        """Have a host see to it that there is a ring."""
        request = self.request(number, "")
        self.call(peer_name(number), self.allocator(number).prime(request, wait, self.now))
        return request

    def observe(self, number: int) -> None:
        """Let a host begin as an observer."""
        name = peer_name(number)
        self.stop(name)
        self.hosts[name].disk.clear()
        self.hosts[name].init = Observer()
        self.start(name)

    def reset(self, number: int, wait: float = 10.0) -> RequestId:
        """Have a host leave the ring; once it has, its disk is empty."""
        request = self.request(number, "")
        self._resets[request] = None
        self.call(peer_name(number), self.allocator(number).reset(request, wait, self.now))
        return request

    def request(self, number: int, container: str) -> RequestId:
        """Return a new request's id."""
        self._requests += 1
        self._asked[RequestId(self._requests)] = peer_name(number), ContainerId(container)
        return RequestId(self._requests)

    def call(self, name: PeerName, effects: list[Effect | Internal]) -> None:
        """Perform what an allocator asked for, or only the first of it if its host is to crash."""
        host = self.hosts[name]
        crash = self.rng.random() < self.crashes
        for effect in effects[: self.rng.randint(0, len(effects))] if crash else effects:
            match effect:
                case Save(items):
                    for key, value in items:
                        if value is None:
                            host.disk.pop(key, None)
                        else:
                            host.disk[key] = value
                case Announce(entries):
                    host.merge(entries)
                case Tell(peer, body):
                    for _ in range(2 if self.rng.random() < self.doubling else 1):
                        if self.rng.random() >= self.loss:
                            assert len(self.flights) < STORM, "what is told makes others tell more and more"
                            self.flights.append((self.now + self.rng.uniform(0.001, 0.05), name, peer, body))
                case Answer(request, result):
                    assert request not in self.results, "answered twice"
                    self.results[request] = result
                    if isinstance(result, int) and self._asked[request][1]:
                        assert host.allocator is not None
                        ring = host.allocator.ring.id if host.allocator.ring else ""
                        self.promised.setdefault(self._asked[request], {}).setdefault(result, ring)
                case Notice():
                    self.notices.append(effect)
                case _:
                    raise AssertionError(f"an allocator has no business with {effect}")
        if crash:
            self.stop(name)
        for effect in () if crash else effects:
            if isinstance(effect, Answer) and effect.request in self._resets and isinstance(effect.result, int):
                self.stop(name)  # it has left: the state goes
                host.disk.clear()
                host.has_adopted = False
                self.start(name)

    def gossip(self, one: PeerName, other: PeerName, share: float = 1.0) -> None:
        """Let a peer send another its entries, or a random part of them, in random order."""
        source, host = self.hosts[one], self.hosts[other]
        revisions = source.revision, host.revision
        if self._equal.get((one, other)) == revisions or not self.connected(one, other):
            return
        if host.entries == source.entries:
            self._equal[one, other] = revisions
            return
        entries = [entry for _, entry in sorted(source.entries.items()) if self.rng.random() < share]
        self.rng.shuffle(entries)
        news = host.merge(entries)
        if news and host.allocator is not None:
            self.call(other, host.allocator.learn(news, self.now))

    def gossip_all(self, share: float = 1.0) -> None:
        """Let every peer send every other its entries."""
        running = [name for name, host in self.hosts.items() if host.allocator is not None]
        for one, other in permutations(running, 2):
            self.gossip(one, other, share)

    def deliver(self, index: int) -> None:
        """Let a message arrive; it is lost if its receiver cannot be reached."""
        _, source, to, body = self.flights.pop(index)
        allocator = self.hosts[to].allocator
        if allocator is not None and self.connected(source, to):
            self.call(to, allocator.hear(source, body, self.now))

    def run(self, seconds: float, step: float = 0.05, *, check: bool = True, until: Sequence[RequestId] = ()) -> None:
        """Let time pass, with gossip all along; no more once all of these requests are answered."""
        end = self.now + seconds
        while self.now < end and not (until and all(request in self.results for request in until)):
            self.now += step
            if self.rng.random() >= self.loss:
                self.gossip_all(1.0 - self.loss)
            while due := [i for i, flight in enumerate(self.flights) if flight[0] <= self.now]:
                self.deliver(self.rng.choice(due))
            self.tick()
        if check:
            self.check()

    def tick(self) -> None:
        """Let every peer do what is due."""
        for name, host in self.hosts.items():
            if host.allocator is not None and self.now >= host.allocator.deadline:
                self.call(name, host.allocator.tick(self.now))

    def address(self, request: RequestId) -> int:
        """Return the address that a request was answered with."""
        result = self.results[request]
        assert isinstance(result, int), result
        return result

    def error(self, request: RequestId) -> RequestError:
        """Return the refusal that a request was answered with."""
        result = self.results[request]
        assert isinstance(result, RequestError), result
        return result

    def settle(self) -> None:
        """Make everything work again, and wait until there is peace."""
        self.loss = self.doubling = self.crashes = 0.0
        for name, host in self.hosts.items():
            if host.allocator is None:
                self.start(name)
        self.split()
        for _ in range(8):
            self.run(15.0, step=0.5)
            self.gossip_all()  # of what the last tick did
            if self.is_peaceful():
                return

    def rings_of(self, allocator: Allocator) -> list[str]:
        """Return the rings in which the containers on a peer's host got their addresses."""
        (name,) = [name for name, host in self.hosts.items() if host.allocator is allocator]
        return [ring for (owner, _), has in self.promised.items() if owner == name for ring in has.values()]

    def is_peaceful(self) -> bool:
        """Return whether nobody waits for anything."""
        seen = [host.allocator.status() for host in self.hosts.values() if host.allocator is not None]
        return not any(one.waiting or one.strays or one.contested or one.doubt or one.taking for one in seen)

    def check_peace(self) -> None:
        """Assert what must hold once there is peace: peers in one ring agree, and every free address can be had."""
        allocators = [host.allocator for host in self.hosts.values() if host.allocator is not None]
        if len({a.ring.id if a.ring else "" for a in allocators}) > 1:
            return  # people must decide which of them is to stay
        if any(ring != (a.ring.id if a.ring else "") for a in allocators for ring in self.rings_of(a)):
            return  # containers live on from a ring that its owner has lost: what they have may be in use in this one
        assert self.is_peaceful(), [a.status() for a in allocators]
        rings: dict[str, Ring] = {}
        for allocator in allocators:
            if allocator.ring is not None:
                assert rings.setdefault(allocator.ring.id, allocator.ring).segments == allocator.ring.segments
        if len(rings) != 1 or not all(allocator.ready for allocator in allocators):
            return
        size = len(allocators[0].status().universe)
        lost = size - sum(share.addresses for share in allocators[0].status().shares if not share.lost)
        free = size - 2 - sum(len(allocator.held) for allocator in allocators)
        greedy = self.rng.randrange(len(allocators)) + 1
        requests = [self.allocate(greedy, f"greedy{number}") for number in range(free - lost)]
        self.run(5.0, step=0.1, until=requests)
        assert len({self.address(request) for request in requests}) == len(requests)
        if not lost:
            last = self.allocate((greedy % len(allocators)) + 1, "last")
            self.run(5.0, step=0.1, until=[last])
            assert isinstance(self.error(last), ExhaustedError), self.results[last]

    def check(self) -> None:
        """Assert that within a ring no two containers have one address, and no two peers own one, dead or alive."""
        owners: dict[tuple[str, int], PeerName] = {}
        having: dict[tuple[str, int], tuple[PeerName, ContainerId]] = {}
        for who, addresses in self.promised.items():
            for address, of_ring in addresses.items():
                assert (of_ring, address) not in having, (address, having[of_ring, address], who)
                having[of_ring, address] = who
        for name, host in self.hosts.items():
            allocator = host.allocator or host.ghost
            if allocator is None:
                continue
            ring, held = allocator.ring.id if allocator.ring else "", allocator.held
            for owned in () if allocator.in_doubt else allocator.owned:
                for address in owned:
                    assert (ring, address) not in owners, (address, owners[ring, address], name)
                    owners[ring, address] = name
            strays = allocator.strays
            for address, container in held:
                if address in host.universe and address not in strays and not allocator.in_doubt and ring:
                    assert owners.get((ring, address)) == name, (address, container)
            here = dict(held)
            for (promisee, container), addresses in self.promised.items() if host.has_adopted else ():
                for address in addresses if promisee == name else ():
                    assert here.get(address) == container, (address, container)


def _order(entry: Entry) -> tuple[int, bytes]:
    return entry.version, msgspec.msgpack.encode(entry.value)
