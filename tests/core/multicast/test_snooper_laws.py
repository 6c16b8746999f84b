"""Hosts of all versions join, change and leave, packets are lost, the daemon restarts: no wanted packet is missed.

At most one packet is lost in any time in which a membership can run out, which is what a robustness of two is for.
"""

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ripstop.core.multicast.filters import EVERYTHING, NOTHING, Filter, union
from ripstop.core.multicast.messages import Version
from ripstop.core.multicast.timers import Timers
from ripstop.core.names import MulticastIp, PortId, SourceIp
from tests.core.multicast.filters import SOURCES, filters
from tests.core.multicast.hosts import Host, Lan, OlderHost, OldestHost

TIMERS = Timers()
BETWEEN_LOSSES = TIMERS.membership(Version.V1) + TIMERS.query_interval
QUIET = 3 * TIMERS.membership(Version.V1)
GROUPS = (MulticastIp(bytes([239, 1, 2, 3])), MulticastIp(bytes([232, 1, 1, 1])))
STRANGER = SourceIp(bytes([10, 9, 9, 9]))
KINDS = (Host, OlderHost, OldestHost)
KIND = st.sampled_from((0, 0, 0, 1, 2))  # more of the newest


class SnooperMachine(RuleBasedStateMachine):
    @initialize(first=st.lists(KIND, min_size=2, max_size=3), second=st.lists(KIND, max_size=2), seed=st.integers(0))
    def begin(self, first: list[int], second: list[int], seed: int) -> None:
        rng = Random(seed)
        ports = {
            PortId(port): tuple(
                KINDS[kind](SourceIp(bytes([10, 0, port, n + 1])), TIMERS.robustness, rng)
                for n, kind in enumerate(kinds)
            )
            for port, kinds in ((1, first), (2, second))
            if kinds
        }
        self.lan = Lan(ports, TIMERS, rng)
        self.everyone = [(port, host) for port, hosts in ports.items() for host in hosts]
        self.lost_at = 0.0

    @rule(who=st.integers(0, 4), group=st.sampled_from(GROUPS), wanted=filters)
    def change(self, who: int, group: MulticastIp, wanted: Filter) -> None:
        port, host = self.everyone[who % len(self.everyone)]
        self.lan.want(port, host, group, wanted)
        self.nothing_is_missed()

    @rule(who=st.integers(0, 4), group=st.sampled_from(GROUPS))
    def leave(self, who: int, group: MulticastIp) -> None:
        self.change(who, group, NOTHING)

    @rule(first=st.integers(0, 4), second=st.integers(0, 4), group=st.sampled_from(GROUPS))
    def one_comes_and_one_goes(self, first: int, second: int, group: MulticastIp) -> None:
        self.change(first, group, EVERYTHING)
        self.change(second, group, NOTHING)
        self.wait(0.5)

    @rule(seconds=st.sampled_from((0.01, 0.1, 0.15, 0.5, 5.0, 30.0)))
    def wait(self, seconds: float) -> None:
        for _ in self.lan.run(seconds):
            self.nothing_is_missed()

    @precondition(lambda self: self.lan.now >= self.lost_at + BETWEEN_LOSSES)
    @rule()
    def lose_a_packet(self) -> None:
        self.lan.lose_next = True
        self.wait(TIMERS.query_interval + TIMERS.max_response)
        self.lan.lose_next = False
        self.lost_at = self.lan.now

    @rule()
    def restart(self) -> None:
        self.lan.restart()
        self.nothing_is_missed()

    def teardown(self) -> None:
        if not hasattr(self, "lan"):
            return
        for _ in self.lan.run(QUIET):
            self.nothing_is_missed()
        for group in GROUPS:
            expected = {
                port: wanted
                for port, hosts in self.lan.hosts.items()
                if (wanted := union(host.wanted.get(group, NOTHING) for host in hosts)) != NOTHING
            }
            assert self.lan.snooper.ports(group) == expected

    def nothing_is_missed(self) -> None:
        for port, host in self.everyone:
            for group, wanted in host.wanted.items():
                if (host.address, group) in self.lan.arrived:
                    known = self.lan.snooper.ports(group).get(port, NOTHING)
                    missed = [source for source in (*SOURCES, STRANGER) if wanted.passes(source)]
                    missed = [source for source in missed if not known.passes(source)]
                    assert not missed, (self.lan.now, port, host.address, group)


TestSnooper = SnooperMachine.TestCase
TestSnooper.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
