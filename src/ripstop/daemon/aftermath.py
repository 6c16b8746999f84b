"""What need not be waited for when containers come and go, because the kernel takes ten times as long for it.

A program that is to run by tcx, and a device that is to go, each wait for a grace period of the kernel.  So a new port
begins with a filter, which is there at once, and is given tcx when nobody comes or goes for a moment; and a port that
goes is down and forgotten at once, and deleted a little later, together with all that go at the same time.

The kernel changes nothing else about any device while it waits, whoever asks.  So ports are promoted one by one, with a
rest after each in which whoever waited has its turn, and whoever comes meanwhile goes first; and deletions go together
for as long as it is bearable.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from ripstop.core.errors import KernelError
from ripstop.daemon.kernel import KernelThread

log = logging.getLogger("ripstop.kernel")
DELETE_AFTER = 0.05  # seconds without another port that goes
PROMOTE_AFTER = 0.5  # seconds without another that comes or goes
DELETE_LATEST = 2.0  # seconds
REST = 10.0  # times as long as a promotion took, until the next
LONGEST_REST = 0.5  # seconds; on a busy host a promotion takes long, and 250 are to come to an end
RETRY = 1.0  # seconds until it is tried again


class Aftermath:
    """Deletes and promotes ports behind everybody's back, in a thread of its own; never enters another namespace."""

    def __init__(self, delete: Callable[[Sequence[str]], None], promote: Callable[[str], None]) -> None:
        """Begin with nothing to do.

        Args:
            delete: deletes ports' devices, which may be gone.
            promote: gives a port tcx; one that is gone is fine.
        """
        self._delete, self._promote = delete, promote
        self._kernel = KernelThread()
        self._doomed = _Crowd(DELETE_AFTER, DELETE_LATEST)
        self._fresh = _Crowd(PROMOTE_AFTER)
        self._changed = asyncio.Event()
        self._deleted = asyncio.Event()  # set, and made anew, each time some were

    def came(self, name: str) -> None:
        """Promote a port when there is time."""
        self._fresh.add(name)
        self._changed.set()

    def goes(self, name: str) -> None:
        """Delete a port's device before long."""
        self._fresh.discard(name)
        self._fresh.wait()
        self._doomed.add(name)
        self._changed.set()

    async def is_gone(self, name: str) -> None:
        """Wait until a port's device is deleted; at once if it is not to be."""
        if name in self._doomed.names:
            self._doomed.hurry()  # once: if the kernel refuses, there is a pause before it is tried again
            self._changed.set()
        while name in self._doomed.names:
            await self._deleted.wait()

    async def run(self) -> None:
        """Run until cancelled; what is left then is found by the next start."""
        while True:
            deadline = min(self._doomed.deadline, self._fresh.deadline)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            self._changed.clear()
            now = asyncio.get_running_loop().time()
            if now >= self._doomed.deadline:
                await self._delete_all(tuple(self._doomed.names))
            elif now >= self._fresh.deadline:
                await self._promote_one(next(iter(self._fresh.names)))

    async def _promote_one(self, name: str) -> None:
        self._fresh.discard(name)  # first: one of the same name that comes meanwhile waits anew
        clock = asyncio.get_running_loop().time
        begin = clock()
        await self._kernel.run(lambda: self._promote(name))
        self._fresh.rest(min(LONGEST_REST, REST * (clock() - begin)))

    async def _delete_all(self, names: Sequence[str]) -> None:
        try:
            await self._kernel.run(lambda: self._delete(names))
        except KernelError as error:
            log.error("%s; trying again", error)
            self._doomed.postpone(RETRY)
        else:
            self._doomed.remove(names)
            self._doomed.begin()  # those that came meanwhile wait for each other, or each would be a lot of its own
        self._deleted.set()
        self._deleted = asyncio.Event()

    def close(self) -> None:
        """End the thread."""
        self._kernel.close()


class _Crowd:
    """Ports that wait for the same; they are served when no other comes for a moment, but not too late."""

    def __init__(self, pause: float, latest: float = float("inf")) -> None:
        self._pause, self._latest = pause, latest
        self.names: dict[str, None] = {}  # in the order in which they came
        self._first = 0.0
        self.deadline = float("inf")

    def add(self, name: str) -> None:
        if not self.names:
            self.begin()
        self.names[name] = None
        self.wait()

    def begin(self) -> None:
        """Have who is here now have come just now."""
        self._first = asyncio.get_running_loop().time()
        self.wait()

    def wait(self) -> None:
        """Serve nobody for a moment."""
        if self.names:
            self.deadline = min(asyncio.get_running_loop().time() + self._pause, self._first + self._latest)

    def rest(self, seconds: float) -> None:
        """Serve nobody for so long at least."""
        if self.names:
            self.deadline = max(self.deadline, asyncio.get_running_loop().time() + seconds)

    def discard(self, name: str) -> None:
        self.remove((name,))

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            self.names.pop(name, None)
        if not self.names:
            self.deadline = float("inf")

    def hurry(self) -> None:
        self.deadline = min(self.deadline, asyncio.get_running_loop().time())

    def postpone(self, seconds: float) -> None:
        self.deadline = asyncio.get_running_loop().time() + seconds
