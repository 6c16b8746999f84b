from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from ripstop.core.address import Range
from ripstop.core.ipam.messages import Ballot
from ripstop.core.ipam.paxos import NO_PROPOSAL, Election, choose, decided, follow, promisers, propose
from ripstop.core.names import PeerName
from tests.core.ipam.world import peer_name

EMPTY = Ballot(NO_PROPOSAL, NO_PROPOSAL, ())
A, B, C = (peer_name(n) for n in range(1, 4))


def accepted(number: int, proposer: PeerName, *members: PeerName) -> Ballot:
    return Ballot((number, proposer), (number, proposer), members)


def test_follows_the_highest_promise() -> None:
    assert follow(EMPTY, [Ballot((1, A), NO_PROPOSAL, ()), Ballot((1, B), NO_PROPOSAL, ())]).promised == (1, B)


def test_accepts_what_is_not_below_its_promise() -> None:
    ballot = Ballot((2, B), NO_PROPOSAL, ())
    assert follow(ballot, [accepted(1, A, A)]) == ballot
    assert follow(ballot, [accepted(2, B, A, B)]) == accepted(2, B, A, B)
    assert follow(ballot, [accepted(3, A, C)]) == accepted(3, A, C)


def test_keeps_what_it_accepted_when_it_promises_more() -> None:
    assert follow(accepted(1, A, A), [Ballot((4, C), NO_PROPOSAL, ())]) == replace(accepted(1, A, A), promised=(4, C))


def test_proposes_above_all_it_knows() -> None:
    assert propose(EMPTY, A, [accepted(7, C, C)]).promised == (8, A)


def test_chooses_what_may_be_decided_already() -> None:
    own = Ballot((5, A), NO_PROPOSAL, ())
    promised = [replace(accepted(2, B, B), promised=(5, A)), replace(accepted(3, C, C), promised=(5, A))]
    assert choose(own, replace(EMPTY, members=(A,)), promised).members == (C,)
    assert choose(own, replace(EMPTY, members=(A,)), [Ballot((5, A), NO_PROPOSAL, ())]).members == (A,)


def test_decides_by_votes_for_the_same_proposal() -> None:
    votes = [accepted(1, A, A), accepted(2, A, A), EMPTY]
    assert decided(votes, 2) is None
    value = decided([*votes, accepted(2, A, A)], 2)
    assert value is not None
    assert value.members == (A,)


def election(own: PeerName, expected: int) -> Election:
    return Election(own, Range(0, 32), expected, Random(1))


def test_a_lone_host_decides_at_once() -> None:
    ballot, start = election(A, 1).step(replace(EMPTY, birth=5), {}, (), wanted=True, now=0.0)
    assert start is not None
    assert (start.members, start.births) == ((A,), (5,))
    assert ballot.accepted == (1, A)


def test_nobody_proposes_before_somebody_wants() -> None:
    alone = election(A, 1)
    assert alone.step(EMPTY, {}, (), wanted=False, now=0.0) == (EMPTY, None)
    assert alone.deadline == float("inf")


def test_waits_a_little_for_reachable_peers_so_that_all_get_a_share() -> None:
    proposer = election(A, 3)
    ballot, _ = proposer.step(EMPTY, {}, (B, C), wanted=True, now=0.0)
    promise = replace(EMPTY, promised=ballot.promised)
    ballot, start = proposer.step(ballot, {B: promise}, (B, C), wanted=True, now=0.1)
    assert ballot.accepted == NO_PROPOSAL
    early, start = proposer.step(ballot, {B: promise, C: promise}, (B, C), wanted=True, now=0.2)
    assert early.members == (A, B, C)
    late, start = proposer.step(ballot, {B: promise}, (B, C), wanted=True, now=0.6)
    assert late.members == (A, B)
    assert start is None  # accepted here alone


def test_peers_that_have_a_ring_do_not_vote() -> None:
    proposer = election(A, 2)
    ballot, _ = proposer.step(EMPTY, {}, (B,), wanted=True, now=0.0)
    settled = replace(EMPTY, promised=ballot.promised, ring="somewhere")
    assert proposer.step(ballot, {B: settled}, (B,), wanted=True, now=0.9)[1] is None


def test_more_peers_than_expected_raise_the_quorum() -> None:
    assert [election(A, 3).quorum(reachable) for reachable in (0, 1, 2, 3, 4)] == [2, 2, 2, 3, 3]


class PaxosMachine(RuleBasedStateMachine):
    """Ballots are seen late, doubled and out of order; proposers compete, stop half-way, and come back from disk."""

    names = (A, B, C)
    quorum = 2

    def __init__(self) -> None:
        super().__init__()
        self.own = dict.fromkeys(self.names, EMPTY)
        self.seen: dict[PeerName, dict[PeerName, Ballot]] = {name: {} for name in self.names}
        self.said = {name: [EMPTY] for name in self.names}

    @rule(one=st.sampled_from(names), other=st.sampled_from(names), age=st.integers(0, 2))
    def hear(self, one: PeerName, other: PeerName, age: int) -> None:
        if one == other:
            return
        known = self.seen[one].get(other, EMPTY)
        ballot = self.said[other][-1 - age % len(self.said[other])]
        if self.said[other].index(ballot) > self.said[other].index(known):  # the mesh keeps the newest only
            self.seen[one][other] = ballot
            self.say(one, follow(self.own[one], self.seen[one].values()))

    @rule(name=st.sampled_from(names))
    def propose(self, name: PeerName) -> None:
        self.say(name, propose(self.own[name], name, self.seen[name].values()))

    @rule(name=st.sampled_from(names))
    def choose(self, name: PeerName) -> None:
        own = self.own[name]
        promised = promisers(own, self.seen[name])
        if own.promised[1] == name and own.accepted != own.promised and len(promised) + 1 >= self.quorum:
            value = replace(own, members=(name,), nonce=own.promised[0])
            self.say(name, choose(own, value, list(promised.values())))

    @rule(
        name=st.sampled_from(names), voters=st.lists(st.sampled_from(names)), hearers=st.lists(st.sampled_from(names))
    )
    def campaign(self, name: PeerName, voters: list[PeerName], hearers: list[PeerName]) -> None:
        self.propose(name)
        for voter in voters:
            self.hear(voter, name, 0)
            self.hear(name, voter, 0)
        self.choose(name)
        for hearer in hearers:
            self.hear(hearer, name, 0)

    @invariant()
    def one_value_at_most_is_ever_decided(self) -> None:
        votes: dict[tuple[tuple[int, PeerName], int], dict[PeerName, None]] = {}
        for name, ballots in self.said.items():
            for ballot in ballots:
                if ballot.accepted > NO_PROPOSAL:
                    votes.setdefault((ballot.accepted, ballot.nonce), {})[name] = None
        assert len({value for (_, value), voters in votes.items() if len(voters) >= self.quorum}) <= 1
        assert len({proposal for proposal, _ in votes}) == len(votes), "one proposal with two values"

    def say(self, name: PeerName, ballot: Ballot) -> None:
        if ballot != self.own[name]:
            self.own[name] = ballot
            self.said[name].append(ballot)


TestPaxos = PaxosMachine.TestCase
TestPaxos.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
