"""Names on one peer: what it tells others, believes of them, and has its server answer."""

from collections.abc import Iterable
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.dns.dns import PATIENCE, SLICE, Dns
from ripstop.core.dns.messages import MAX_BINDINGS, MAX_SHARD, SHARDS, Binding, Bindings, NameRow, Record, Service
from ripstop.core.effects import Announce, Answer, Effect, Internal, Serve
from ripstop.core.errors import ExhaustedError
from ripstop.core.mesh.limits import check_entry
from ripstop.core.mesh.messages import Entry, Gossip
from ripstop.core.mesh.replica import Replica
from ripstop.core.names import Holder, PeerName, RequestId
from ripstop.wire.control import encode

A, B, C = (PeerName(letter * 16) for letter in "abc")
HTTP, DNS = Service("http", "tcp", 80), Service("dns", "udp", 53)
X, Y = Holder("c1/eth0"), Holder("c2/eth0")


def binding(name: str, last: int, *services: Service, container: str = "c1") -> Binding:
    return Binding(name, container, bytes([10, 32, 0, last]), services)


class Side:
    """One peer, and what its server answers."""

    def __init__(self, name: PeerName, *near: PeerName, restores: bool = True) -> None:
        self.dns = Dns(name)
        self.answers: dict[str, NameRow] = {}
        self.served = 0  # rows
        self.entries: list[Entry] = []  # announced
        self.results: list[int | Exception] = []
        self.do(self.dns.use_ways(near, 0.0))
        if restores:
            self.do(self.dns.restore({}, 0.0))

    def do(self, effects: Iterable[Effect | Internal]) -> None:
        """Perform effects, and those that follow of themselves."""
        for effect in effects:
            match effect:
                case Serve(rows, complete):
                    self.served += len(rows)
                    if complete:
                        self.answers.clear()
                    for row in rows:
                        self.answers[row.name.lower()] = row
                        if not row.records:
                            del self.answers[row.name.lower()]
                case Announce(entries):
                    self.entries += entries
                case Answer(_, result):
                    self.results.append(result)
                case _:
                    raise AssertionError(effect)
        if self.dns.deadline <= 0.0:
            self.do(self.dns.tick(0.0))

    def give(self, holder: Holder, *bindings: Binding) -> None:
        self.do(self.dns.register(RequestId(1), {holder: bindings}, 0.0))

    def hear(self, *others: "Side") -> None:
        """Learn all that others have announced."""
        for other in others:
            self.do(self.dns.learn(other.entries, 0.0))

    def addresses(self, key: str) -> list[int]:
        return [record.address[3] for record in self.answers[key].records] if key in self.answers else []


def test_a_name_is_answered_here_and_there() -> None:
    here, there = Side(A), Side(B, A)
    here.give(X, binding("Web", 1, HTTP))
    (entry,) = here.entries
    check_entry(entry)
    there.hear(here)
    assert here.results == [0]
    assert here.answers == there.answers == {"web": NameRow("Web", (Record(bytes([10, 32, 0, 1]), (HTTP,)),))}


def test_one_name_has_all_addresses_of_all_peers_once() -> None:
    here, there, third = Side(A, B, C), Side(B), Side(C)
    here.give(X, binding("web", 1))
    here.give(Y, binding("WEB", 2, HTTP, container="c2"), binding("web", 2, DNS, container="c3"))
    there.give(X, binding("Web", 3))
    third.give(X, binding("web", 3))
    here.hear(there, third)
    assert here.addresses("web") == [1, 2, 3]
    assert here.answers["web"].name == "WEB"
    assert here.answers["web"].records[1].services == (DNS, HTTP)


def test_what_goes_is_answered_no_more() -> None:
    here, there = Side(A), Side(B, A)
    here.give(X, binding("web", 1), binding("db.prod", 1))
    here.give(Y, binding("web", 2))
    there.hear(here)
    here.do(here.dns.drop(X, 0.0))
    there.hear(here)
    assert there.addresses("web") == here.addresses("web") == [2]
    assert "db.prod" not in there.answers and "db.prod" not in here.answers
    assert len(there.dns.table) == 1
    assert here.dns.drop(X, 0.0) == []


def test_names_of_a_peer_out_of_reach_are_hidden_and_come_back() -> None:
    here, there, third = Side(A), Side(B, A, C), Side(C)
    here.give(X, binding("web", 1))
    third.give(X, binding("web", 2))
    there.hear(here, third)
    there.do(there.dns.use_ways((C,), 0.0))
    assert there.addresses("web") == [2]
    assert [(view.binding.name, view.peer, view.hidden) for view in there.dns.at(bytes([10, 32, 0, 1]))] == [
        ("web", A, True)
    ]
    assert [(view.peer, view.hidden) for view in there.dns.of("web")] == [(A, True), (C, False)]
    there.do(there.dns.use_ways((), 0.0))
    assert there.answers == {}
    there.do(there.dns.use_ways((A, C), 0.0))
    assert there.addresses("web") == [1, 2]


