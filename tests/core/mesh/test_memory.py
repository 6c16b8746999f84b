"""What was saved comes back; damage costs only what was damaged."""

import math

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.events import Endpoint
from ripstop.core.mesh.memory import SAVE_AFTER, SAVE_INTERVAL, FormerLife, Memory, recall
from ripstop.core.mesh.messages import Entry, Reach
from ripstop.core.mesh.path import Path
from ripstop.core.mesh.replica import Replica
from ripstop.core.names import PeerName, UnderlayIp

PEER = PeerName("1" * 16)
PATHS = {PEER: Path(UnderlayIp("192.0.2.2"), UnderlayIp("192.0.2.1"), 1450)}
TARGETS = (Endpoint("host", 6783),)


def entry(version: int) -> Entry:
    """Return an entry of a peer."""
    return Entry(f"reach/{PEER}", version, Reach(PEER, b"\2", b"", 1450))


def full_disk() -> dict[str, bytes]:
    """Save something of everything."""
    replica = Replica()
    memory = Memory(replica, 0.0)
    memory.keep_entries(replica.merge([entry(5)]), 0.0)
    memory.keep_paths(PATHS, 0.0)
    saves = [*memory.tick(SAVE_AFTER), memory.keep_targets(TARGETS), memory.keep_incarnation(9)]
    return {key: value for save in saves for key, value in save.items if value is not None}


def test_everything_saved_comes_back() -> None:
    assert recall(full_disk()) == FormerLife(9, TARGETS, (entry(5),), PATHS)
    assert recall({}) == FormerLife()
    assert recall({"ipam/x": b"\xc1"}) == FormerLife()


@given(st.sampled_from(sorted(full_disk())), st.binary(max_size=60))
def test_damage_costs_only_what_was_damaged(key: str, rubbish: bytes) -> None:
    disk = full_disk()
    former = recall({**disk, key: rubbish})
    whole = recall({other: value for other, value in disk.items() if other != key})
    if former.damaged:
        assert former == FormerLife(whole.incarnation, whole.targets, whole.entries, whole.paths, (key,))


def test_writes_wait_for_what_is_urgent_and_are_gathered_for_a_moment() -> None:
    replica = Replica()
    memory = Memory(replica, 0.0)
    assert memory.deadline == math.inf
    memory.keep_entries(replica.merge([entry(1)]), 0.0)
    assert memory.tick(0.0) == []
    assert memory.deadline == SAVE_AFTER
    assert len(memory.tick(SAVE_AFTER)) == 1
    assert memory.deadline == math.inf
    for version in (2, 3):
        memory.keep_entries(replica.merge([entry(version)]), SAVE_INTERVAL / 2)
        assert memory.deadline == SAVE_AFTER + SAVE_INTERVAL
        assert memory.tick(SAVE_INTERVAL / 2) == []
    (save,) = memory.tick(SAVE_AFTER + SAVE_INTERVAL)
    assert recall({key: value for key, value in save.items if value}).entries == (entry(3),)


def test_paths_are_forgotten_when_the_datapath_goes() -> None:
    memory = Memory(Replica(), 0.0)
    memory.keep_paths(PATHS, 0.0)
    memory.forget_paths(0.0)
    (save,) = memory.tick(0.0, at_once=True)
    assert save.items == (("mesh/paths", None),)
