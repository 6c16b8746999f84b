"""The loop that everything here runs on: descriptors that are ready, and times that have come."""

import heapq
import select
import time
from collections.abc import Callable

READ, WRITE = select.EPOLLIN, select.EPOLLOUT


class Timer:
    """Something that happens once; `cancel` if it shall not."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Let it never happen."""
        self._callback = None

    def fire(self) -> None:
        """Let it happen, unless it did or must not."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Loop:
    """Calls back; nothing that it calls may block."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._stopped = False

    def now(self) -> float:
        """Return the time in seconds, of a clock that never goes back."""
        return time.monotonic()

    def watch(self, fd: int, callback: Callable[[int], None], events: int = READ) -> None:
        """Call back with what happened whenever one of `events` (or an error) can be had of a descriptor."""
        if fd in self._watched:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._watched[fd] = callback

    def forget(self, fd: int) -> None:
        """Watch a descriptor no more; to be called before it is closed."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back once at a time of `now`."""
        timer = Timer(callback)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def stop(self) -> None:
        """Let `run` return."""
        self._stopped = True

    def run(self) -> None:
        """Run until `stop`."""
        while not self._stopped:
            timeout = max(0.0, self._timers[0][0] - self.now()) if self._timers else None
            for fd, events in self._epoll.poll(timeout):
                callback = self._watched.get(fd)
                if callback is not None:  # else somebody before it closed it
                    callback(events)
            while self._timers and self._timers[0][0] <= self.now():
                heapq.heappop(self._timers)[2].fire()
