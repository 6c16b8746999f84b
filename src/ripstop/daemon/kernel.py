"""The kernel thread: everything that talks to the kernel runs here, one thing at a time, off the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ripstop.core.errors import RipstopError

S = TypeVar("S")
T = TypeVar("T")


class KernelThread:
    """One thread; it alone enters other namespaces, so nobody else is ever in the wrong one."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kernel")

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in the thread.  It is finished even when the caller is cancelled: kernel work has no half-way."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._executor, work))

    def together(self, work: Callable[[Sequence[S]], None]) -> "Together[S]":
        """Return a queue whose items `work` gets in lots: all that came while it was at the lot before."""
        return Together(self, work)

    def close(self) -> None:
        """Wait for what runs, then end the thread."""
        self._executor.shutdown(wait=True)


class Together(Generic[S]):
    """Work that takes as long for many as for one, so that those who come together wait once."""

    def __init__(self, kernel: KernelThread, work: Callable[[Sequence[S]], None]) -> None:
        self._kernel, self._work = kernel, work
        self._waiting: _Lot[S] = _Lot()
        self._busy = asyncio.Lock()

    async def run(self, item: S) -> None:
        """Have an item worked off; an error of its lot is everybody's."""
        lot = self._waiting
        lot.items.append(item)
        async with self._busy:
            if lot is self._waiting:  # else one of those who came with it has seen to it
                self._waiting = _Lot()
                try:
                    await self._kernel.run(lambda: self._work(tuple(lot.items)))
                except RipstopError as error:
                    lot.error = error
        if lot.error is not None:
            raise lot.error


@dataclass(slots=True)
class _Lot(Generic[S]):
    """What is worked off at once."""

    items: list[S] = field(default_factory=list)
    error: RipstopError | None = None
