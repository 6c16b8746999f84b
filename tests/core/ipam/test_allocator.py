"""What one asks of an allocator, and what it answers: alone, with others, and when things go wrong."""

from collections.abc import Sequence
from random import Random

import pytest

from ripstop.core.address import Range
from ripstop.core.effects import Announce, Answer, Effect, Internal, Notice, Save, Tell
from ripstop.core.errors import ConflictError, ExhaustedError, NotReadyError, RequestError, StartError
from ripstop.core.ipam.allocator import Allocator, parse_init
from ripstop.core.ipam.messages import Ballot, RingStart, SpaceAnswer, SpaceWanted, Token
from ripstop.core.ipam.paxos import Consensus, Observer, Seed
from ripstop.core.ipam.saved import DISK, Disk
from ripstop.core.mesh.messages import Entry
from ripstop.core.names import ContainerId, PeerName, RequestId
from tests.core.ipam.world import UNIVERSE, World, peer_name

A, B, C = (peer_name(n) for n in (1, 2, 3))
ONE, TWO = ContainerId("one"), ContainerId("two")
FIRST = UNIVERSE.start
REQUEST = RequestId(1)


def lone(saved: dict[str, bytes] | None = None) -> Allocator:
    return Allocator(A, UNIVERSE, Consensus(1), saved or {}, 0.0, Random(1))


def answers(effects: Sequence[Effect | Internal]) -> list[int | RequestError]:
    return [effect.result for effect in effects if isinstance(effect, Answer)]


def disk(*calls: Sequence[Effect | Internal]) -> dict[str, bytes]:
    saved: dict[str, bytes] = {}
    for effects in calls:
        for effect in effects:
            if isinstance(effect, Save):
                for key, value in effect.items:
                    if value is None:
                        saved.pop(key, None)
                    else:
                        saved[key] = value
    return saved


def test_a_lone_host_gives_the_lowest_address_at_once() -> None:
    allocator = lone()
    assert answers(allocator.allocate(REQUEST, ONE, UNIVERSE, 0.0, 0.0)) == [FIRST + 1]
    assert answers(allocator.allocate(REQUEST, TWO, UNIVERSE, 0.0, 0.0)) == [FIRST + 2]


def test_saves_then_announces_then_tells_then_answers() -> None:
    kinds = [type(effect) for effect in lone().allocate(REQUEST, ONE, UNIVERSE, 0.0, 0.0)]
    assert kinds == [Save, Announce, Answer]


def test_the_same_container_gets_the_same_address_again() -> None:
    allocator = lone()
    first = answers(allocator.allocate(REQUEST, ONE, UNIVERSE, 0.0, 0.0))
    effects = allocator.allocate(REQUEST, ONE, UNIVERSE, 0.0, 0.0)
    assert effects == [Answer(REQUEST, FIRST + 1)]
    assert answers(effects) == first
    small = Range(FIRST + 8, FIRST + 16)
    assert answers(allocator.allocate(REQUEST, ONE, small, 0.0, 0.0)) == [FIRST + 9]
    assert allocator.holders() == (ONE,)


def test_a_released_address_is_given_again() -> None:
    allocator = lone()
    allocator.allocate(REQUEST, ONE, UNIVERSE, 0.0, 0.0)
    allocator.allocate(REQUEST, TWO, UNIVERSE, 0.0, 0.0)
    allocator.release(ONE, 0.0)
    assert allocator.holder(FIRST + 1) is None
    assert allocator.holder(FIRST + 2) == TWO
    assert answers(allocator.allocate(REQUEST, ContainerId("three"), UNIVERSE, 0.0, 0.0)) == [FIRST + 1]


def test_releasing_who_holds_nothing_changes_nothing() -> None:
    allocator = lone()
    allocator.tick(0.0)
    assert allocator.release(ONE, 0.0) == []


@pytest.mark.parametrize(
    ("subnet", "reason"),
    [
        ("10.32.1.0/27", "not within the range"),
        ("10.0.0.0/8", "not within the range"),
        ("10.32.0.4/31", "too small"),
        ("10.32.0.4/32", "too small"),
    ],
)
def test_refuses_a_subnet_it_cannot_serve(subnet: str, reason: str) -> None:
    (error,) = answers(lone().allocate(REQUEST, ONE, Range.parse(subnet), 5.0, 0.0))
    assert reason in str(error)


