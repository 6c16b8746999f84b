"""Keeps the kernel as the core wants it: remembers only the newest wish, tries until it is so."""

import asyncio
import logging
from collections.abc import Callable

from ripstop.core.errors import KernelError
from ripstop.core.multicast.tables import Key, Row
from ripstop.core.overlay.forwarding import ForwardingTables
from ripstop.daemon.kernel import KernelThread

log = logging.getLogger("ripstop.kernel")
RETRY_FIRST = 0.1  # seconds
RETRY_LIMIT = 5.0  # seconds


class Reconciler:
    """One loop that writes tables and MTU through the kernel thread, with back-off."""

    def __init__(
        self,
        kernel: KernelThread,
        apply: Callable[[ForwardingTables], None],
        distribute: Callable[[tuple[Row, ...], bool], None],
        set_mtu: Callable[[int], None],
    ) -> None:
        self._kernel, self._apply, self._distribute, self._set_mtu = kernel, apply, distribute, set_mtu
        self._wake = asyncio.Event()
        self._tables: ForwardingTables | None = None
        self._rows: dict[Key, Row] = {}  # of groups, not yet written
        self._rows_complete = False  # whatever else the kernel has is to go
        self._mtu: int | None = None
        self.mtu: int | None = None  # what was written last
        self.tables: ForwardingTables | None = None
        self.problem = ""  # why the kernel is not as wanted, "" when it is

    def publish(self, tables: ForwardingTables) -> None:
        """Have these tables written; older ones that were not are forgotten."""
        self._tables = tables
        self._wake.set()

    def distribute(self, rows: tuple[Row, ...], *, complete: bool) -> None:
        """Have these rows written, each in place of an older wish for the same."""
        self._rows |= {row.key: row for row in rows}
        self._rows_complete = self._rows_complete or complete
        self._wake.set()

    def use_mtu(self, mtu: int) -> None:
        """Have this MTU set on every interface of ours."""
        self._mtu = mtu
        self._wake.set()

    async def run(self) -> None:
        """Run until cancelled."""
        retry = RETRY_FIRST
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._write()
            except KernelError as error:
                if not self.problem:
                    log.error("%s; trying again", error)
                self.problem = str(error)
                await asyncio.sleep(retry)
                retry = min(retry * 2, RETRY_LIMIT)
                self._wake.set()
            else:
                self.problem, retry = "", RETRY_FIRST

    async def _write(self) -> None:
        if self._mtu is not None and self._mtu != self.mtu:
            mtu = self._mtu
            await self._kernel.run(lambda: self._set_mtu(mtu))
            self.mtu = mtu
        if self._tables is not None and self._tables is not self.tables:
            tables = self._tables
            await self._kernel.run(lambda: self._apply(tables))
            self.tables = tables
        if self._rows or self._rows_complete:
            rows, complete = dict(self._rows), self._rows_complete
            await self._kernel.run(lambda: self._distribute(tuple(rows.values()), complete))
            self._rows = {key: row for key, row in self._rows.items() if rows.get(key) is not row}
            self._rows_complete = False
