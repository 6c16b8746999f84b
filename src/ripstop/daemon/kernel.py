"""The kernel thread: everything that talks to the kernel runs here, one thing at a time, off the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class KernelThread:
    """One thread; it alone enters other namespaces, so nobody else is ever in the wrong one."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kernel")

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in the thread.  It is finished even when the caller is cancelled: kernel work has no half-way."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._executor, work))

    def close(self) -> None:
        """Wait for what runs, then end the thread."""
        self._executor.shutdown(wait=True)