def test_the_smallest_subnet_has_two_addresses() -> None:
    allocator, subnet = lone(), Range.parse("10.32.0.4/30")
    results = [answers(allocator.allocate(REQUEST, ContainerId(f"c{n}"), subnet, 5.0, 0.0))[0] for n in range(3)]
    assert results[:2] == [FIRST + 5, FIRST + 6]
    assert isinstance(results[2], ExhaustedError)
    assert "no address of 10.32.0.4/30 is free" in str(results[2])


def test_claims_an_address_of_its_own() -> None:
    allocator = lone()
    assert answers(allocator.claim(REQUEST, ONE, FIRST + 1, 0.0, 0.0)) == [FIRST + 1]
    assert answers(allocator.claim(REQUEST, ONE, FIRST + 1, 0.0, 0.0)) == [FIRST + 1]
    (refused,) = answers(allocator.claim(REQUEST, TWO, FIRST + 1, 0.0, 0.0))
    assert isinstance(refused, ConflictError)
    assert str(refused) == "address 10.32.0.1 is taken by container one"
    assert answers(allocator.allocate(REQUEST, TWO, UNIVERSE, 0.0, 0.0)) == [FIRST + 2]


def test_an_address_outside_the_universe_is_recorded_only() -> None:
    allocator = Allocator(A, UNIVERSE, Consensus(3), {}, 0.0, Random(1))  # no ring, none needed
    elsewhere = Range.parse("192.0.2.1/32").start
    assert answers(allocator.claim(REQUEST, ONE, elsewhere, 0.0, 0.0)) == [elsewhere]
    (refused,) = answers(allocator.claim(REQUEST, TWO, elsewhere, 0.0, 0.0))
    assert str(refused) == "address 192.0.2.1 is taken by container one"
    allocator.release(ONE, 0.0)
    assert answers(allocator.claim(REQUEST, TWO, elsewhere, 0.0, 0.0)) == [elsewhere]


def test_what_was_held_stays_held_after_a_restart() -> None:
    allocator = lone()
    saved = disk(
        allocator.allocate(REQUEST, ONE, UNIVERSE, 0.0, 0.0), allocator.claim(REQUEST, TWO, FIRST + 9, 0.0, 0.0)
    )
    again = lone(saved | {"identity/name": b"not ours to read"})
    assert again.ready
    assert again.holders() == (ONE, TWO)
    assert answers(again.claim(REQUEST, TWO, FIRST + 9, 0.0, 0.0)) == [FIRST + 9]
    assert answers(again.allocate(REQUEST, ContainerId("three"), UNIVERSE, 0.0, 0.0)) == [FIRST + 2]


@pytest.mark.parametrize("found", [Disk.UNSURE, Disk.OLD])
def test_what_follows_from_the_disk_is_saved_together_with_its_being_heeded(found: Disk) -> None:
    world = World(2, Random(1))
    world.allocate(1, "a")
    world.run(2.0)
    again = Allocator(A, UNIVERSE, Consensus(2), world.host(1).disk, 0.0, Random(1), found)
    first, *others = [dict(effect.items) for effect in again.tick(0.0) if isinstance(effect, Save)]
    assert not others
    assert first[DISK] is None and first["ipam/doubt"] == (b"" if found is Disk.OLD else b"restarted")
    assert ("ipam/ballot" in first) is (found is Disk.OLD)  # another owner from now on


def test_state_that_cannot_be_read_stops_the_start() -> None:
    with pytest.raises(StartError, match="ipam/held/x cannot be read"):
        lone({"ipam/held/x": b"one"})
    with pytest.raises(StartError, match="ipam/ring-start cannot be read"):
        lone({"ipam/ring-start": b"{"})


def test_another_range_than_before_begins_anew_but_keeps_what_is_held() -> None:
    allocator = lone()
    saved = disk(allocator.allocate(REQUEST, ONE, UNIVERSE, 0.0, 0.0))
    wider = Range.parse("10.32.0.0/26")
    moved = Allocator(A, wider, Consensus(1), saved, 0.0, Random(2))
    saved = disk([Save(tuple(saved.items()))], moved.tick(0.0), moved.allocate(REQUEST, TWO, wider, 0.0, 0.0))
    assert moved.status().held == ((FIRST + 1, ONE), (FIRST + 2, TWO))
    again = Allocator(A, wider, Consensus(1), saved, 0.0, Random(2))
    assert again.status() == moved.status()


