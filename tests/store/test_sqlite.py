"""The state on disk: what was put is there, all of it or none."""

import sqlite3
from pathlib import Path

import pytest

from ripstop.core.errors import StartError
from ripstop.store.sqlite import Store, StoreError
from ripstop.store.witness import Witness


def test_what_was_put_is_there_after_reopening(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.sqlite")
    store.put([("a/1", b"one"), ("a/2", b"two"), ("b/1", b"three")])
    store.put([("a/1", None), ("a/2", b"zwei")])
    store.close()
    again = Store(tmp_path / "state.sqlite")
    assert again.load("a/") == {"a/2": b"zwei"}
    assert again.load("") == {"a/2": b"zwei", "b/1": b"three"}
    again.close()


def test_a_failing_put_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.sqlite")
    store.put([("a", b"1")])
    blocker = sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)
    blocker.execute("PRAGMA query_only=0")
    blocker.execute(
        "CREATE TRIGGER full BEFORE INSERT ON state WHEN NEW.key='c' BEGIN SELECT RAISE(FAIL,'disk full'); END"
    )
    with pytest.raises(StoreError, match="disk full"):
        store.put([("a", b"2"), ("c", b"3")])
    assert store.load("") == {"a": b"1"}
    store.put([("a", b"4")])
    assert store.load("") == {"a": b"4"}
    blocker.close()
    store.close()


def test_a_damaged_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(StartError, match=r"state\.sqlite.*move it away"):
        Store(path)


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version=99")
    newer.close()
    with pytest.raises(StartError, match="newer ripstop"):
        Store(path)


def test_a_copy_that_was_put_back_has_fewer_transactions_than_the_witness(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness", tmp_path)
    assert witness.seen is None
    store = Store(tmp_path / "state.sqlite", witness)
    store.put([("a", b"1")])
    store.close()
    copy = (tmp_path / "state.sqlite").read_bytes()
    store = Store(tmp_path / "state.sqlite", witness)
    store.put([("a", b"2")])
    store.put([("mesh/x", b"a hint is not counted")])
    assert store.count == 2
    store.close()
    witness.close()
    again = Witness(tmp_path / "witness", tmp_path)
    assert again.seen == 2
    (tmp_path / "state.sqlite").write_bytes(copy)
    old = Store(tmp_path / "state.sqlite", again)
    assert old.count == 1
    old.close()
    again.close()


def test_a_witness_of_another_boot_has_seen_nothing(tmp_path: Path) -> None:
    (tmp_path / "witness").write_bytes(b"another boot\n          7")
    witness = Witness(tmp_path / "witness", tmp_path)
    assert witness.seen is None
    witness.count(3)
    witness.close()
    again = Witness(tmp_path / "witness", tmp_path)
    assert again.seen == 3
    again.close()
