"""Whose word is needed, who inherits, and what happens to those who were thought dead."""

from random import Random

from ripstop.core.address import Range
from ripstop.core.effects import Tell
from ripstop.core.errors import ConflictError, NotFoundError, NotReadyError, RequestError
from ripstop.core.ipam.messages import SpaceWanted, Token, Word, WordWanted
from ripstop.core.ipam.paxos import Consensus
from ripstop.core.ipam.probate import MAX_TOLD
from ripstop.core.names import RequestId
from tests.core.ipam.world import UNIVERSE, World, peer_name

SIZE = len(UNIVERSE)


def ring_of(count: int) -> World:
    """Return hosts with one container each, so that there is a ring."""
    world = World(count, Random(1), init=Consensus(count))
    for number in range(1, count + 1):
        world.allocate(number, f"c{number}")
    world.run(3.0)
    return world


def ring_with_strangers(members: int, strangers: int) -> World:
    """Return a ring that more hosts have joined while its first member was cut off from the others, as it still is."""
    world = World(members + strangers, Random(1), init=Consensus(members))
    world.split(range(members + 1, members + strangers + 1))
    for number in range(1, members + 1):
        world.allocate(number, f"c{number}")
    world.run(3.0)
    world.split([1])
    world.run(3.0)
    return world


def wait_for(world: World, request: RequestId) -> RequestId:
    world.run(2.0)
    return request


def owned(world: World, number: int) -> int:
    return sum(map(len, world.allocator(number).owned))