def test_without_a_quorum_it_says_how_many_are_missing() -> None:
    allocator = Allocator(A, UNIVERSE, Consensus(4), {}, 0.0, Random(1))
    assert answers(allocator.allocate(REQUEST, ONE, UNIVERSE, 2.0, 0.0)) == []
    allocator.set_reachable([B], 1.0)
    assert "2 of the 3 peers" in allocator.status().waiting[0].why
    assert answers(allocator.tick(1.9)) == []
    assert allocator.deadline == 2.0
    (error,) = answers(allocator.tick(2.0))
    assert isinstance(error, NotReadyError)
    assert str(error).startswith("no ring yet: 2 of the 3 peers needed to divide 10.32.0.0/27 are here")
    assert allocator.status().waiting == ()


def test_who_only_observes_says_so() -> None:
    allocator = Allocator(A, UNIVERSE, Observer(), {}, 0.0, Random(1))
    allocator.set_reachable([B], 0.0)
    assert answers(allocator.allocate(REQUEST, ONE, UNIVERSE, 2.0, 0.0)) == []
    (error,) = answers(allocator.tick(2.0))
    assert isinstance(error, NotReadyError)
    assert "this host only observes" in str(error)
    assert allocator.status().why == str(error)


def test_free_addresses_are_those_that_containers_can_get() -> None:
    allocator = Allocator(A, UNIVERSE, Seed((A,)), {}, 0.0, Random(1))
    given: list[object] = [*answers(allocator.allocate(REQUEST, ONE, UNIVERSE, 0.0, 0.0))]
    while (free := allocator.status().free) > 0:
        (address,) = answers(allocator.allocate(REQUEST, ContainerId(f"c{free}"), UNIVERSE, 0.0, 0.0))
        given.append(address)
        assert allocator.status().free == free - 1
    assert given == list(range(UNIVERSE.start + 1, UNIVERSE.end - 1))


def test_whoever_cancels_gets_no_answer_and_keeps_nothing() -> None:
    allocator = Allocator(A, UNIVERSE, Consensus(2), {}, 0.0, Random(1))
    allocator.allocate(REQUEST, ONE, UNIVERSE, 2.0, 0.0)
    allocator.cancel(REQUEST, 1.0)
    assert answers(allocator.tick(3.0)) == []
    assert allocator.status().waiting == ()


def test_a_release_ends_the_container_s_requests() -> None:
    allocator = Allocator(A, UNIVERSE, Consensus(2), {}, 0.0, Random(1))
    allocator.allocate(REQUEST, ONE, UNIVERSE, 2.0, 0.0)
    (error,) = answers(allocator.release(ONE, 1.0))
    assert str(error) == "container one was released while it waited"


def test_peers_divide_the_universe_and_give_alone() -> None:
    world = World(3, Random(1))
    first = world.allocate(1, "a")
    world.run(2.0)
    assert world.address(first) == FIRST + 1
    second, third = world.allocate(2, "b", wait=0.0), world.allocate(3, "c", wait=0.0)  # nobody is asked
    assert (world.address(second), world.address(third)) == (FIRST + 10, FIRST + 21)
    assert [share.addresses for share in world.allocator(3).status().shares] == [10, 11, 11]


def test_whoever_runs_out_is_given_half_of_what_another_has() -> None:
    world = World(2, Random(1), init=Seed((A, B)))
    for number in range(15):
        world.allocate(1, f"a{number}")
    more = world.allocate(1, "more")
    assert more not in world.results
    world.run(0.3)
    assert world.address(more) == FIRST + 24
    assert world.allocator(1).owned == (Range(FIRST, FIRST + 16), Range(FIRST + 24, FIRST + 31))
    assert world.allocator(2).owned == (Range(FIRST + 16, FIRST + 24), Range(FIRST + 31, FIRST + 32))


def test_many_requests_for_one_subnet_ask_once() -> None:
    world = World(2, Random(1), init=Seed((B,)))
    for number in range(12):
        world.allocate(1, f"a{number}")
    assert len(world.flights) == 1
    world.run(1.0)
    assert len(world.allocator(1).holders()) == 12


