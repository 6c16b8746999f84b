"""Peers give, join and gossip single tokens in any order; tokens are lost, late, repeated, and peers crash."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ripstop.core.address import Range
from ripstop.core.ipam.messages import RingStart
from ripstop.core.ipam.ring import Change, Owner, Ring, Stamped
from tests.core.ipam.world import peer_name

SIZE = 24
PEERS = tuple(Owner(peer_name(n), n) for n in range(1, 5))
START = RingStart(0, SIZE, tuple(peer.name for peer in PEERS[:3]), 1, tuple(peer.birth for peer in PEERS[:3]))
peer = st.sampled_from(PEERS)
address = st.integers(0, SIZE - 1)


class RingMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.rings = {owner: Ring(START) for owner in PEERS}
        self.said: list[Stamped] = []

    @rule(donor=peer, to=peer, start=address, length=st.integers(1, SIZE))
    def grant(self, donor: Owner, to: Owner, start: int, length: int) -> None:
        for owned in self.rings[donor].ranges(donor):
            given = owned.intersection(Range(start, start + length))
            if given and donor != to:
                self.say(self.rings[donor].grant(given, to, donor, len))

    @rule(owner=peer)
    def join(self, owner: Owner) -> None:
        self.say(self.rings[owner].join(owner, len))

    @precondition(lambda self: self.said)
    @rule(to=peer, choose=st.data())
    def hear(self, to: Owner, choose: st.DataObject) -> None:
        self.rings[to].merge(choose.draw(st.lists(st.sampled_from(self.said), max_size=4)))

    @rule(owner=peer)
    def restart(self, owner: Owner) -> None:
        tokens = self.rings[owner].tokens
        self.rings[owner] = Ring(START)
        self.rings[owner].merge(tokens)

    @invariant()
    def no_address_has_two_owners(self) -> None:
        for at in range(SIZE):
            claims = [owner.name for owner, ring in self.rings.items() if any(at in own for own in ring.ranges(owner))]
            assert len(claims) <= 1, (at, claims)

    def teardown(self) -> None:
        for ring in self.rings.values():
            ring.merge(self.said)
        seen = {owner: ring.segments for owner, ring in self.rings.items()}
        assert all(segments == seen[PEERS[0]] for segments in seen.values())
        assert sum(len(run) for owner, ring in self.rings.items() for run in ring.ranges(owner)) == SIZE

    def say(self, change: Change) -> None:
        self.said += change.written


TestRing = RingMachine.TestCase
TestRing.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