def test_only_what_differs_is_served() -> None:
    here, there = Side(A), Side(B, A)
    here.give(X, *(binding(f"n{number}", 1) for number in range(50)))
    there.hear(here)
    before = there.served
    assert there.dns.learn(here.entries, 0.0) == []
    here.entries.clear()
    here.give(X, *(binding(f"n{number}", 1) for number in range(49)))
    there.hear(here)
    assert len(here.entries) == 1
    assert there.served == before + 1
    there.do(there.dns.use_ways((A, C), 0.0))
    assert there.served == before + 1


def test_nothing_is_served_before_our_own_names_are_known_and_then_all() -> None:
    here, there = Side(A), Side(B, A, restores=False)
    here.give(X, binding("web", 1))
    assert there.dns.learn(here.entries, 0.0) == []
    (announce, serve) = there.dns.restore({X: (binding("db", 2),)}, 0.0)
    assert isinstance(announce, Announce)
    assert isinstance(serve, Serve)
    assert serve.complete and {row.name for row in serve.rows} == {"web", "db"}


def test_nothing_is_served_before_it_is_known_whom_frames_reach_unless_that_takes_too_long() -> None:
    here = Side(A)
    here.give(X, binding("web", 1))
    quick, slow = Dns(B), Dns(C)
    for dns in (quick, slow):
        dns.restore({}, 5.0)
        assert dns.learn(here.entries, 5.0) == []
        assert dns.tick(6.0) == [] and dns.deadline == 5.0 + PATIENCE
    (serve,) = quick.use_ways((A,), 6.0)
    assert isinstance(serve, Serve) and serve.complete and [row.name for row in serve.rows] == ["web"]
    assert quick.deadline > 5.0 + PATIENCE
    (serve,) = slow.tick(5.0 + PATIENCE)
    assert serve == Serve((), complete=True)


def test_very_many_names_are_served_in_slices() -> None:
    here, there = Side(A), Side(B)
    here.give(X, *(binding(f"n{number}", 1) for number in range(2 * SLICE + 1)))
    there.hear(here)
    effects = there.dns.use_ways((A,), 5.0)
    assert [(len(effect.rows), effect.pending) for effect in effects if isinstance(effect, Serve)] == [(SLICE, True)]
    assert there.dns.deadline == 5.0
    there.do(effects)
    there.do(there.dns.tick(5.0))
    there.do(there.dns.tick(5.0))
    assert len(there.answers) == 2 * SLICE + 1
    assert there.dns.deadline > 5.0


def test_a_restart_with_the_same_names_changes_nothing_anywhere() -> None:
    here, there, again = Side(A), Side(B, A), Side(A, restores=False)
    here.give(X, binding("web", 1))
    there.hear(here)
    served = there.served
    again.do(again.dns.learn(here.entries, 0.0))  # what others have of the former life
    again.do(again.dns.restore({X: (binding("web", 1),)}, 0.0))
    there.hear(again)
    assert there.served == served
    assert again.addresses("web") == [1]


def test_leftovers_of_a_former_life_are_cleaned_up_by_their_owner() -> None:
    here, there, again = Side(A), Side(B, A), Side(A)
    for last in (1, 2, 3):
        here.give(X, binding("web", last), binding("db", last))
    there.hear(here)
    again.give(Y, binding("db", 9))
    again.hear(here)
    there.hear(again)
    assert there.addresses("web") == [] and there.addresses("db") == [9]


def test_dead_peers_are_forgotten_and_one_that_is_not_dead_comes_back() -> None:
    here, there, third = Side(A), Side(B, A), Side(C, A)
    here.give(X, binding("web", 1))
    there.hear(here)
    third.hear(here)
    there.do(there.dns.forget((A,), 0.0))
    third.hear(there)
    for side in (there, third):
        assert side.answers == {} and len(side.dns.table) == 0
    here.hear(there)
    third.hear(here)
    assert third.addresses("web") == [1]


def test_who_leaves_leaves_nothing() -> None:
    here, there = Side(A), Side(B, A)
    here.give(X, binding("web", 1))
    here.do(here.dns.leave(0.0))
    there.hear(here)
    assert len(there.dns.table) == 0


