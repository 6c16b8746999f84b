"""Entries that come in: passed on, kept, told apart from ours."""

from random import Random

from ripstop.core.dns.messages import Bindings
from ripstop.core.effects import Save, Send
from ripstop.core.ipam.messages import Token
from ripstop.core.mesh.ledger import Ledger, News
from ripstop.core.mesh.membership import Identity
from ripstop.core.mesh.memory import SAVE_AFTER, FormerLife
from ripstop.core.mesh.messages import Entry, Gossip, Reach
from ripstop.core.mesh.replica import nothing_is_void
from ripstop.core.multicast.messages import Wants
from ripstop.core.names import ConnectionId, PeerName

OWN, PEER = PeerName("1" * 16), PeerName("2" * 16)
A, B = ConnectionId(1), ConnectionId(2)
TOKEN = Entry("ring/r/5", 1, Token(5, PEER, 0, 9))


def reach(name: PeerName, version: int, data: bytes = b"") -> Entry:
    """Return an entry of a peer."""
    return Entry(f"reach/{name}", version, Reach(name, data, b"", 0))


def make(*former: Entry) -> Ledger:
    """Return a ledger that knows some entries from a former life."""
    return Ledger(Identity(OWN, 3), 6783, (), FormerLife(entries=former), lambda _: (), nothing_is_void, 0.0, Random(1))


def test_what_was_known_is_known() -> None:
    assert make(reach(PEER, 5)).replica.get(f"reach/{PEER}") == reach(PEER, 5)


def test_news_is_told_with_what_it_replaces_passed_on_and_kept() -> None:
    ledger = make(reach(PEER, 5))
    assert ledger.learn([reach(PEER, 6), TOKEN, reach(PEER, 4)], A, 0.0) == (
        News(reach(PEER, 6), reach(PEER, 5)),
        News(TOKEN, None),
    )
    assert ledger.generation == 1
    assert ledger.spreader.tick((A, B), 0.0) == [Send(B, Gossip((reach(PEER, 6), TOKEN)))]
    (save,) = ledger.memory.tick(SAVE_AFTER)
    assert isinstance(save, Save)
    assert [key for key, _ in save.items] == [f"mesh/entry/reach/{PEER}"]


def test_what_others_want_and_are_called_is_kept_but_counts_for_no_route() -> None:
    ledger = make()
    entries = [Entry(f"mcast/{PEER}/0", 1, Wants(())), Entry(f"dns/{PEER}/0", 1, Bindings(()))]
    ledger.learn(entries, A, 0.0)
    assert ledger.generation == 0
    (save,) = ledger.memory.tick(SAVE_AFTER)
    assert isinstance(save, Save)
    assert [key for key, _ in save.items] == [f"mesh/entry/{entry.key}" for entry in entries]


def test_what_is_no_news_changes_nothing() -> None:
    ledger = make(reach(PEER, 5))
    assert ledger.learn([reach(PEER, 5)], A, 0.0) == ()
    assert ledger.generation == 0
    assert ledger.memory.tick(0.0) == []


def test_our_own_entries_are_ours_alone() -> None:
    ledger = make()
    assert ledger.learn([reach(OWN, 9 << 32)], A, 0.0) == ()
    assert ledger.replica.get(f"reach/{OWN}") is None
    assert ledger.deadline == 0.0
    assert ledger.refute(0.0)
    ledger.write([ledger.membership.author.write(f"reach/{OWN}", reach(OWN, 1).value)], 0.0)
    found = ledger.replica.get(f"reach/{OWN}")
    assert found
    assert found.version >> 32 == 10


def test_our_record_is_written_when_it_changes() -> None:
    ledger = make()
    ledger.write_record(0.0)
    ledger.write_record(0.0)
    assert ledger.generation == 1
