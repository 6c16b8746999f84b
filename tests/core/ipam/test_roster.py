"""Who is in the roster, and whom one can count on."""

from ripstop.core.effects import Save
from ripstop.core.ipam.messages import RingStart
from ripstop.core.ipam.roster import Roster
from ripstop.core.ipam.saved import Outbox, Saved
from ripstop.core.names import PeerName

ONE, TWO, THREE = (PeerName(f"{number:016x}") for number in (1, 2, 3))
START = RingStart(0, 32, (ONE, TWO), 7, (11, 12))


def saved(out: Outbox) -> dict[str, bytes]:
    return {
        key: value
        for effect in out.effects()
        if isinstance(effect, Save)
        for key, value in effect.items
        if value is not None
    }


def test_those_who_made_the_ring_are_known_and_newcomers_are_not_until_they_say_so() -> None:
    out = Outbox()
    roster = Roster({}, START)
    assert list(roster) == [(ONE, 11), (TWO, 12)]
    assert roster.note(THREE, 13, 0, (), out)
    assert not roster.note(THREE, 13, 0, (), out)
    assert [roster.is_known(peer) for peer in (ONE, TWO, THREE)] == [True, True, False]
    assert roster.blanks == set()
    roster.know(THREE, 14, out)  # some other self of it
    assert not roster.is_known(THREE)
    roster.know(THREE, 13, out)
    assert roster.is_known(THREE)


def test_one_that_was_known_and_lost_its_disk_is_blank_until_it_is_known_again() -> None:
    out = Outbox()
    roster = Roster({}, START)
    roster.note(ONE, 21, 0, (), out)
    assert roster.blanks == {ONE}
    roster.note(ONE, 31, 0, (), out)  # and once more
    assert roster.blanks == {ONE}
    roster.know(ONE, 31, out)
    assert roster.blanks == set()
    roster.note(TWO, 22, 0, {(TWO, 12)}, out)  # everybody said what it knew of that one
    assert roster.blanks == set()
    assert not roster.is_known(TWO)


def test_how_often_a_machine_has_restarted_only_grows() -> None:
    out = Outbox()
    roster = Roster({}, START)
    roster.note(ONE, 11, 2, (), out)
    roster.note(ONE, 11, 1, (), out)
    roster.note(ONE, 0, 9, (), out)  # says nothing of which self
    assert roster.life((ONE, 11)) == 2
    assert roster.life((ONE, 12)) == 0
    assert roster.is_known(ONE)


def test_all_of_it_is_on_disk_and_another_ring_begins_anew() -> None:
    out = Outbox()
    roster = Roster({}, None)
    roster.enter(START, out)
    roster.note(ONE, 21, 3, (), out)
    roster.note(THREE, 13, 0, (), out)
    again = Roster(Saved(saved(out)).members, START)
    assert list(again) == list(roster) == [(ONE, 21), (TWO, 12), (THREE, 13)]
    assert again.life((ONE, 21)) == 3
    assert again.blanks == {ONE}
    assert [again.is_known(peer) for peer in (ONE, TWO, THREE)] == [False, True, False]
    other = Outbox()
    again.enter(RingStart(0, 32, (TWO,), 8, (12,)), other)
    assert list(again) == [(TWO, 12)]


def test_a_roster_of_an_earlier_version_can_be_read() -> None:
    roster = Roster(Saved({f"ipam/peer/{ONE}": b"[11,2]"}).members, START)
    assert list(roster) == [(ONE, 11)]
    assert roster.life((ONE, 11)) == 2
    assert not roster.is_known(ONE)  # its ballot says so soon