def test_a_late_joiner_asks_for_space() -> None:
    world = World(3, Random(1), init=Consensus(2))
    world.stop(C)
    world.allocate(1, "a")
    world.run(2.0)
    world.start(C)
    joined = world.allocate(3, "c")
    world.run(1.0)
    assert world.address(joined) in UNIVERSE
    assert world.allocator(3).status().members == (A, B)


def test_exhaustion_is_said_at_once_and_names_who_was_asked() -> None:
    world = World(3, Random(1), init=Seed((A, B, C)))
    requests = [world.allocate(1, f"a{number}") for number in range(31)]
    world.run(2.0)
    assert len({world.address(request) for request in requests[:30]}) == 30
    error = world.error(requests[30])
    assert isinstance(error, ExhaustedError)
    assert str(error) == "no address of 10.32.0.0/27 is free: this peer owns them all, and all are in use"
    other = world.allocate(2, "b")
    world.run(0.5)
    assert str(world.error(other)) == f"no address of 10.32.0.0/27 is free; {A} had none to give"
    world.release(1, "a0")
    again = world.allocate(1, "again")
    assert world.address(again) == FIRST + 1


def test_space_behind_a_cut_is_named() -> None:
    world = World(3, Random(1), init=Seed((A, B, C)))
    world.split([1, 2], [3])
    requests = [world.allocate(1, f"a{number}", wait=3.0) for number in range(22)]
    world.run(4.0)
    error = world.error(requests[21])
    assert isinstance(error, NotReadyError)
    assert f"{C} owns 10 of them and cannot be reached" in str(error)
    world.split()
    again = world.allocate(1, "again")
    world.run(1.0)
    assert world.address(again) in Range(FIRST + 21, FIRST + 32)


def test_thousands_that_wait_for_the_same_are_each_told_why() -> None:
    world = World(2, Random(1))
    world.allocate(1, "a")
    world.run(1.0)
    world.split([1])
    requests = [world.allocate(1, f"c{number}", wait=1.0) for number in range(3000)]
    given = [request for request in requests if request in world.results]
    assert len({world.address(request) for request in given}) == len(given) == 14
    world.run(2.0, step=0.5)
    reasons = {str(world.error(request)) for request in requests if request not in given}
    assert reasons == {f"no address of {UNIVERSE} is free; {peer_name(2)} owns 15 of them and cannot be reached"}


def test_a_silent_peer_is_passed_over() -> None:
    world = World(3, Random(1), init=Seed((B, C)))
    world.run(1.0)  # both know the newcomer now
    world.allocate(1, "a", wait=5.0)
    (_, _, asked, _), *_ = world.flights
    world.hosts[asked].allocator = None  # it does not answer, but nobody has noticed yet
    allocator, now = world.allocator(1), world.now
    assert [effect.peer for effect in allocator.tick(now + 1) if isinstance(effect, Tell)] == [B if asked == C else C]
    effects = allocator.tick(now + 2)  # the other one as well
    assert not any(isinstance(effect, Tell) for effect in effects)
    (error,) = answers(allocator.tick(now + 5))
    assert isinstance(error, NotReadyError)
    assert "did not answer" in str(error)


def test_claims_an_address_of_another_peer() -> None:
    world = World(2, Random(1), init=Seed((A, B)))
    claimed = world.claim(1, "mine", FIRST + 20)
    world.run(0.5)
    assert world.address(claimed) == FIRST + 20
    assert Range(FIRST + 20, FIRST + 21) in world.allocator(1).owned
    world.check()


def test_a_claim_of_what_another_peer_s_container_holds_names_both() -> None:
    world = World(2, Random(1), init=Seed((A, B)))
    world.allocator(1).use_names({B: "bea"}.__getitem__)
    held = world.address(world.allocate(2, "theirs"))
    claimed = world.claim(1, "mine", held)
    world.run(0.5)
    error = world.error(claimed)
    assert isinstance(error, ConflictError)
    assert str(error) == "address 10.32.0.16 is taken by container theirs on peer bea"


