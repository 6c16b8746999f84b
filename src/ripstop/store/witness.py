"""How many transactions there were, kept outside the database and until the machine restarts.

A database that was put back from a copy looks sound; but it has fewer transactions than the witness has seen.
"""

import contextlib
import os
from pathlib import Path

from ripstop.core.errors import StartError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # drawn by the kernel at each boot
_WIDTH = 20  # decimal digits of a count


class Witness:
    """A file in the run directory: the boot it is of, the directory of the database, and a count."""

    def __init__(self, path: Path, directory: Path) -> None:
        """Read what was written, and go on with it if it is of this boot and of this database.

        Args:
            path: of the file.
            directory: where the database is.

        Raises:
            StartError: the file cannot be written.
        """
        head = b"%s %s\n" % (_BOOT_ID.read_bytes().strip(), os.fsencode(directory.resolve()))
        self.seen: int | None = None  # the count, if it is of this boot and this database
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            found = os.pread(self._file, len(head) + _WIDTH, 0)
            if found.startswith(head) and found[len(head) :].strip().isdigit():
                self.seen = int(found[len(head) :])
            else:
                os.ftruncate(self._file, 0)
                os.pwrite(self._file, head + b" " * _WIDTH, 0)  # room for a count while there is some
        except OSError as error:
            raise StartError(f"cannot use {path}: {error.strerror}") from None
        self._at = len(head)

    def count(self, transactions: int) -> None:
        """Write a count; a machine that stops in between has another boot when it comes back."""
        with contextlib.suppress(OSError):  # with a count that is too low we only notice less
            os.pwrite(self._file, b"%*d" % (_WIDTH, transactions), self._at)

    def close(self) -> None:
        """Write no more."""
        os.close(self._file)
