"""Whom to dial, and when again.

Two kinds of wish: *targets*, given by the user, and *peers*, known from their records.  A small mesh connects every
pair; a large one gives each peer a logarithmic number of neighbors, at the distances 1, 2, 4 … in the order of names,
so that every peer computes its own without asking and together they always connect the mesh.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random

from ripstop.core.effects import Dial
from ripstop.core.events import Endpoint
from ripstop.core.mesh.messages import PeerRecord
from ripstop.core.names import PeerName

FIRST_RETRY = 1.0  # seconds
RETRY_GROWTH = 1.5  # per failed round
RETRY_LIMIT = 60.0  # seconds
JITTER = 0.25  # of the delay, either way
COURTESY = 1.0  # seconds that the higher-named of two peers waits, so that not both dial
FULL_MESH = 64  # peers up to which every pair connects


@dataclass(slots=True)
class Wish:
    """One peer or target that we want a connection to."""

    endpoints: tuple[Endpoint, ...]  # tried in turn
    retry_at: float  # seconds
    delay: float = FIRST_RETRY
    next_endpoint: int = 0
    error: str = ""  # of the last attempt

    @property
    def endpoint(self) -> Endpoint:
        """Which of the endpoints is next, or under way."""
        return self.endpoints[self.next_endpoint]

    def urge(self, now: float) -> None:
        """Try at once: there is reason to think that it will work."""
        self.retry_at, self.delay = now, FIRST_RETRY


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target for people."""

    endpoint: Endpoint
    state: str  # "connected" | "dialing" | "waiting"
    retry_in: float | None  # seconds; None unless waiting
    error: str  # why the last attempt failed, "" if none did


