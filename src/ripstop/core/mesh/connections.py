"""All control connections of a peer: greetings, heartbeats, and never two that both ends keep.

Between a pair of peers the connection that the lower-named one dialed is kept.  Of two that the same side dialed, that
side keeps the older, if it still has it; the other side cannot know, and uses the newer until it is closed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from ripstop.core.effects import Close, Effect, Notice, Send
from ripstop.core.events import Accepted, Dialed, Endpoint
from ripstop.core.mesh.connection import HEARTBEAT_INTERVAL, SILENCE_LIMIT, Connection, State, Step
from ripstop.core.mesh.messages import PROTOCOL_VERSION, Goodbye, Heartbeat, Hello
from ripstop.core.names import ConnectionId, PeerName, UnderlayIp

STALE_AFTER = 1.5 * HEARTBEAT_INTERVAL  # seconds of silence after which a connection gives way to a new one
CLONE_MEMORY = 150.0  # seconds; whoever is refused dials again within `connector.RETRY_LIMIT`
STALL_LIMIT = 1.0  # seconds a tick may be late before the silence is put down to ourselves, not to others


@dataclass(frozen=True, slots=True)
class Ended:
    """How the last connection to a peer ended."""

    address: str
    is_outbound: bool
    reason: str


class Connections:
    """Every live session by id, at most one established per peer in use."""

    def __init__(self, name: PeerName, instance: int, greeting: Callable[[str], Hello], now: float) -> None:
        """Begin with none; `greeting` makes our hello for the address we see the other side under."""
        self.deadline = math.inf  # when `tick` next has something to do, seconds
        self.ended: dict[PeerName, Ended] = {}
        self.generation = 0  # grows whenever `current` changes
        self._failed: list[tuple[Endpoint, str]] = []
        self._name = name
        self._instance = instance
        self._greeting = greeting
        self._live: dict[ConnectionId, Connection] = {}
        self._current: dict[PeerName, ConnectionId] = {}
        self._clones: dict[UnderlayIp, float] = {}  # where somebody has our name, and when we met last
        self._beat_at = now + HEARTBEAT_INTERVAL

    def get(self, connection: ConnectionId) -> Connection | None:
        """Return a live connection, or None."""
        return self._live.get(connection)

    def current(self) -> dict[PeerName, Connection]:
        """Return the connection in use for each connected peer, by name."""
        return {peer: self._live[self._current[peer]] for peer in sorted(self._current)}

    def to(self, peer: PeerName) -> Connection | None:
        """Return the connection in use for one peer, or None."""
        connection = self._current.get(peer)
        return None if connection is None else self._live[connection]

    def clones(self, now: float) -> tuple[UnderlayIp, ...]:
        """Return where somebody has our name, as far as we have met of late."""
        return tuple(sorted(remote for remote, met in self._clones.items() if now - met < CLONE_MEMORY))

    def take_failed(self) -> list[tuple[Endpoint, str]]:
        """Return where we dialed and got no hello, and why; each once."""
        failed, self._failed = self._failed, []
        return failed

    def open(self, event: Dialed | Accepted, now: float) -> list[Effect]:
        """Greet the other side of a new session."""
        endpoint = event.endpoint if isinstance(event, Dialed) else None
        self._live[event.connection] = Connection(event.connection, endpoint, event.local, event.remote, now)
        self._beat_at = max(self._beat_at, now)
        self.deadline = min(self.deadline, self._beat_at, now + SILENCE_LIMIT)
        return [Send(event.connection, self._greeting(event.remote))]

    def greet(self, connection: Connection, hello: Hello, now: float) -> list[Effect]:
        """Take the other side's hello; afterwards the connection is established, or closed with a reason.

        Raises:
            ProtocolError: it said hello before.
        """
        connection.move(Step.HELLO)
        connection.hello = hello
        connection.heard_at = now
        if hello.protocol != PROTOCOL_VERSION:
            return self.refuse(connection, f"speaks protocol {hello.protocol}, we speak {PROTOCOL_VERSION}")
        if hello.name == self._name:
            return self._meet_ourselves(connection, hello, now)
        effects: list[Effect] = []
        for other in self._others(connection, hello.name):
            loser, reason = self._choose(connection, other, now)
            if loser:
                effects += self.refuse(loser, reason)
            if loser is connection:
                return effects
        return [*effects, *self._use(connection, hello.name)]

    def refuse(self, connection: Connection, reason: str) -> list[Effect]:
        """Say goodbye with a reason and close."""
        self._forget(connection, Step.REFUSED, reason)
        return [Send(connection.id, Goodbye(reason)), Close(connection.id, reason)]

    def end(self, connection: Connection, step: Step, reason: str) -> list[Effect]:
        """The other side closed, or said goodbye, or is silent."""
        self._forget(connection, step, reason)
        return [] if step is Step.STREAM_CLOSED else [Close(connection.id, reason)]

    def leave(self, reason: str) -> list[Effect]:
        """Say goodbye to everyone."""
        return [effect for connection in tuple(self._live.values()) for effect in self.refuse(connection, reason)]

    def tick(self, now: float) -> list[Effect]:
        """Send heartbeats; end what has been silent for too long."""
        if now - self.deadline > STALL_LIMIT:
            for connection in self._live.values():
                connection.heard_at = max(connection.heard_at, now - SILENCE_LIMIT + STALL_LIMIT)
        effects: list[Effect] = []
        for connection in list(self._live.values()):
            if now >= connection.heard_at + SILENCE_LIMIT:
                effects += self.end(connection, Step.SILENCE, f"silent for {SILENCE_LIMIT:.0f} s")
        if now >= self._beat_at:
            self._beat_at = now + HEARTBEAT_INTERVAL
            established = (c for c in self._live.values() if c.state is State.ESTABLISHED)
            effects += [Send(connection.id, Heartbeat()) for connection in established]
        self._schedule()
        return effects

    def _schedule(self) -> None:
        silences = [connection.heard_at + SILENCE_LIMIT for connection in self._live.values()]
        self.deadline = min(self._beat_at, *silences) if silences else math.inf

    def _use(self, connection: Connection, peer: PeerName) -> list[Effect]:
        is_first = peer not in self._current
        self._current[peer] = connection.id
        self.generation += 1
        if not is_first:
            return []
        return [Notice("info", f"connected to {peer} at {connection.address}")]

    def _others(self, connection: Connection, peer: PeerName) -> list[Connection]:
        return [
            other
            for other in self._live.values()
            if other is not connection and other.peer == peer and other.state is State.ESTABLISHED
        ]

    def _choose(self, new: Connection, old: Connection, now: float) -> tuple[Connection | None, str]:
        """Return which of two connections to one peer must go, if it is ours to say, and why."""
        assert new.hello and old.hello
        if new.hello.instance != old.hello.instance:
            return old, "the peer has restarted"
        if now - old.heard_at > STALE_AFTER:
            return old, "silent, and there is a new one"
        if new.is_outbound == old.is_outbound:
            return (new, "duplicate") if new.is_outbound else (None, "")
        we_are_lower = self._name < new.hello.name
        return (old if new.is_outbound == we_are_lower else new), "duplicate"

    def _meet_ourselves(self, connection: Connection, hello: Hello, now: float) -> list[Effect]:
        if hello.instance == self._instance:
            return self.refuse(connection, "this is ourselves")
        effects = self.refuse(connection, "both ends have the same name")
        if connection.remote not in self._clones:
            text = f"the peer at {connection.remote} has our name, {self._name}: start one of the two with a new state"
            effects.append(Notice("error", text))
        self._clones[connection.remote] = now
        return effects

    def _forget(self, connection: Connection, step: Step, reason: str) -> None:
        connection.move(step)
        del self._live[connection.id]
        peer = connection.peer
        if peer is None:
            if connection.endpoint:
                self._failed.append((connection.endpoint, reason))
            return
        if self._current.get(peer) == connection.id:
            del self._current[peer]
            self.generation += 1
            rest = [other.id for other in self._others(connection, peer)]
            if rest:
                self._current[peer] = max(rest)
            else:
                self.ended[peer] = Ended(connection.address, connection.is_outbound, reason)
