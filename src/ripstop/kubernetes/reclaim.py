"""One peer whose Node is gone: check, take its Lease, write it off, delete the Lease.

Every step may be the last that we do, and may have been done by somebody else. Each attempt begins with the check (is
the Node gone, is our daemon able to take over), so that what was true before a rest is not relied on after it; and with
taking the Lease anew, which tells the others that we are still at it. The daemons themselves write a peer off once,
however many ask for it: the Lease spares them the asking.
"""

from math import inf
from random import Random

from ripstop.core.names import PeerName
from ripstop.kubernetes.chore import Chore
from ripstop.kubernetes.messages import Action, CheckNode, DropLease, TakeLease, WriteOff
from ripstop.kubernetes.objects import Lease

HOLD = 30  # seconds after which a Lease that was not written again is free


class Reclaim:
    """What is known of the Lease, and the next step."""

    def __init__(self, lease: Lease, own: str, rng: Random, now: float) -> None:
        """Begin.

        Args:
            lease: of the peer, as it was found.
            own: how we sign Leases.
            rng: for rests.
            now: seconds.
        """
        self.lease = lease
        self.finished = False
        self._own, self._seen_at = own, now
        self._chore = Chore(rng, due=now + rng.random())  # so that not all nodes take it at once
        self._step: type[CheckNode | TakeLease | WriteOff | DropLease] = CheckNode

    @property
    def due(self) -> float:
        """When the next step is to be begun, in seconds."""
        return inf if self.finished else max(self._chore.due, self._free_at)

    @property
    def error(self) -> str:
        """Why the last attempt failed."""
        return self._chore.error

    @property
    def _free_at(self) -> float:
        """When whoever holds the Lease has been silent for too long: by our clock, from when we saw it so first."""
        return self._seen_at + HOLD if self.lease.holder not in ("", self._own) else 0.0

    def found(self, lease: Lease, now: float) -> None:
        """Take the Lease as it is now."""
        if lease.metadata.resource_version != self.lease.metadata.resource_version and not self._chore.running:
            self.lease, self._seen_at = lease, now

    def begin(self, live: tuple[PeerName, ...]) -> Action:
        """Return the next step."""
        self._chore.begin()
        if issubclass(self._step, WriteOff):
            return WriteOff(self.lease, live)
        return self._step(self.lease)

    def checked(self, gone: bool, now: float) -> None:
        """Go on if the Node is gone; else there is nothing to do."""
        self._next(TakeLease, now)
        self.finished = not gone

    def taken(self, lease: Lease, now: float) -> None:
        """The Lease is ours."""
        self.lease, self._seen_at = lease, now
        self._next(WriteOff, now)

    def done(self, now: float) -> None:
        """The peer is written off, or the Lease deleted."""
        self.finished = self._step is DropLease
        self._next(DropLease, now)

    def fail(self, error: str, now: float, *, gone: bool, changed: bool) -> None:
        """Begin anew after a rest; a Lease that is gone was dealt with by somebody, one that has changed is theirs."""
        self._step = CheckNode
        self._chore.fail(error, now)
        self.finished = gone or changed  # the next look at all Leases finds it, if it is still there

    def _next(self, step: type[TakeLease | WriteOff | DropLease], now: float) -> None:
        self._step = step
        self._chore.go_on(now)
