"""Runs the core: the only writer of the node.  Events come in through an inbox, effects go out to the shell.

A daemon gets no processor now and then, and is then late with everything.  Nobody else must suffer for it, so what came
in meanwhile is heard before a timer judges that nothing came, and time in which we did not run does not count.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from ripstop.core.effects import Answer, Effect, Save, Send
from ripstop.core.errors import RequestError
from ripstop.core.events import CancelRequested, Event
from ripstop.core.names import RequestId
from ripstop.core.node import Node
from ripstop.core.owntime import OwnTime
from ripstop.daemon.shell import Performed
from ripstop.store.sqlite import StoreError

MAX_BATCH = 256  # events that are worked off before anything of them is performed
TURNS = 3  # of the event loop, until what has come in by any socket is in the inbox: noticed, read, taken apart


class StorageError(RequestError):
    """The state could not be written, so nothing may be promised."""

    status = 507


class Hands(Protocol):
    """What the driver needs of a shell."""

    def save(self, items: tuple[tuple[str, bytes | None], ...]) -> None:
        """Write to disk.

        Raises:
            StoreError: nothing was written.
        """

    def perform(self, effect: Performed) -> None:
        """Do one thing."""


class Driver:
    """One node, one inbox, one shell; nothing else touches the node."""

    def __init__(self, node: Node, shell: Hands) -> None:
        self.node = node
        self._shell = shell
        self._inbox: asyncio.Queue[Event] = asyncio.Queue()
        self._waiting: dict[RequestId, asyncio.Future[int]] = {}
        self._last_request = 0
        self._time = OwnTime()

    @property
    def now(self) -> float:
        """The time as the node sees it."""
        return self._time.read(asyncio.get_running_loop().time())

    def post(self, event: Event) -> None:
        """Put an event into the inbox; for callers in the event loop."""
        self._inbox.put_nowait(event)

    async def ask(self, make: Callable[[RequestId], Event]) -> int:
        """Post the question that `make` builds and wait for its answer, an address.

        Raises:
            RequestError: the core's reason.
        """
        self._last_request += 1
        request = RequestId(self._last_request)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[request] = future
        self.post(make(request))
        try:
            return await future
        except asyncio.CancelledError:  # the caller hung up
            self.post(CancelRequested(request))
            raise
        finally:
            del self._waiting[request]

    async def done(self, event: Event) -> None:
        """Post an event and return when it has been worked off."""
        self.post(event)
        await self._inbox.join()

    async def run(self) -> None:
        """Run until cancelled.  A bug in the core ends the daemon: the kernel keeps forwarding."""
        while True:
            event = await self._next_event()
            if self._look() < self.node.deadline:
                self._hear(event)
                continue
            for _ in range(TURNS):
                await asyncio.sleep(0)
            unheard = self._inbox.qsize() + (event is not None)
            while unheard > 0:
                unheard -= self._hear(event)
                event = None
                await asyncio.sleep(0)  # many may have come during a stall
            if (now := self._look()) >= self.node.deadline:
                self._perform(self.node.tick(now))

    async def _next_event(self) -> Event | None:
        """Return the next event, or None once a timer is due."""
        if not self._inbox.empty():
            return self._inbox.get_nowait()
        try:
            async with asyncio.timeout_at(self._time.clock(self.node.deadline)):
                return await self._inbox.get()
        except TimeoutError:
            return None

    def _hear(self, event: Event | None) -> int:
        """Have the node take an event, and others that wait; return how many, all in one transaction."""
        heard = [] if event is None else [event]
        while len(heard) < MAX_BATCH and not self._inbox.empty():
            heard.append(self._inbox.get_nowait())
        effects = [effect for event in heard for effect in self.node.receive(event, self._look())]
        self._perform(effects)
        for _ in heard:
            self._inbox.task_done()
        return len(heard)

    def _look(self) -> float:
        return self._time.look(asyncio.get_running_loop().time(), self.node.deadline)

    def _perform(self, effects: list[Effect]) -> None:
        """Save everything in one transaction, then perform the rest in order.

        If the disk refuses, nothing is promised to anybody, near or far; what is only remembered holds nobody up.
        """
        failure: StorageError | None = None
        saves = [effect for effect in effects if isinstance(effect, Save)]
        if saves:
            try:
                self._shell.save(tuple(item for save in saves for item in save.items))
            except StoreError as error:
                if any(save.promised for save in saves):
                    failure = StorageError(f"{error}; nothing was done")
        for effect in effects:
            match effect:
                case Answer(request, result):
                    self._answer(request, failure or result)
                case Save():
                    continue
                case Send() if failure:
                    continue  # peers fetch it by comparing notes; by then the disk may have room again
                case _:
                    self._shell.perform(effect)

    def _answer(self, request: RequestId, result: int | RequestError) -> None:
        future = self._waiting.get(request)
        if future is None or future.done():
            return
        if isinstance(result, int):
            future.set_result(result)
        else:
            future.set_exception(result)
