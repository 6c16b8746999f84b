"""The kernel thread: everything that talks to the kernel runs here, one thing at a time, off the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class KernelThread:
    """One thread; it alone enters other namespaces, so nobody else is ever in the wrong one."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kernel")

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in the thread.  It is finished even when the caller is cancelled: kernel work has no half-way."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        done = self._executor.submit(work)
        done.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(_pass_on, done, result))
        return await result

    def close(self) -> None:
        """Wait for what runs, then end the thread."""
        self._executor.shutdown(wait=True)


def _pass_on(done: "Future[T]", result: "asyncio.Future[T]") -> None:
    """Hand a result over in one turn of the event loop; asyncio's own way takes three, with all that waits in each."""
    if result.done():
        return  # nobody waits for it any more
    if error := done.exception():
        result.set_exception(error)
    else:
        result.set_result(done.result())
