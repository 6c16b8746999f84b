"""Whole allocators under anything that can happen, step by step, as hypothesis likes it."""

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ripstop.core.address import Range
from ripstop.core.ipam.paxos import Consensus, Seed
from tests.core.ipam.world import World, peer_name

SMALL = Range.parse("10.32.0.0/28")
number = st.integers(1, 3)
container = st.sampled_from(["a", "b", "c", "d", "e", "f"])


class AllocatorMachine(RuleBasedStateMachine):
    """Three hosts; messages and gossip arrive when hypothesis says so, and a crash may come inside any call."""

    @initialize(seed=st.integers(0, 2**32), seeded=st.booleans())
    def begin(self, seed: int, seeded: bool) -> None:
        self.seeded = seeded
        init = Seed((peer_name(1), peer_name(2))) if seeded else Consensus(3)
        self.world = World(3, Random(seed), SMALL, init)
        self.world.loss, self.world.doubling = 0.1, 0.3

    @rule(number=number, container=container, wait=st.sampled_from([0.0, 2.0, 9.0]))
    def allocate(self, number: int, container: str, wait: float) -> None:
        if self.runs(number):
            self.world.allocate(number, f"{number}{container}", wait=wait)

    @rule(number=number, container=container, offset=st.integers(1, 14))
    def claim(self, number: int, container: str, offset: int) -> None:
        if self.runs(number):
            self.world.claim(number, f"{number}{container}", SMALL.start + offset)

    @rule(number=number, container=container)
    def release(self, number: int, container: str) -> None:
        if self.runs(number):
            self.world.release(number, f"{number}{container}")

    @rule(one=number, other=number, share=st.sampled_from([0.3, 1.0]))
    def gossip(self, one: int, other: int, share: float) -> None:
        self.world.gossip(peer_name(one), peer_name(other), share)

    @precondition(lambda self: self.world.flights)
    @rule(which=st.integers(0, 99))
    def deliver(self, which: int) -> None:
        self.world.deliver(which % len(self.world.flights))

    @rule(seconds=st.sampled_from([0.01, 0.6, 3.0]))
    def wait(self, seconds: float) -> None:
        self.world.now += seconds
        self.world.tick()

    @rule(often=st.sampled_from([0.0, 0.3]))
    def be_unstable(self, often: float) -> None:
        self.world.crashes = often

    @rule(number=number)
    def restart(self, number: int) -> None:
        self.world.stop(peer_name(number))
        self.world.start(peer_name(number))

    @rule(number=number)
    def power_off(self, number: int) -> None:
        self.world.power_off(number)

    @rule(number=number, keep=st.booleans())
    def lose_disk(self, number: int, keep: bool) -> None:
        if not self.seeded:  # a seed cannot know that it has been here before
            self.world.wipe(number, keep_containers=keep and self.world.host(number).is_on)

    @rule(number=number)
    def back_up(self, number: int) -> None:
        self.world.back_up(number)

    @rule(number=number)
    def put_back(self, number: int) -> None:
        self.world.put_back(number)

    @rule(number=number, dead=number)
    def remove(self, number: int, dead: int) -> None:
        if self.runs(number) and not self.world.host(dead).is_on:
            self.world.remove(number, [dead])

    @rule(number=number)
    def reset(self, number: int) -> None:
        if self.runs(number) and not self.seeded:
            self.world.reset(number)

    @rule(apart=st.sampled_from([(), (1,), (2,), (3,)]))
    def split(self, apart: tuple[int, ...]) -> None:
        self.world.split(apart)

    @invariant()
    def no_address_is_held_or_owned_twice(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.settle()
        if self.world.allocator(1).ready:
            self.world.check_peace()
        self.world.check()

    def runs(self, number: int) -> bool:
        return self.world.host(number).allocator is not None


TestAllocators = AllocatorMachine.TestCase
TestAllocators.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
