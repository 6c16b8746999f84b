"""One daemon per run directory, and one per network namespace."""

import fcntl
import os
import socket
from pathlib import Path

from ripstop.core.errors import StartError


class Lock:
    """Held for the life of the process; the kernel lets go of it however the process ends."""

    def __init__(self, run_dir: Path) -> None:
        """Take both locks.

        Raises:
            StartError: somebody has one of them, and who.
        """
        self._pid_file = run_dir / "ripstop.pid"
        try:
            run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._file = (run_dir / "ripstop.lock").open("a")
        except OSError as error:
            raise StartError(f"cannot use run directory {run_dir}: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartError(
                f"run directory {run_dir} is in use by the daemon with pid {_read(self._pid_file)};"
                " give this one another --run-dir"
            ) from None
        # Abstract addresses belong to the network namespace: just the scope of the devices we make.
        self._namespace = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._namespace.bind("\0ripstop")
        except OSError:
            self._file.close()
            raise StartError(
                "another ripstop daemon runs in this network namespace; stop it with `ripstop down`"
            ) from None
        self._pid_file.write_text(f"{os.getpid()}\n")

    def release(self) -> None:
        """Let go, and leave nothing in the run directory but the lock's empty file."""
        self._pid_file.unlink(missing_ok=True)
        self._namespace.close()
        self._file.close()


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return "unknown"