def test_a_claim_of_what_an_unreachable_peer_owns_waits_then_names_it() -> None:
    world = World(2, Random(1), init=Seed((A, B)))
    world.split([1], [2])
    claimed = world.claim(1, "mine", FIRST + 20, wait=2.0)
    world.run(2.5)
    assert str(world.error(claimed)) == f"address 10.32.0.20 belongs to peer {B}, which cannot be reached"


def test_a_question_that_comes_twice_is_answered_with_space_once() -> None:
    donor = Allocator(B, UNIVERSE, Seed((B,)), {}, 0.0, Random(1))
    donor.tick(0.0)
    question = SpaceWanted(FIRST + 1, FIRST + 31, donor.status().ring, nonce=5, birth=9)
    first = [effect for effect in donor.hear(A, question, 0.0) if isinstance(effect, Tell)]
    again = donor.hear(A, question, 0.1)
    assert again == first
    (told,) = first
    assert isinstance(told.body, SpaceAnswer)
    assert told.body.granted == 15


def test_a_donor_remembers_only_so_much() -> None:
    donor = Allocator(B, Range.parse("10.32.0.0/12"), Seed((B,)), {}, 0.0, Random(1))
    donor.tick(0.0)
    one = SpaceWanted(FIRST + 1, FIRST + 2, donor.status().ring, nonce=1, birth=9)
    for nonce in range(1, 300):
        donor.hear(A, SpaceWanted(FIRST + nonce, FIRST + nonce + 1, donor.status().ring, nonce, 9), 0.0)
    (told,) = [effect for effect in donor.hear(A, one, 0.0) if isinstance(effect, Tell)]
    assert isinstance(told.body, SpaceAnswer)
    assert told.body.granted == 0  # forgotten, and given away; who has it now comes along
    assert [token.owner for _, token in told.body.tokens] == [A]


def test_a_peer_of_another_ring_is_given_nothing() -> None:
    donor = Allocator(B, UNIVERSE, Seed((B,)), {}, 0.0, Random(1))
    donor.tick(0.0)
    effects = donor.hear(A, SpaceWanted(FIRST, FIRST + 32, "another", nonce=5, birth=9), 0.0)
    assert effects == [Tell(A, SpaceAnswer(FIRST, FIRST + 32, 0, donor.status().ring, 5))]


def test_an_answer_to_no_question_changes_nothing() -> None:
    allocator = lone()
    allocator.tick(0.0)
    assert allocator.hear(B, SpaceAnswer(FIRST, FIRST + 32, 3, "", 5), 0.0) == []


def test_malformed_tokens_are_ignored_and_named() -> None:
    allocator = lone()
    allocator.allocate(REQUEST, ONE, UNIVERSE, 0.0, 0.0)
    ring = allocator.status().ring
    beyond = Entry(f"ring/{ring}/{FIRST}", 9, Token(FIRST, B, 0, UNIVERSE.end + 1, 1))
    last = Entry(f"ring/{ring}/{FIRST + 31}", 2, Token(FIRST + 31, B, 0, FIRST + 32, 1))
    effects = allocator.learn([beyond, last], 0.0)
    assert any(isinstance(effect, Notice) and "ignored" in effect.text for effect in effects)
    assert allocator.owned == (Range(FIRST, FIRST + 31),)  # what came along is taken
    before = allocator.status()
    allocator.learn([Entry("ring-start/x", 1, RingStart(FIRST, UNIVERSE.end, ()))], 0.0)
    allocator.learn([Entry("ring/x", 1, Token(FIRST, B, 0, FIRST + 1))], 0.0)
    assert allocator.status() == before


def force(world: World, donor: int, to: int, run: Range, version: int) -> None:
    """Change the ring over the head of an owner, as a taker of a dead peer's space would."""
    ballot = world.host(to).entries[f"paxos/{peer_name(to)}"].value
    assert isinstance(ballot, Ballot)
    token = Token(run.start, peer_name(to), 0, run.end, ballot.birth)
    entry = Entry(f"ring/{world.ring(to).id}/{run.start}", version, token)
    for number in (to, donor):
        name = peer_name(number)
        world.call(name, world.allocator(number).learn(world.hosts[name].merge([entry]), world.now))


