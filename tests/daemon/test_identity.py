"""Who this host is, and what is known of its state: current, old, damaged, somebody else's."""

from pathlib import Path

import pytest

from ripstop.core.errors import StartError
from ripstop.core.ipam.saved import DISK, Disk
from ripstop.daemon import identity
from ripstop.store.witness import Witness


def start(path: Path, *, dies: bool = False) -> tuple[str, Disk, dict[str, bytes]]:
    """Start and end once, with one change of the state; return who we are, what the disk was, and what was on it.

    Unless it dies before, the allocator's first change is among it.
    """
    witness = Witness(path / "witness", path)
    store, disk = identity.open_store(path, witness)
    before = store.load("ipam/")
    before.pop(DISK, None)
    name, incarnation = identity.load(store, None)
    if not dies:
        store.put([("ipam/x", str(incarnation).encode()), (DISK, None)])
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


def test_what_was_found_outlives_a_daemon_that_dies_before_it_is_heeded(tmp_path: Path) -> None:
    start(tmp_path)
    (tmp_path / "witness").unlink()
    assert [start(tmp_path, dies=True)[1] for _ in range(2)] == [Disk.UNSURE, Disk.UNSURE]
    assert start(tmp_path)[1] is Disk.UNSURE
    assert start(tmp_path)[1] is Disk.CURRENT


def test_the_worse_of_two_findings_counts(tmp_path: Path) -> None:
    path = tmp_path / "ripstop.sqlite"
    start(tmp_path)
    copy = path.read_bytes()
    start(tmp_path)
    path.write_bytes(copy)
    assert start(tmp_path, dies=True)[1] is Disk.OLD
    (tmp_path / "witness").unlink()
    assert start(tmp_path)[1] is Disk.OLD


def test_another_state_directory_is_not_taken_for_one_that_was_put_back(tmp_path: Path) -> None:
    for _ in range(3):
        start(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    start(other)
    (other / "witness").unlink()
    (other / "witness").symlink_to(tmp_path / "witness")  # one run directory for both
    assert start(other)[1] is Disk.UNSURE


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


def test_a_clone_that_dies_while_it_forgets_is_another_peer_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _, _ = start(tmp_path)
    (tmp_path / "machine-id").write_text("a clone")
    monkeypatch.setattr(identity, "MACHINE_IDS", (tmp_path / "machine-id",))
    real = Path.unlink

    def unlink_and_die(path: Path, missing_ok: bool = False) -> None:
        real(path, missing_ok)
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(Path, "unlink", unlink_and_die)
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path)
    assert start(tmp_path)[0] != name


def test_the_range_may_change_once_nobody_uses_it(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness", tmp_path)
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
