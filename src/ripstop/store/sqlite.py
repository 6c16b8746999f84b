"""State on disk: one SQLite database, small keys and values, each change one transaction.

What others rely on (addresses given out, ports, our name) is on the disk itself before `put` returns.  What the mesh
remembers only to start faster need not survive a power failure, and so does not wait for the disk.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from ripstop.core.errors import RipstopError, StartError
from ripstop.store.witness import Witness

_SCHEMA = 1  # PRAGMA user_version
_HINTS = ("mesh/", "port/")  # keys whose loss costs time, nothing else: a port does not survive a power failure either


class StoreError(RipstopError):
    """The disk refused: nothing was changed."""


class DamagedError(StartError):
    """The database cannot be read, or not all of it."""


class Store:
    """A dictionary on disk; what `put` returned from is there after a crash of the machine."""

    def __init__(self, path: Path, witness: Witness | None = None) -> None:
        """Open or create the database.

        Args:
            path: of the database.
            witness: counts the transactions as well, where a copy of the database that is put back does not reach it.

        Raises:
            StartError: it cannot be opened, or was written by a newer version.
            DamagedError: it is damaged.
        """
        self.path, self._witness = path, witness
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            (found,) = self._database.execute("PRAGMA user_version").fetchone()
            if found > _SCHEMA:
                raise StartError(f"{path} was written by a newer ripstop; use that one, or another --state-dir")
            self._database.execute("CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
            self._database.execute("CREATE TABLE IF NOT EXISTS transactions (one INTEGER PRIMARY KEY, count INTEGER)")
            self._database.execute(f"PRAGMA user_version={_SCHEMA}")
            (verdict,) = self._database.execute("PRAGMA quick_check").fetchone()
        except (sqlite3.OperationalError, OSError) as error:
            raise StartError(f"cannot use {path}: {error}; move it away to start with a new identity") from None
        except sqlite3.DatabaseError as error:
            raise DamagedError(f"cannot use {path}: {error}; move it away to start with a new identity") from None
        if verdict != "ok":
            raise DamagedError(f"{path} is damaged ({verdict}); move it away to start with a new identity")
        found = self._database.execute("SELECT count FROM transactions").fetchone()
        self.count = int(found[0]) if found else 0  # of transactions that others rely on; the witness has the same

    def load(self, prefix: str) -> dict[str, bytes]:
        """Return everything whose key starts with `prefix`, in key order."""
        rows = self._database.execute(
            "SELECT key, value FROM state WHERE key >= ? AND key < ? ORDER BY key", (prefix, prefix + "\U0010ffff")
        )
        return {key: bytes(value) for key, value in rows}

    def put(self, items: Iterable[tuple[str, bytes | None]]) -> None:
        """Write all items in one transaction; None deletes.

        Raises:
            StoreError: nothing was written.
        """
        changes = list(items)
        is_hint = all(key.startswith(_HINTS) for key, _ in changes)
        try:
            self._database.execute(f"PRAGMA synchronous={'NORMAL' if is_hint else 'FULL'}")
            self._database.execute("BEGIN IMMEDIATE")
            written = dict(changes)  # of what is written twice, the last counts
            kept = [(key, value) for key, value in written.items() if value is not None]
            self._database.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", kept)
            dropped = [(key,) for key, value in written.items() if value is None]
            self._database.executemany("DELETE FROM state WHERE key = ?", dropped)
            if not is_hint:
                self._database.execute("INSERT OR REPLACE INTO transactions VALUES (1, ?)", (self.count + 1,))
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise StoreError(f"cannot write {self.path}: {error}") from None
        if not is_hint:
            self.count += 1
            if self._witness is not None:
                self._witness.count(self.count)

    def close(self) -> None:
        """Close the database; the state stays."""
        self._database.close()
