"""Which ring this peer is in: one agreed on with the others, one that is there already, or one that people named."""

from collections.abc import Callable, Mapping
from math import inf
from random import Random

from msgspec.structs import replace

from ripstop.core.address import Range
from ripstop.core.ipam.foreign import Sightings
from ripstop.core.ipam.messages import Ballot, RingStart, Token
from ripstop.core.ipam.paxos import NO_PROPOSAL, Consensus, Election, Init, Observer, Seed
from ripstop.core.ipam.ring import Owner, ring_id
from ripstop.core.ipam.saved import Disk, Outbox, Saved
from ripstop.core.names import PeerName


class Council:
    """Keeps our ballot and what we know of others', and says which ring to enter."""

    def __init__(
        self, own: PeerName, universe: Range, init: Init, saved: Saved, disk: Disk, name: Callable[[PeerName], str],
        rng: Random,
    ) -> None:  # fmt: skip
        self.sightings = Sightings(universe)
        self._own, self._universe, self._name, self._rng = own, universe, name, rng
        self._version, old = saved.ballot or (0, None)
        self._saved = old
        if old is not None and saved.universe == universe:
            self._ballot = old
        else:
            self._ballot = self._new_ballot()
        self._reborn = saved.reborn
        self._votes = not isinstance(init, Observer)
        self._ballot = replace(self._ballot, votes=self._votes)
        if disk is Disk.OLD:  # what this owner did last is not known here
            self.leave()
        self._seeded = self._seed(init)
        self._election = Election(own, universe, init.expected if isinstance(init, Consensus) else 1, rng)
        self._reported: dict[str, None] = {}  # rings, and our own name: of what people were told already
        if saved.start is not None and saved.universe == universe:
            self.sightings.hear_start(ring_id(saved.start), saved.start)

    @property
    def owner(self) -> Owner:
        """Ourselves, as the ring knows us."""
        return Owner(self._own, self._ballot.birth, self._reborn)

    @property
    def deadline(self) -> float:
        """When the election needs another `step`, in seconds."""
        return inf if self._ballot.ring else self._election.deadline

    @property
    def votes(self) -> bool:
        """Whether this peer takes part in dividing the addresses; else it waits for others to have done it."""
        return self._votes

    def electors(self, reachable: Mapping[PeerName, None]) -> tuple[int, int]:
        """Return how many peers are here to agree on a first ring, with ourselves, and how many it takes."""
        peers = self._peers(reachable)
        return len(peers) + 1, self._election.quorum(len(peers))

    def is_lost(self, token: Token) -> bool:
        """Return whether the owner of a token has come back without its state."""
        if token.owner == self._own:
            return not self.owner.owns(token)
        ballot = self.sightings.ballots.get(token.owner)
        return ballot is not None and token.birth not in (0, ballot.birth)

    def waiting(self, reachable: Mapping[PeerName, None]) -> bool:
        """Return whether anybody who can be reached waits for a first ring."""
        return any(ballot.waits for peer, ballot in self.sightings.ballots.items() if peer in reachable)

    def in_the_way(self, reachable: Mapping[PeerName, None]) -> list[PeerName]:
        """Return the reachable peers whose containers hold addresses of another universe that overlaps ours."""
        strangers = self.sightings.strangers
        return [
            peer for peer in self.sightings.in_use if peer in reachable and strangers[peer].overlaps(self._universe)
        ]

    def heir(self, ring: str, reachable: Mapping[PeerName, None]) -> Owner | None:
        """Return a reachable peer that stays in a ring."""
        staying = (peer for peer in self.sightings.users(ring) if peer in reachable)
        return next((Owner(peer, self.sightings.ballots[peer].birth) for peer in staying), None)

    def hear_ballot(self, peer: PeerName, version: int, ballot: Ballot, out: Outbox) -> None:
        """Take a ballot from the mesh; our own can come back, from before our disk was lost or put back."""
        if peer == self._own:
            self._recover(version, ballot, out)
        elif self.sightings.hear_ballot(peer, ballot):
            theirs = Range(*ballot.universe)
            out.notice(
                "error", f"peer {self._name(peer)} shares out {theirs}, we {self._universe}: no addresses in common"
            )

    def step(
        self, ring: str, holds: bool, reachable: Mapping[PeerName, None], wanted: bool, now: float, out: Outbox
    ) -> RingStart | None:
        """Return the ring to enter next; None to stay as it is.

        Args:
            ring: id of the ring we are in, "" for none.
            holds: whether containers here hold addresses of the universe.
            reachable: the peers that can be reached.
            wanted: whether a container here waits.
            now: in seconds.
            out: for what people should know.
        """
        if not ring and self.in_the_way(reachable):
            return None  # containers there have addresses that we would give out
        if not ring and self._seeded is not None:
            self.sightings.hear_start(ring_id(self._seeded), self._seeded)
            return self._seeded
        given = self._seeded is not None and ring == ring_id(self._seeded)  # by people, who must take it back
        best = ring if given else self.sightings.best(ring, holds)
        if best and best != ring:
            return self.sightings.starts[best]
        if ring:
            self._report_foreign(ring, out)
            return None
        if not self._votes:
            return None
        self._ballot, decided = self._election.step(
            self._ballot, self.sightings.ballots, self._peers(reachable), wanted or self.waiting(reachable), now
        )
        if decided is not None:
            self.sightings.hear_start(ring_id(decided), decided)
        return decided

    def leave(self) -> None:
        """Be a new owner from now on: what we owned before is not ours any more, whatever we hear of it."""
        self._ballot = replace(self._ballot, birth=self._draw_birth())
        self._reborn = True

    def publish(self, ring: str, holds: bool, waits: bool, new: bool, out: Outbox, *, always: bool = False) -> None:
        """Save and announce our ballot if it changed."""
        before, waits = self._ballot, waits and not ring
        if (before.ring, before.holds, before.waits, before.new) != (ring, holds, waits, new):
            self._ballot = replace(before, ring=ring, holds=holds, waits=waits, new=new)
        if self._ballot is not self._saved and self._ballot != self._saved:
            self._version += 1
            self._saved = self._ballot
            out.save_universe(self._universe)
            out.save_ballot(self._version, self._ballot)
            if self._reborn:
                out.save_reborn()
        elif not always:
            return
        out.announce(f"paxos/{self._own}", self._version, self._ballot)

    def foreign(self, ring: str) -> tuple[str, ...]:
        """Return one line for each ring of other peers that is not ours, and for each peer with another universe."""
        others = [(other, self.sightings.users(other)) for other in sorted(self.sightings.starts) if other != ring]
        rings = [
            f"ring {other} of {', '.join(map(self._name, peers))} is not ours: both may give out equal addresses;"
            " `ripstop reset` on the hosts of one joins the other"
            for other, peers in others
            if peers
        ]
        strangers = sorted(self.sightings.strangers.items())
        text = f"not {self._universe}: start all hosts with the same --range"
        return (*rings, *(f"peer {self._name(peer)} shares out {theirs}, {text}" for peer, theirs in strangers))

    def _peers(self, reachable: Mapping[PeerName, None]) -> tuple[PeerName, ...]:
        ballots, strangers = self.sightings.ballots, self.sightings.strangers
        return tuple(
            peer for peer in reachable if peer not in strangers and (peer not in ballots or ballots[peer].votes)
        )

    def _seed(self, init: Init) -> RingStart | None:
        if not isinstance(init, Seed):
            return None
        return RingStart(self._universe.start, self._universe.end, tuple(sorted(init.names)))

    def _recover(self, version: int, ballot: Ballot, out: Outbox) -> None:
        """Keep the promises of a former self that we know nothing of, and be heard again."""
        if version < self._version or ballot == self._saved or ballot.universe != self._ballot.universe:
            self._version = max(version, self._version)
            return
        self._version = version
        if ballot.accepted > self._ballot.accepted:
            value = replace(self._ballot, accepted=ballot.accepted, members=ballot.members)
            self._ballot = replace(value, nonce=ballot.nonce, births=ballot.births)
        self._ballot = replace(self._ballot, promised=max(ballot.promised, self._ballot.promised))
        self._saved = None
        if ballot.birth != self._ballot.birth:
            self._reborn = True
            out.save_reborn()
            if self._own not in self._reported:  # a clone of ours would have us say it for ever
                self._reported[self._own] = None
                text = "this peer has been here before, but its state is gone: what it owned is not given out"
                out.notice("error", text)

    def _report_foreign(self, ring: str, out: Outbox) -> None:
        """Say once that two rings met which both must stay."""
        held = {ballot.ring for ballot in self.sightings.ballots.values() if ballot.holds}
        for other in sorted(self.sightings.starts):
            if other != ring and other in held and other not in self._reported:
                self._reported[other] = None
                peers = ", ".join(map(self._name, self.sightings.users(other)))
                text = f"peers {peers} hold addresses of another ring ({other}, ours is {ring}): both stay, apart, and"
                out.notice("error", f"{text} may give out equal addresses; reset one side to join the other")

    def _new_ballot(self) -> Ballot:
        universe = (self._universe.start, self._universe.end)
        return Ballot(NO_PROPOSAL, NO_PROPOSAL, (), universe=universe, birth=self._draw_birth())

    def _draw_birth(self) -> int:
        return self._rng.getrandbits(63) | 1  # never 0, which stands for anybody