def test_there_is_an_end_to_names() -> None:
    here = Side(A)
    here.do(here.dns.restore({Y: tuple(binding(f"n{number}", 1) for number in range(MAX_BINDINGS - 1))}, 0.0))
    here.give(X, binding("last", 1))
    assert here.results == [0]
    here.give(X, binding("last", 1), binding("too-many", 1))
    here.give(X, binding("other", 1))
    refusal = here.results[1]
    assert isinstance(refusal, ExhaustedError) and str(MAX_BINDINGS) in str(refusal)
    assert here.results[2] == 0  # in place of another


def test_what_two_are_to_be_called_together_is_refused_for_both_if_there_is_no_room_for_one() -> None:
    here = Side(A)
    many = tuple(binding(f"n{number}", 1) for number in range(MAX_BINDINGS))
    (refusal,) = here.dns.register(RequestId(1), {X: (binding("web", 1),), Y: many}, 0.0)
    assert isinstance(refusal, Answer) and isinstance(refusal.result, ExhaustedError)
    assert here.dns.bindings(X) == here.dns.bindings(Y) == ()
    here.do(here.dns.register(RequestId(1), {X: (binding("web", 1),), Y: (binding("web", 2),)}, 0.0))
    assert here.addresses("web") == [1, 2] and len(here.entries) == 1


def test_there_is_an_end_to_addresses_of_one_name() -> None:
    here = Side(A)
    container = "c" * 128
    here.give(X, *(Binding("web", container, number.to_bytes(4, "big")) for number in range(5000)))
    (refusal,) = here.results
    assert isinstance(refusal, ExhaustedError) and "web" in str(refusal)
    assert here.entries == [] and here.answers == {}


def test_no_entry_is_ever_longer_than_a_message_may_be() -> None:
    here = Side(A)
    services = tuple(Service(f"{number:015}", "tcp", number) for number in range(1, 17))
    bare = [Binding("w" * 60, f"{number:0128}", number.to_bytes(16, "big")) for number in range(1000)]
    rich = [Binding(one.name, one.container, one.address, services) for one in bare]
    here.give(X, *bare)
    here.give(X, *rich)  # as many, but larger
    here.give(X, *rich[:430])
    assert [isinstance(result, ExhaustedError) for result in here.results] == [False, True, False]
    assert all(len(encode(Gossip((entry,)))) <= MAX_SHARD for entry in here.entries)


names = st.sampled_from(["web", "Web", "db", "db.prod", "_sip", "a-b", "x1", "x2"])
bindings = st.lists(st.tuples(names, st.integers(1, 3)), max_size=4)
steps = st.lists(st.tuples(st.sampled_from([A, B]), st.sampled_from([X, Y]), bindings), max_size=12)


@given(steps, st.randoms(use_true_random=False))
def test_whatever_the_order_and_however_often_all_tables_are_equal(
    taken: list[tuple[PeerName, Holder, list[tuple[str, int]]]], rng: Random
) -> None:
    """The replica hands on what is news, in any order, with anything lost that is followed by something newer."""
    writers = {name: Side(name) for name in (A, B)}
    for name, holder, wanted in taken:
        writers[name].give(holder, *(binding(*one) for one in dict.fromkeys(wanted)))
    entries = [entry for side in writers.values() for entry in side.entries]
    sides = []
    for _ in range(2):
        side, replica = Side(C, A, B), Replica()
        heard = [*entries, *rng.choices(entries, k=len(entries))] if entries else []
        rng.shuffle(heard)
        for entry in heard:
            side.do(side.dns.learn(replica.merge((entry,)), 0.0))
        sides.append((side, replica))
    (one, first), (other, second) = sides
    assert first.digest() == second.digest()
    assert one.answers == other.answers
    expected = {
        (key, record.address)
        for side in writers.values()
        for key, row in side.answers.items()
        for record in row.records
    }
    assert {(key, record.address) for key, row in one.answers.items() for record in row.records} == expected
    assert len(first) <= 2 * SHARDS


@given(st.lists(st.tuples(st.sampled_from([X, Y]), bindings), max_size=8))
def test_the_counts_are_right_and_entries_are_those_that_a_peer_takes(
    taken: list[tuple[Holder, list[tuple[str, int]]]],
) -> None:
    here, there = Side(A), Side(B, A)
    held: dict[Holder, tuple[Binding, ...]] = {}
    for holder, wanted in taken:
        held[holder] = tuple(binding(*one) for one in dict.fromkeys(wanted))
        here.give(holder, *held[holder])
    for entry in here.entries:
        check_entry(entry)
        assert isinstance(entry.value, Bindings)
    there.hear(here)
    different = {one for its in held.values() for one in its}
    assert there.dns.table.count(A) == here.dns.table.count(A) == len(different)
    assert set(there.dns.table.keys()) == {one.key for one in different}
    assert there.dns.peers == ((A,) if different else ())