class Connector:
    """Makes every `Dial` of this peer."""

    def __init__(self, own: PeerName, discovers: bool, is_connected: Callable[[PeerName], bool], rng: Random) -> None:
        """Begin without wishes; unless `discovers`, nothing but targets is ever dialed."""
        self.deadline = math.inf  # when `tick` next has something to do, seconds
        self._own = own
        self._discovers = discovers
        self._rng = rng
        self._targets: dict[Endpoint, Wish] = {}
        self._peers: dict[PeerName, Wish] = {}
        self._dialing: dict[Endpoint, None] = {}
        self._leads_to: dict[Endpoint, PeerName] = {}  # where targets were found to lead
        self._is_connected = is_connected

    @property
    def targets(self) -> tuple[Endpoint, ...]:
        """The targets, in the order given."""
        return tuple(self._targets)

    def add(self, targets: Iterable[Endpoint], now: float) -> None:
        """Dial these from now on; one that is a target already is tried at once."""
        for target in targets:
            self._targets.setdefault(target, Wish((target,), now)).urge(now)
        self._schedule()

    def forget(self, targets: Iterable[Endpoint]) -> None:
        """Dial these no more."""
        for target in targets:
            self._targets.pop(target, None)
        self._schedule()

    def know(self, records: tuple[PeerRecord, ...], now: float) -> None:
        """Follow the records of the other peers that are there, sorted by name; a changed address is tried at once."""
        if not self._discovers:
            return
        wanted = neighbors(self._own, tuple(record.name for record in records))
        known = self._peers
        self._peers = {}
        for record in records:
            endpoints = tuple(Endpoint(address, record.port) for address in record.addresses)
            if record.name not in wanted or not endpoints:
                continue
            wish = known.get(record.name)
            if wish is None:
                wish = Wish(endpoints, now if self._own < record.name else now + COURTESY)
            elif wish.endpoints != endpoints:
                wish.endpoints, wish.next_endpoint = endpoints, 0
                wish.urge(now)
            self._peers[record.name] = wish
        self._schedule()

    def urge(self, peer: PeerName, now: float) -> None:
        """The peer was seen elsewhere: if it was given up for a while, do not wait any longer."""
        failed = [wish for wish in self._wishes_of(peer) if wish.error]
        for wish in failed:
            wish.urge(now)
        if failed:
            self._schedule()

    def urge_all(self, now: float) -> None:
        """Our own addresses changed: what failed may work now, and what led to ourselves may lead elsewhere."""
        self._leads_to = {endpoint: peer for endpoint, peer in self._leads_to.items() if peer != self._own}
        for wish in (*self._targets.values(), *self._peers.values()):
            wish.urge(now)
        self._schedule()

    def dialed(self, endpoint: Endpoint) -> None:
        """An attempt has got through; what comes of it is told by `leads_to` or `fail`."""
        self._dialing.pop(endpoint, None)

    def leads_to(self, endpoint: Endpoint, peer: PeerName, now: float) -> None:
        """A session to this endpoint was greeted by this peer, perhaps by ourselves."""
        self._leads_to[endpoint] = peer
        meant = self._wishes_of(peer)
        for wish in meant:
            wish.error, wish.delay = "", FIRST_RETRY
        for wish in self._wishes_for(endpoint):
            if wish not in meant:
                self._advance(wish, "ourselves" if peer == self._own else f"this is {peer}", now)
        self._schedule()

    def fail(self, endpoint: Endpoint, reason: str, now: float) -> None:
        """An attempt failed, or a session ended before anybody said hello."""
        self._dialing.pop(endpoint, None)
        for wish in self._wishes_for(endpoint):
            self._advance(wish, reason, now)
        self._schedule()

    def lost(self, peer: PeerName, now: float) -> None:
        """The connection to a peer is gone: dial it again soon."""
        for wish in self._wishes_of(peer):
            courtesy = 0.0 if self._own < peer else COURTESY / 2
            wish.retry_at = now + courtesy + self._rng.uniform(0.0, JITTER)
        self._schedule()

    def tick(self, now: float) -> list[Dial]:
        """Dial what is due."""
        dials: list[Dial] = []
        for wish in self._open_wishes():
            if wish.retry_at <= now:
                endpoint = wish.endpoint
                if self._leads_to.get(endpoint) == self._own:
                    self._advance(wish, "ourselves", now)
                    continue
                wish.retry_at = now + RETRY_LIMIT  # until we hear what became of it
                if endpoint not in self._dialing:
                    self._dialing[endpoint] = None
                    dials.append(Dial(endpoint))
        self._schedule()
        return dials

    def error(self, peer: PeerName) -> str:
        """Return why the last attempt to reach a peer failed, "" if none did."""
        wish = self._peers.get(peer)
        return wish.error if wish else ""

    def is_dialing(self, peer: PeerName) -> bool:
        """Return whether an attempt to reach a peer is under way."""
        wish = self._peers.get(peer)
        return wish is not None and any(endpoint in self._dialing for endpoint in wish.endpoints)

    def view(self, now: float) -> tuple[TargetView, ...]:
        """Return all targets for people."""
        views = []
        for target, wish in self._targets.items():
            if self._is_done(target):
                views.append(TargetView(target, "connected", None, ""))
            elif target in self._dialing:
                views.append(TargetView(target, "dialing", None, wish.error))
            else:
                views.append(TargetView(target, "waiting", max(0.0, wish.retry_at - now), wish.error))
        return tuple(views)

    def _is_done(self, target: Endpoint) -> bool:
        peer = self._leads_to.get(target)
        return peer is not None and (peer == self._own or self._is_connected(peer))

    def _open_wishes(self) -> list[Wish]:
        targets = [wish for target, wish in self._targets.items() if not self._is_done(target)]
        return targets + [wish for peer, wish in self._peers.items() if not self._is_connected(peer)]

    def _wishes_for(self, endpoint: Endpoint) -> list[Wish]:
        """Return the wishes that wait for this endpoint."""
        return [wish for wish in (*self._targets.values(), *self._peers.values()) if wish.endpoint == endpoint]

    def _wishes_of(self, peer: PeerName) -> list[Wish]:
        """Return the wishes that a connection to this peer fulfils."""
        found = [wish for target, wish in self._targets.items() if self._leads_to.get(target) == peer]
        return found + ([self._peers[peer]] if peer in self._peers else [])

    def _advance(self, wish: Wish, reason: str, now: float) -> None:
        """Go on to the next address; after the last of them, wait, longer each time."""
        wish.error = reason
        wish.next_endpoint = (wish.next_endpoint + 1) % len(wish.endpoints)
        wish.retry_at = now
        if wish.next_endpoint == 0:
            wish.retry_at += wish.delay * self._rng.uniform(1 - JITTER, 1 + JITTER)
            wish.delay = min(wish.delay * RETRY_GROWTH, RETRY_LIMIT)

    def _schedule(self) -> None:
        self.deadline = min((wish.retry_at for wish in self._open_wishes()), default=math.inf)


def neighbors(own: PeerName, others: tuple[PeerName, ...]) -> Mapping[PeerName, None]:
    """Return whom of `others`, sorted, we want a connection to: all of a small mesh, few of a large one."""
    if len(others) < FULL_MESH:
        return dict.fromkeys(others)
    ring = sorted((*others, own))
    here = ring.index(own)
    steps = (1 << i for i in range(len(ring).bit_length()))
    return dict.fromkeys(ring[(here + step) % len(ring)] for step in steps if step < len(ring))
