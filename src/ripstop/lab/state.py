"""What is kept of a lab outside any process, under `/run/ripstop-lab/<lab>/`: its plan, and a directory per host.

```
/run/ripstop-lab/<lab>.lock     there and locked while somebody builds, owns or removes it
/run/ripstop-lab/<lab>/lab.json  the plan, its cuts as they are now
/run/ripstop-lab/<lab>/h1/       run/ and state/ of the daemon, daemon.log, daemon.pid
```
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ripstop.lab import plan as plans
from ripstop.lab.plan import LabError, Plan

ROOT = Path("/run/ripstop-lab")
PATIENCE = 0.5  # seconds for a lock to become free
POLL = 0.02  # seconds between two looks at it


@dataclass(frozen=True, slots=True)
class State:
    """One lab as it is on disk."""

    plan: Plan
    complete: bool = False  # False while it is being built, or when whoever built it died
    owner: int = 0  # pid that lives and dies with the lab; 0: it stays until `lab down`


def directory(lab: str) -> Path:
    """Return where everything of a lab is kept."""
    plans.check_name(lab)
    return ROOT / lab


def load(lab: str) -> State:
    """Return what is recorded of a lab.

    Raises:
        LabError: there is none, or its record cannot be read.
    """
    path = directory(lab) / "lab.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        raise LabError(f"no lab {lab!r}; make one with `ripstop lab up --hosts 3`") from None
    except (OSError, msgspec.DecodeError) as error:
        raise LabError(f"{path}: {error}; clear up with `ripstop lab down --lab {lab}`") from None


def save(state: State) -> None:
    """Record a lab, replacing its record as a whole."""
    path = directory(state.plan.name) / "lab.json"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
    new.replace(path)


@contextlib.contextmanager
def editing(lab: str) -> Iterator[None]:
    """Let nobody else change the record of a lab between our `load` and our `save`; waits for its turn."""
    descriptor = os.open(directory(lab), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def forget(lab: str) -> None:
    """Remove everything that is kept of a lab."""
    shutil.rmtree(directory(lab), ignore_errors=True)


def recorded() -> list[str]:
    """Return the names of all labs on this machine."""
    return sorted(entry.name for entry in ROOT.iterdir() if entry.is_dir()) if ROOT.is_dir() else []


@contextlib.contextmanager
def locked(lab: str) -> Iterator[None]:
    """Hold a lab for oneself.

    Raises:
        LabError: another process builds, owns or removes it just now.
    """
    directory(lab)
    ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = ROOT / f"{lab}.lock"
    lock = _take(path, lab)
    try:
        yield
    finally:
        path.unlink()  # still ours; whoever opened it meanwhile sees that it is gone and makes a new one
        os.close(lock)


def _take(path: Path, lab: str) -> int:
    """Return a descriptor that holds the lock file at `path`, and not one that has just been removed.

    What a killed owner was about to start holds the lock until it has become another program, so we look again.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(lock, path):
                return lock
        except BlockingIOError:
            os.close(lock)
            if time.monotonic() < deadline:
                time.sleep(POLL)
                continue
            raise LabError(f"lab {lab!r} is in use by another process; wait, or take another --lab NAME") from None
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