def test_an_address_taken_from_a_container_s_owner_is_asked_for() -> None:
    world = World(2, Random(1), init=Seed((A, B)))
    held = world.address(world.allocate(1, "mine"))
    force(world, 1, 2, Range(FIRST, FIRST + 16), version=7)
    assert world.allocator(1).status().strays == (held,)
    assert world.allocator(2).owned == (UNIVERSE,)
    world.run(1.0)
    assert world.allocator(1).status().strays == ()
    assert world.allocator(1).owned == (Range(held, held + 1),)
    world.check()


def test_an_address_that_two_containers_hold_is_named_once() -> None:
    world = World(2, Random(1), init=Seed((A, B)))
    held = world.address(world.allocate(1, "mine"))
    world.split([1], [2])
    force(world, 1, 2, Range(FIRST, FIRST + 16), version=7)
    assert world.address(world.claim(2, "theirs", held)) == held
    world.split()
    world.run(5.0, check=False)
    said = [notice.text for notice in world.notices if "in conflict" in notice.text]
    assert said == [
        f"container mine here is in conflict: address 10.32.0.1 is taken by container theirs on peer {B}",
    ]
    world.release(2, "theirs")
    world.run(40.0, step=0.5)
    assert world.allocator(1).status().strays == ()


def test_space_whose_owner_is_not_known_yet_is_its_former_owner_s() -> None:
    allocator = Allocator(A, UNIVERSE, Seed((A, B)), {}, 0.0, Random(1))
    allocator.tick(0.0)
    ring = allocator.status().ring
    allocator.learn([Entry(f"ring/{ring}/{FIRST + 16}", 2, Token(FIRST + 16, B, 0, FIRST + 18, 5))], 0.0)
    allocator.allocate(REQUEST, ONE, Range(FIRST + 16, FIRST + 32), 2.0, 0.0)
    allocator.claim(RequestId(2), TWO, FIRST + 20, 2.0, 0.0)
    first, second = answers(allocator.tick(2.0))
    assert isinstance(first, NotReadyError)
    assert f"{B} owns 14 of them and cannot be reached" in str(first)
    assert str(second) == f"address 10.32.0.20 belongs to peer {B}, which cannot be reached"


def test_a_rival_s_range_is_not_given_out_and_the_rest_goes_on() -> None:
    allocator = Allocator(A, UNIVERSE, Seed((A, B)), {}, 0.0, Random(1))
    allocator.tick(0.0)
    ring = allocator.status().ring
    rival = Entry(f"ring/{ring}/{FIRST}", 1, Token(FIRST, PeerName("0" * 16), 0, FIRST + 8, 3))
    saved = disk(allocator.learn([rival], 0.0), allocator.allocate(REQUEST, ONE, UNIVERSE, 0.0, 0.0))
    assert allocator.status().contested == (Range(FIRST, FIRST + 8),)
    assert allocator.status().held == ((FIRST + 8, ONE),)
    (refused,) = answers(allocator.claim(REQUEST, TWO, FIRST + 2, 5.0, 0.0))
    assert "contested" in str(refused)
    saved = disk(Allocator(A, UNIVERSE, Seed((A, B)), {}, 0.0, Random(1)).tick(0.0), [Save(tuple(saved.items()))])
    again = Allocator(A, UNIVERSE, Seed((A, B)), saved, 0.0, Random(1))
    assert again.status().contested == (Range(FIRST, FIRST + 8),)


def test_neighbouring_tokens_become_one_in_quiet_times() -> None:
    world = World(2, Random(1), init=Seed((A, B)))
    for number in range(16):
        world.allocate(1, f"a{number}")
    world.run(1.0)
    world.claim(1, "c", FIRST + 23)
    world.run(1.0)
    before = world.ring(2).segments
    world.run(12.0, step=0.5)
    assert len(world.ring(2).segments) < len(before)
    assert world.ring(1).segments == world.ring(2).segments


def test_reads_how_the_first_ring_comes_about() -> None:
    assert parse_init("consensus", 2) == Consensus(3)
    assert parse_init("consensus=7", 2) == Consensus(7)
    assert parse_init(f"seed={B},{A}", 2) == Seed((A, B))
    assert parse_init("observer", 2) == Observer()
    bad = ("", "seed", "seed=", f"seed={A},", "seed=host1", "consensus=0", "consensus=x", "observer=1", "consensus=")
    for text in bad:
        with pytest.raises(RequestError, match="write consensus"):
            parse_init(text, 0)
