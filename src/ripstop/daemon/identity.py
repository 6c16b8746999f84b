"""Who this peer is: drawn at random at the first start, kept on disk, never derived from hardware."""

import logging
from pathlib import Path
from random import SystemRandom

from ripstop.core.errors import StartError
from ripstop.core.ipam.saved import DISK, Disk
from ripstop.core.names import PeerName, is_peer_name
from ripstop.daemon import ports
from ripstop.store.sqlite import DamagedError, Store, StoreError
from ripstop.store.witness import Witness

log = logging.getLogger("ripstop.identity")
_NAME, _INCARNATION, _RANGE = "daemon/name", "daemon/incarnation", "daemon/range"
_MACHINE, _FILE = "daemon/machine", "daemon/file"
_DATABASE, _NAME_FILE = "ripstop.sqlite", "name"  # in the state directory
MACHINE_IDS = (Path("/sys/class/dmi/id/product_uuid"), Path("/etc/machine-id"))


def open_store(state_dir: Path, witness: Witness) -> tuple[Store, Disk]:
    """Open the state and say whether it is what was written last.

    What is found is on disk when this returns, and stays there until the allocator has saved what follows from it: a
    daemon that dies in between finds the same again, though by then the witness knows this boot and this file.

    A damaged database is moved aside and replaced: who we are is kept beside it, the rest comes from the mesh and from
    what is found in the kernel.  One that was cloned together with its machine is another peer's, and is emptied.

    Raises:
        StartError: it cannot be used.
    """
    path = state_dir / _DATABASE
    try:
        store = Store(path, witness)
        disk = Disk.CURRENT
    except DamagedError as error:
        aside = path.with_suffix(".damaged")
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.rename(aside)
        log.error("%s; it is %s now, and what it knew is fetched from other hosts", str(error).partition(";")[0], aside)
        store, disk = Store(path, witness), Disk.OLD
    saved = store.load("daemon/")
    if disk is Disk.CURRENT and _NAME in saved:
        disk = _age(store, saved, witness)
    if _is_elsewhere(saved):
        log.warning("this state was written on another machine: this host starts as another peer, with nothing")
        (state_dir / _NAME_FILE).unlink(missing_ok=True)  # first: without the rest it would tell who we are
        store.put((key, None) for key in store.load(""))
        disk = Disk.CURRENT
    known = Disk(store.load(DISK).get(DISK, Disk.CURRENT.value.encode()).decode())
    disk = max(disk, known, key=tuple(Disk).index)
    found = () if disk is Disk.CURRENT else ((DISK, disk.value.encode()),)
    _put(store, ((_MACHINE, _machine()), (_FILE, b"%d" % path.stat().st_ino), *found))
    return store, disk


def _age(store: Store, saved: dict[str, bytes], witness: Witness) -> Disk:
    """Return what is known of a sound database."""
    if witness.seen is not None and store.count < witness.seen:
        log.error("%s was put back: it has %d of %d changes", store.path, store.count, witness.seen)
        return Disk.OLD
    if _FILE in saved and int(saved[_FILE]) != store.path.stat().st_ino:
        log.error("%s was put back: it is another file than the one that was written last", store.path)
        return Disk.OLD
    return Disk.CURRENT if witness.seen is not None else Disk.UNSURE


def _is_elsewhere(saved: dict[str, bytes]) -> bool:
    known, here = saved.get(_MACHINE, b""), _machine()
    return bool(known and here and known != here)


def _machine() -> bytes:
    """Return what tells this machine from its clones, empty if nothing does."""
    for path in MACHINE_IDS:
        try:
            found = path.read_bytes().strip()
        except OSError:
            continue
        if found:
            return found
    return b""


def load(store: Store, wanted: str | None) -> tuple[PeerName, int]:
    """Return the peer's name and its new incarnation, which is on disk when this returns.

    Args:
        store: the instance's state.
        wanted: the name asked for, or None.

    Raises:
        StartError: the state belongs to another name, or cannot be written.
    """
    saved, beside = store.load("daemon/"), store.path.parent / _NAME_FILE
    stored = saved.get(_NAME, b"").decode()
    if not stored and beside.exists() and is_peer_name(beside.read_text().strip()):
        stored = beside.read_text().strip()
    if stored and wanted and stored != wanted:
        raise StartError(
            f"{store.path} belongs to peer {stored}, not {wanted}; leave --name out or use another --state-dir"
        )
    name = stored or wanted or f"{SystemRandom().getrandbits(64):016x}"
    incarnation = int(saved.get(_INCARNATION, b"0")) + 1
    _put(store, ((_NAME, name.encode()), (_INCARNATION, str(incarnation).encode())))
    if not beside.exists():
        try:
            beside.write_text(f"{name}\n")
        except OSError as error:
            raise StartError(f"cannot write {beside}: {error.strerror}") from None
    return PeerName(name), incarnation


def forget(state_dir: Path) -> None:
    """Delete the state: this host has left, and is nobody until it starts again."""
    for name in (_DATABASE, f"{_DATABASE}-wal", f"{_DATABASE}-shm", _NAME_FILE):
        (state_dir / name).unlink(missing_ok=True)


def check_range(store: Store, universe: str) -> None:
    """Remember the range; refuse another one than last time while addresses of that are in use here.

    Raises:
        StartError: they are.
    """
    stored = store.load(_RANGE).get(_RANGE, b"").decode()
    if stored and stored != universe:
        attached = len(store.load(ports.PREFIX)) + len(store.load("host/expose"))
        if attached:
            raise StartError(
                f"{attached} interfaces here have addresses of --range {stored}, so it cannot be {universe} now;"
                f" start with --range {stored}, detach and hide them, and try again"
            )
        log.warning("the range was %s and is %s now", stored, universe)
    if stored != universe:
        _put(store, ((_RANGE, universe.encode()),))


def _put(store: Store, items: tuple[tuple[str, bytes], ...]) -> None:
    try:
        store.put(items)
    except StoreError as error:
        raise StartError(str(error)) from None
