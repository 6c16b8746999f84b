"""How peers that know nothing yet agree on the first ring: Paxos, with ballots that spread by gossip.

Each peer is proposer, acceptor and learner.  All it ever says is its ballot: what it has promised and what it has
accepted.  Ballots only ever grow, so news that is lost, late or doubled does no harm: seeing a ballot is as good as
getting the messages that led to it.

Source: L. Lamport, Paxos Made Simple (2001), section 2.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from random import Random

from msgspec.structs import replace

from ripstop.core.address import Range
from ripstop.core.ipam.messages import Ballot, RingStart
from ripstop.core.names import PeerName

NO_PROPOSAL = (0, PeerName(""))
GATHER = 0.5  # seconds a proposer with a quorum waits for the other reachable peers, so that all get a share
RETRY = (1.0, 2.0)  # seconds, drawn evenly: before proposing against, or after, a proposal that came to nothing
MAX_RETRY = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Consensus:
    """The peers agree on the first ring: a majority of the expected number must be there."""

    expected: int


@dataclass(frozen=True, slots=True)
class Seed:
    """The first ring is divided among these peers; every peer must be given the same names."""

    names: tuple[PeerName, ...]


@dataclass(frozen=True, slots=True)
class Observer:
    """This peer neither votes nor gets a share; it takes the ring that others make."""


Init = Consensus | Seed | Observer


def follow(own: Ballot, heard: Iterable[Ballot]) -> Ballot:
    """Return our ballot after having done what the proposals in other ballots ask for."""
    ballots = list(heard)
    for other in sorted(ballots, key=lambda ballot: ballot.accepted):
        if other.accepted >= own.promised and other.accepted > own.accepted:
            own = _accept(own, other.accepted, other)
    promised = max((ballot.promised for ballot in ballots), default=NO_PROPOSAL)
    return replace(own, promised=promised) if promised > own.promised else own


def propose(own: Ballot, name: PeerName, heard: Iterable[Ballot]) -> Ballot:
    """Return our ballot with a promise to ourselves that is above every proposal known."""
    highest = max([own.promised[0], *(ballot.promised[0] for ballot in heard)])
    return replace(own, promised=(highest + 1, name))


def promisers(own: Ballot, heard: Mapping[PeerName, Ballot]) -> dict[PeerName, Ballot]:
    """Return the other ballots that have promised what ours has."""
    return {name: ballot for name, ballot in heard.items() if ballot.promised == own.promised}


def choose(own: Ballot, value: Ballot, promised: Sequence[Ballot]) -> Ballot:
    """Return our ballot having accepted our own proposal, which a quorum has promised.

    Its value is that of the highest proposal that any of the quorum has accepted, for it may be decided already; only
    if there is none, it is the one in `value`.
    """
    highest = max([own, *promised], key=lambda ballot: ballot.accepted)
    return _accept(own, own.promised, highest if highest.accepted > NO_PROPOSAL else value)


def decided(ballots: Iterable[Ballot], quorum: int) -> Ballot | None:
    """Return a ballot with the value that a quorum has accepted in one and the same proposal."""
    votes: dict[tuple[int, PeerName], list[Ballot]] = {}
    for ballot in ballots:
        if ballot.accepted > NO_PROPOSAL:
            votes.setdefault(ballot.accepted, []).append(ballot)
    return next((same[0] for _proposal, same in sorted(votes.items()) if len(same) >= quorum), None)


def _accept(own: Ballot, proposal: tuple[int, PeerName], value: Ballot) -> Ballot:
    return replace(
        own, promised=proposal, accepted=proposal, members=value.members, nonce=value.nonce, births=value.births
    )


class Election:
    """Brings the peers that are there to one first ring; only a peer whose containers wait proposes."""

    def __init__(self, own: PeerName, universe: Range, expected: int, rng: Random) -> None:
        self.deadline = inf  # when `step` next has something to do, in seconds
        self._own, self._universe, self._expected, self._rng = own, universe, expected, rng
        self._propose_at: float | None = None  # None: at once
        self._proposed_at = -inf
        self._attempts = 0

    def quorum(self, reachable: int) -> int:
        """Return how many peers must agree, when so many others can be reached."""
        return max(self._expected, reachable + 1) // 2 + 1

    def step(
        self, own: Ballot, heard: Mapping[PeerName, Ballot], reachable: Sequence[PeerName], wanted: bool, now: float
    ) -> tuple[Ballot, RingStart | None]:
        """Go as far as the ballots known allow.

        Args:
            own: our ballot.
            heard: those of the other peers with our universe.
            reachable: peers that can be reached, without us.
            wanted: whether somebody here waits for the ring.
            now: in seconds.

        Returns:
            our ballot, to be saved and announced if it changed, and the first ring if it is decided.
        """
        quorum = self.quorum(len(reachable))
        voters = {name: ballot for name, ballot in heard.items() if not ballot.ring and ballot.votes}
        after = follow(own, voters.values())
        if after.promised != own.promised:  # somebody else is at it: give them time
            self._propose_at = now + self._rng.uniform(*RETRY)
        if wanted and self._may_propose(after, len(reachable) + 1 >= quorum, now):
            after = propose(after, self._own, voters.values())
            self._attempts += 1
            self._proposed_at = now
            self._propose_at = now + min(self._rng.uniform(*RETRY) * 1.5 ** (self._attempts - 1), MAX_RETRY)
        after = self._choose(after, voters, quorum, reachable, now)
        self.deadline = self._next(after, wanted, len(reachable) + 1 >= quorum, now)
        value = decided([after, *heard.values()], quorum)
        if value is None:
            return after, None
        return after, RingStart(self._universe.start, self._universe.end, value.members, value.nonce, value.births)

    def _may_propose(self, own: Ballot, enough: bool, now: float) -> bool:
        if self._ours_is_open(own) and not enough:
            return False  # another round would find nobody either
        return self._propose_at is None or now >= self._propose_at

    def _choose(
        self, own: Ballot, voters: Mapping[PeerName, Ballot], quorum: int, reachable: Sequence[PeerName], now: float
    ) -> Ballot:
        if not self._ours_is_open(own):
            return own
        promised = promisers(own, voters)
        if len(promised) + 1 < quorum:
            return own
        if any(peer not in promised for peer in reachable) and now < self._proposed_at + GATHER:
            return own
        births = {name: ballot.birth for name, ballot in promised.items()} | {self._own: own.birth}
        members = tuple(sorted(births))
        value = replace(
            own, members=members, births=tuple(births[name] for name in members), nonce=self._rng.getrandbits(63)
        )
        return choose(own, value, list(promised.values()))

    def _ours_is_open(self, own: Ballot) -> bool:
        return own.promised[1] == self._own and own.accepted != own.promised

    def _next(self, own: Ballot, wanted: bool, enough: bool, now: float) -> float:
        deadlines = [inf]
        if self._ours_is_open(own) and now < self._proposed_at + GATHER:
            deadlines.append(self._proposed_at + GATHER)
        if wanted and self._propose_at is not None and (enough or not self._ours_is_open(own)):
            deadlines.append(max(self._propose_at, now))
        return min(deadlines)
