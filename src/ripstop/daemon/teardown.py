"""`ripstop down` without a daemon: takes away what a dead one left in this network namespace."""

from pathlib import Path

from ripstop.daemon.host import remove_everything
from ripstop.daemon.lock import Lock
from ripstop.kernel.link import Links


def teardown(run_dir: Path, state_dir: Path) -> list[str]:
    """Remove devices, pins and rules; the state on disk stays, and notices at the next start.

    Args:
        run_dir: of the instance; its leftovers go too.
        state_dir: of the instance; untouched.

    Returns:
        What was removed, one line each; empty if there was nothing.

    Raises:
        StartError: a daemon is running after all.
        KernelError: the kernel refused.
    """
    lock = Lock(run_dir)
    try:
        links = Links()
        try:
            removed = remove_everything(links)
        finally:
            links.close()
    finally:
        lock.release()
    for name in ("ripstop.sock", "cni.sock", "ripstop.lock"):
        (run_dir / name).unlink(missing_ok=True)
    return removed
