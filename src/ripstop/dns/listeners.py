"""Where we answer: addresses come and go while we run."""

import errno
import os
from collections.abc import Callable, Mapping

from ripstop.dns.loop import Loop
from ripstop.dns.place import Service, Sockets, open_sockets
from ripstop.wire.dns_handover import Place
from ripstop.wire.dns_report import Listening

RETRY = 0.5  # seconds until we try again to get an address that somebody else has


class Listeners:
    """Sockets at the places we were told, both kinds or none at each."""

    def __init__(
        self,
        loop: Loop,
        serve: Callable[[Sockets], Service],
        changed: Callable[[], None],
    ) -> None:
        """Begin with none; `changed` is called when there is something new to say of them."""
        self._loop, self._serve, self._changed = loop, serve, changed
        self._open: dict[Place, Service] = {}
        self._problems: dict[Place, str] = {}
        self._wanted: tuple[Place, ...] = ()
        self._needed: tuple[Place, ...] = ()  # those of them that no wildcard covers
        self._waiting = False

    def listen(self, places: tuple[Place, ...], had: Callable[[Place], Sockets | None] = lambda _: None) -> None:
        """Answer at these places, and at no others; `had` may have sockets for them."""
        self._wanted = places
        self._needed = tuple(place for place in places if not _is_covered(place, places))
        for place in [place for place in self._open if place not in self._needed]:
            self._open.pop(place).close()
        self._problems = {place: problem for place, problem in self._problems.items() if place in self._needed}
        for place in self._needed:
            if place not in self._open and (sockets := had(place)) is not None:
                self._open[place] = self._serve(sockets)
        self._try()

    def state(self) -> tuple[Listening, ...]:
        """Return how it is going, in the order we were told."""
        return tuple(Listening(*place, self._problems.get(place, "")) for place in self._wanted)

    @property
    def places(self) -> tuple[Place, ...]:
        """Where we were told to answer."""
        return self._wanted

    @property
    def sockets(self) -> Mapping[Place, Sockets]:
        """Those at which we answer."""
        return {place: service.sockets for place, service in self._open.items()}

    def retire(self) -> None:
        """Take no more questions anywhere, but answer those that were asked."""
        for service in self._open.values():
            service.retire()

    def _try(self) -> None:
        for place in self._needed:
            if place not in self._open:
                try:
                    sockets = open_sockets(place)
                except OSError as error:
                    self._problems[place] = _problem(error)
                else:
                    self._problems.pop(place, None)
                    self._open[place] = self._serve(sockets)
        self._changed()
        if self._problems and not self._waiting:
            self._waiting = True
            self._loop.call_at(self._loop.now() + RETRY, self._again)

    def _again(self) -> None:
        self._waiting = False
        self._try()


def _is_covered(place: Place, places: tuple[Place, ...]) -> bool:
    address, port = place
    wildcard = "::" if ":" in address else "0.0.0.0"
    return address != wildcard and (wildcard, port) in places


def _problem(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "in use by another program; stop it, or answer elsewhere with --dns-listen"
    return os.strerror(error.errno or 0)
