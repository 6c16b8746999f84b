"""Who this host is, and what is known of its state: current, old, damaged, somebody else's."""

from pathlib import Path

import pytest

from ripstop.core.errors import StartError
from ripstop.core.ipam.saved import Disk
from ripstop.daemon import identity
from ripstop.store.witness import Witness


def start(path: Path) -> tuple[str, Disk, dict[str, bytes]]:
    """Start and end once, with one change of the state; return who we are, what the disk was, and what was on it."""
    witness = Witness(path / "witness")
    store, disk = identity.open_store(path, witness)
    before = store.load("ipam/")
    name, incarnation = identity.load(store, None)
    store.put([("ipam/x", str(incarnation).encode())])
    store.close()
    witness.close()
    return name, disk, before


def test_the_same_machine_goes_on(tmp_path: Path) -> None:
    name, disk, _ = start(tmp_path)
    assert disk is Disk.CURRENT
    assert start(tmp_path) == (name, Disk.CURRENT, {"ipam/x": b"1"})


def test_a_machine_that_restarted_is_unsure(tmp_path: Path) -> None:
    name, _, _ = start(tmp_path)
    (tmp_path / "witness").unlink()
    assert start(tmp_path) == (name, Disk.UNSURE, {"ipam/x": b"1"})


def test_a_copy_that_was_put_back_is_old_whether_in_place_or_as_another_file(tmp_path: Path) -> None:
    name, _, _ = start(tmp_path)
    path = tmp_path / "ripstop.sqlite"
    copy = path.read_bytes()
    start(tmp_path)
    path.write_bytes(copy)
    assert start(tmp_path) == (name, Disk.OLD, {"ipam/x": b"1"})
    (tmp_path / "witness").unlink()
    path.rename(tmp_path / "first")  # so that its number is not used again
    path.write_bytes(copy)
    assert start(tmp_path) == (name, Disk.OLD, {"ipam/x": b"1"})


def test_a_damaged_database_is_moved_aside_and_the_name_kept(tmp_path: Path) -> None:
    name, _, _ = start(tmp_path)
    path = tmp_path / "ripstop.sqlite"
    path.write_bytes(path.read_bytes()[:1000] + b"torn" * 500)
    assert start(tmp_path) == (name, Disk.OLD, {})
    assert (tmp_path / "ripstop.damaged").exists()


def test_a_clone_is_another_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, _, _ = start(tmp_path)
    (tmp_path / "machine-id").write_text("a clone")
    monkeypatch.setattr(identity, "MACHINE_IDS", (tmp_path / "machine-id",))
    clone, disk, before = start(tmp_path)
    assert clone != name
    assert disk is Disk.CURRENT
    assert before == {}


def test_the_range_may_change_once_nobody_uses_it(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness")
    store, _ = identity.open_store(tmp_path, witness)
    identity.check_range(store, "10.32.0.0/12")
    store.put([("port/rs1", b"")])
    with pytest.raises(StartError, match=r"1 interfaces here have addresses of --range 10\.32\.0\.0/12"):
        identity.check_range(store, "10.64.0.0/12")
    identity.check_range(store, "10.32.0.0/12")
    store.put([("port/rs1", None)])
    identity.check_range(store, "10.64.0.0/12")
    store.close()
    witness.close()