def test_what_the_dead_owned_goes_to_one_heir_however_many_ask() -> None:
    world = ring_of(4)
    world.power_off(4)
    requests = [world.remove(number, [4]) for number in (3, 1, 2)]
    world.run(5.0)
    assert sorted(owned(world, number) for number in (1, 2, 3)) == [SIZE // 4, SIZE // 4, SIZE // 2]
    answers = [world.results[request] for request in requests]
    assert [answer for answer in answers if isinstance(answer, int) and answer] == [SIZE // 4]
    for number in (1, 2, 3):  # whoever asks again, because somebody died before he told, learns that it is done
        again = world.results[wait_for(world, world.remove(number, [4]))]
        assert isinstance(again, NotFoundError) if owned(world, number) == SIZE // 4 else again == 0
    assert sum(owned(world, number) for number in (1, 2, 3)) == SIZE


def test_whoever_may_have_been_given_some_must_be_heard_first() -> None:
    world = ring_of(4)
    world.split([3])
    world.power_off(4)
    request = world.remove(1, [4], wait=3.0)
    world.run(5.0)
    error = world.error(request)
    assert isinstance(error, NotReadyError)
    assert f"waiting for the word of {peer_name(3)} (cannot be reached)" in str(error)
    assert world.allocator(1).status().taking in str(error)
    assert owned(world, 1) == SIZE // 4
    world.split()
    world.run(20.0, step=0.2)
    assert owned(world, 1) == SIZE // 2  # it went on by itself


def test_what_is_refused() -> None:
    world = ring_of(3)
    alive = world.remove(1, [2])
    assert "can be reached, so it is not dead" in str(world.error(alive))
    assert "`ripstop reset`" in str(world.error(world.remove(1, [1])))
    assert isinstance(world.error(world.remove(1, [9])), NotFoundError)
    world.power_off(2)
    world.power_off(3)
    both = world.error(world.remove(1, [2, 3]))
    assert isinstance(both, ConflictError)
    assert "--force" in str(both)
    lonely = World(2, Random(1), init=Consensus(2))
    assert isinstance(lonely.error(lonely.remove(1, [2])), NotReadyError)


def test_one_after_the_other_is_together() -> None:
    world = ring_of(3)
    world.split([1], [2], [3])
    assert isinstance(world.error(wait_for(world, world.remove(1, [3], wait=1.0))), NotReadyError)
    too_many = world.error(world.remove(1, [2]))
    assert isinstance(too_many, ConflictError)
    assert "1 of the 3 peers known here and those not taken over yet are too many" in str(too_many)


def test_what_an_heir_has_taken_over_counts_no_more() -> None:
    world = ring_of(4)
    world.power_off(4)
    assert world.results[wait_for(world, world.remove(1, [4]))] == SIZE // 4
    world.power_off(1)
    assert world.results[wait_for(world, world.remove(2, [1]))] == SIZE // 2


def test_one_who_can_be_reached_by_somebody_is_not_dead() -> None:
    world = ring_of(3)
    world.groups[peer_name(3)] = 1
    world.call(peer_name(1), world.allocator(1).set_reachable([peer_name(2)], world.now))
    request = world.remove(1, [3])  # only the second still reaches the third
    world.groups[peer_name(3)] = 0
    world.run(2.0)
    assert "is alive" in str(world.error(request))
    world.reach()
    world.run(30.0, step=0.2)
    assert [owned(world, number) for number in (1, 2, 3)] == [10, 11, 11]
    assert world.is_peaceful()


def test_a_machine_that_restarts_hears_first_whether_it_was_written_off() -> None:
    world = ring_of(3)
    world.power_off(3)
    request = world.remove(1, [3])
    world.run(2.0)
    assert world.results[request] == 11
    world.split([3])
    world.start(peer_name(3))
    lonely = world.allocate(3, "early", wait=1.0)
    world.run(2.0)
    assert "has restarted and must first hear from 1 of" in str(world.error(lonely))
    world.split()
    late = world.allocate(3, "late")
    world.run(5.0)
    world.address(late)
    world.check()


def test_where_nobody_who_knew_anybody_is_left_people_decide() -> None:
    world = ring_of(5)
    world.power_off(5)
    for number in (1, 2, 3, 4):
        world.wipe(number)
        world.gossip_all()
    world.run(5.0)
    refused = world.error(world.remove(1, [5]))
    assert "is new in the ring" in str(refused)
    assert "with --force if there is none" in str(refused)
    forced = world.remove(1, [5], force=True)
    world.run(10.0)
    assert isinstance(world.results[forced], int)
    assert [world.allocator(number).status().doubt for number in (1, 2, 3, 4)] == [""] * 4
    assert sum(owned(world, number) for number in (1, 2, 3, 4)) == SIZE


def test_a_machine_that_restarts_needs_no_more_than_a_majority() -> None:
    world = ring_of(3)
    world.power_off(3)
    world.power_off(2)
    world.start(peer_name(2))
    request = world.allocate(2, "again")
    world.run(1.0)
    world.address(request)


def test_one_whom_most_do_not_know_yet_cannot_say_that_a_machine_was_not_written_off() -> None:
    world = ring_with_strangers(2, 1)
    world.power_off(2)
    assert world.results[wait_for(world, world.remove(1, [2]))] == SIZE // 2  # which has never heard of the third
    world.start(peer_name(2))
    early = wait_for(world, world.allocate(2, "early", wait=1.0))
    assert "has restarted and must first hear from 1 of" in str(world.error(early))
    assert isinstance(world.error(world.remove(2, [1])), ConflictError)
    world.split()
    late = world.allocate(2, "late", wait=30.0)
    world.run(30.0, until=[late])
    world.address(late)
    world.check()


def test_those_whom_most_do_not_know_yet_do_not_vouch_for_each_other() -> None:
    world = ring_with_strangers(2, 2)
    early = wait_for(world, world.allocate(3, "early", wait=1.0))
    assert f"is new in the ring and must first hear from 1 of {peer_name(1)}" in str(world.error(early))
    world.split()
    late = world.allocate(3, "late", wait=30.0)
    world.run(30.0, until=[late])
    world.address(late)


def test_one_whom_most_do_not_know_yet_is_nobody_by_whom_a_majority_outlives_the_dead() -> None:
    world = World(5, Random(1), init=Consensus(3))
    world.split([4], [5])
    for number in (1, 2, 3):
        world.allocate(number, f"c{number}")
    world.run(3.0)
    world.split([1], [4], [2, 3, 5])
    theirs = world.allocate(5, "unheard of", Range(UNIVERSE.start + SIZE // 2, UNIVERSE.end))
    world.run(5.0)
    assert world.address(theirs)
    world.power_off(2)
    world.power_off(3)
    world.split([1, 4], [5])
    world.run(5.0)
    assert "is new in the ring" in world.allocator(4).status().doubt
    refused = world.error(wait_for(world, world.remove(1, [2, 3])))
    assert "2 of the 3 peers known here are too many" in str(refused)
    world.split()
    world.run(5.0)  # now the first has heard of the fifth
    assert isinstance(world.results[wait_for(world, world.remove(1, [2, 3], force=True))], int)
    world.check()


def test_a_newcomer_that_a_restarted_machine_let_in_does_not_vouch_for_it() -> None:
    world = World(3, Random(1), init=Consensus(2))
    world.split([3])
    for number in (1, 2):
        world.allocate(number, f"c{number}")
    world.run(3.0)
    world.split([1], [2, 3])
    world.run(3.0)  # the second knows the third, which needs the first as well
    world.power_off(2)
    world.split([1], [3])
    assert world.results[wait_for(world, world.remove(1, [2]))] == SIZE // 2
    inherited = Range(UNIVERSE.start + SIZE // 2, UNIVERSE.end)
    astray = [world.address(world.allocate(1, f"late{number}", inherited)) for number in range(3)]
    world.wipe(1, keep_containers=True)  # and with it, that the second is written off
    world.split([2, 3], [1])
    world.start(peer_name(2))
    world.run(2.0)
    world.split()
    back = [world.allocate(2, f"back{number}", inherited) for number in range(3)]
    world.run(20.0)
    assert not {world.address(request) for request in back} & {*astray}
    assert world.is_peaceful()


def test_a_daemon_that_restarts_needs_nobody() -> None:
    world = ring_of(3)
    world.split([2])
    world.stop(peer_name(2))
    world.start(peer_name(2))
    world.address(world.allocate(2, "again"))


def test_leaves_with_everything_handed_over() -> None:
    world = ring_of(3)
    held = world.reset(2)
    assert "1 containers hold addresses here (c2); detach them first" in str(world.error(held))
    world.release(2, "c2")
    gone = world.reset(2)
    world.run(2.0)
    assert world.results[gone] == 11
    assert owned(world, 2) == 0
    assert owned(world, 1) + owned(world, 3) == SIZE
    world.check()


def test_whoever_leaves_inherits_no_more() -> None:
    world = ring_of(3)
    world.release(2, "c2")
    world.power_off(3)
    world.flights.clear()
    world.remove(2, [3])
    world.deliver(0)
    world.reset(2)  # the word is under way; what the dead one owned goes to the heir of whoever leaves
    for _ in world.flights[1:]:
        world.deliver(1)
    world.deliver(0)
    world.run(30.0, step=0.2)
    assert [one.text for one in world.notices if "another peer as well" in one.text] == []
    assert [owned(world, number) for number in (1, 2)] == [SIZE, 0]
    assert world.allocator(1).status().contested == ()


def test_whoever_hung_up_while_a_peer_left_may_ask_again() -> None:
    world = ring_of(3)
    world.release(2, "c2")

    def reset() -> RequestId:
        """Ask for it without the end: whoever asked has hung up, so the state is not deleted."""
        request = world.request(2, "")
        world.call(peer_name(2), world.allocator(2).reset(request, 10.0, world.now))
        return request

    reset()
    assert "leaving already" in str(world.error(reset()))
    world.run(2.0)
    assert owned(world, 2) == 0
    assert world.results[reset()] == 0


def test_nobody_is_left_to_take_over() -> None:
    world = World(1, Random(1), init=Consensus(1))
    world.allocate(1, "a")
    world.release(1, "a")
    assert world.results[world.reset(1)] == 0
    pair = ring_of(2)
    pair.release(1, "c1")
    pair.split([1])
    error = pair.error(pair.reset(1))
    assert isinstance(error, RequestError)
    assert "connect one of them" in str(error)


def test_primes_without_a_container() -> None:
    world = World(3, Random(1), init=Consensus(3))
    world.split([1])
    early = world.prime(1, wait=1.0)
    world.run(2.0)
    assert "no ring yet: 1 of the 2 peers needed" in str(world.error(early))
    world.split()
    request = world.prime(1)
    world.run(3.0)
    assert world.results[request] == 0
    assert all(world.allocator(number).ready for number in (1, 2, 3))


def test_an_observer_gets_addresses_but_no_share_and_has_no_vote() -> None:
    world = World(3, Random(1), init=Consensus(2))
    world.observe(3)
    request = world.allocate(3, "seen")
    world.run(3.0)
    world.address(request)
    assert world.ring(3).members == (peer_name(1), peer_name(2))


def test_spare_ranges_go_to_their_neighbours_in_the_end() -> None:
    world = ring_of(4)
    world.split([1, 2])
    requests = [world.allocate(1, f"more{number}") for number in range(10)]
    world.run(3.0)
    for number, request in enumerate(requests):
        world.address(request)
        world.release(1, f"more{number}")
    world.split()
    world.run(120.0, step=0.5)
    assert len(world.ring(3).segments) <= 4
    assert sum(owned(world, number) for number in (1, 2, 3, 4)) == SIZE


def test_an_heir_that_told_nobody_and_lost_its_disk_is_not_forgotten_by_its_containers() -> None:
    world = ring_of(4)
    world.power_off(1)
    world.remove(4, [1])
    while owned(world, 4) == SIZE // 4:
        world.run(0.05)
    world.split([4])  # before it told anybody
    inherited = Range(UNIVERSE.start, UNIVERSE.start + SIZE // 4)
    astray = [world.address(world.allocate(4, f"late{number}", inherited)) for number in range(3)]
    world.wipe(4, keep_containers=True)
    world.split()
    world.start(peer_name(1))  # back, and closer to what it owned than anybody else
    back = [world.allocate(1, f"back{number}", inherited) for number in range(3)]
    world.run(10.0)
    assert not {world.address(request) for request in back} & {*astray}
    assert [world.ring(1).owner(address) for address in astray] == [peer_name(4)] * 3
    assert owned(world, 1) == SIZE // 4 - 3
    assert world.is_peaceful()


def test_an_heir_leaves_out_whoever_is_back_and_has_the_rest() -> None:
    world = ring_of(3)
    world.power_off(1)
    assert world.results[wait_for(world, world.remove(2, [1]))] == SIZE // 3
    world.start(peer_name(1))  # as another, and with space from others
    world.run(3.0)
    world.address(wait_for(world, world.allocate(1, "back")))
    world.wipe(2)  # what it had inherited as well
    world.run(5.0)
    assert world.is_peaceful()
    assert not any(share.lost for number in (1, 2, 3) for share in world.allocator(number).status().shares)
    assert sum(owned(world, number) for number in (1, 2, 3)) == SIZE


def test_one_that_lives_does_not_keep_the_dead_from_being_taken_over() -> None:
    world = ring_of(5)
    world.power_off(5)
    world.groups[peer_name(4)] = 1
    world.call(peer_name(1), world.allocator(1).set_reachable([peer_name(2), peer_name(3)], world.now))
    request = world.remove(1, [4, 5])  # the others still reach the fourth
    world.groups[peer_name(4)] = 0
    world.run(2.0)
    assert str(world.error(request)).startswith(f"not all is taken over: {peer_name(4)} is alive")
    world.reach()
    world.run(30.0, step=0.2)
    assert [owned(world, number) for number in (1, 2, 3, 4)] == [6 + 7, 6, 7, 6]
    assert world.is_peaceful()


def test_of_two_heirs_one_has_all_that_either_was_to_have() -> None:
    world = ring_of(7)
    before = {number: owned(world, number) for number in range(1, 8)}
    world.power_off(6)
    world.power_off(7)
    world.split([1])
    world.remove(2, [6])  # which waits for the word of the first
    world.remove(3, [6, 7])
    world.run(3.0)
    assert [owned(world, number) for number in (2, 3)] == [before[2], before[3]]
    world.split()
    world.run(20.0, step=0.2)
    assert owned(world, 2) == before[2] + before[6] + before[7]
    assert sum(owned(world, number) for number in range(1, 6)) == SIZE


def test_the_living_speak_for_all_the_dead_that_an_heir_knows_of() -> None:
    world = ring_of(3)
    births = {part.owner: part.stamped.token.birth for part in world.ring(3).segments}
    one, two = peer_name(1), peer_name(2)
    wanted = WordWanted(world.ring(3).id, 1, births[two], dead=((one, births[one]),))
    effects = world.allocator(3).hear(two, wanted, world.now)
    (word,) = [effect.body for effect in effects if isinstance(effect, Tell) and isinstance(effect.body, Word)]
    assert {token.owner for _, token in word.tokens} == {one, peer_name(3)}


def test_the_living_tell_an_heir_what_they_gave_away() -> None:
    """Whoever has it may have been asked before it got it."""
    world = ring_of(4)
    births = {part.owner: part.stamped.token.birth for part in world.ring(3).segments}
    one, two, four = peer_name(1), peer_name(2), peer_name(4)
    given = next(part.range for part in world.ring(3).segments if part.owner == peer_name(3))
    wanted = SpaceWanted(given.start + 1, given.start + 2, world.ring(3).id, 5, births[four])
    world.allocator(3).hear(four, wanted, world.now)
    asked = WordWanted(world.ring(3).id, 1, births[two], gone=((one, births[one], 0),))
    world.power_off(1)
    effects = world.allocator(3).hear(two, asked, world.now)
    (word,) = [effect.body for effect in effects if isinstance(effect, Tell) and isinstance(effect.body, Word)]
    assert (given.start + 1, four) in {(token.start, token.owner) for _, token in word.tokens}


def test_a_ring_too_torn_to_be_told_of_is_asked_for_again() -> None:
    world = World(3, Random(1), Range(0, 1 << 16), Consensus(3))
    world.prime(1)
    world.run(3.0)
    world.power_off(3)
    births = {part.owner: part.stamped.token.birth for part in world.ring(1).segments}
    two, three = peer_name(2), peer_name(3)
    torn = [(100, Token(at, two, 1, at + 1, births[two], births[two])) for at in range(0, 2 * MAX_TOLD, 2)]
    ring = world.ring(1).id
    world.allocator(1).hear(two, Word(ring, 0, tokens=tuple(torn)), world.now)
    wanted = WordWanted(ring, 1, births[two], gone=((three, births[three], 0),))
    effects = world.allocator(1).hear(two, wanted, world.now)
    (word,) = [effect.body for effect in effects if isinstance(effect, Tell) and isinstance(effect.body, Word)]
    assert "ranges, too many to tell of" in word.refusal
    assert (word.refused, word.tokens) == ((), ())
    joined = Token(0, two, 1, 1 << 15, births[two], births[two])
    world.allocator(1).hear(two, Word(ring, 0, tokens=((101, joined),)), world.now)
    effects = world.allocator(1).hear(two, wanted, world.now)
    assert [
        effect.body.refusal for effect in effects if isinstance(effect, Tell) and isinstance(effect.body, Word)
    ] == [""]


def test_one_that_came_back_and_died_for_good_can_be_written_off_after_all() -> None:
    world = ring_of(4)
    world.power_off(4)
    world.split([1, 2], [3, 4])
    world.remove(1, [4])  # which waits for the word of the third
    world.run(1.0)
    world.start(peer_name(4))
    world.run(3.0)
    world.power_off(4)
    world.split()
    world.run(20.0, step=0.2)
    assert owned(world, 1) == SIZE // 4
    again = world.remove(1, [4])
    world.run(5.0)
    assert world.results[again] == SIZE // 4


def test_whoever_restarts_among_those_who_have_lost_their_disks_begins_anew() -> None:
    world = ring_of(2)
    world.power_off(1)
    assert world.results[wait_for(world, world.remove(2, [1]))] == SIZE // 2
    inherited = Range(UNIVERSE.start, UNIVERSE.start + SIZE // 2)
    astray = [world.address(world.allocate(2, f"late{number}", inherited)) for number in range(3)]
    world.wipe(2, keep_containers=True)  # and with it, that the first is written off
    world.start(peer_name(1))
    back = [world.allocate(1, f"back{number}", inherited) for number in range(3)]
    world.run(10.0)
    assert not {world.address(request) for request in back} & {*astray}
    assert world.is_peaceful()
