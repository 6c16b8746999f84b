"""One control connection: its life cycle as a table, and what is known about it."""

from dataclasses import dataclass
from enum import Enum, auto

from ripstop.core.errors import ProtocolError
from ripstop.core.events import Endpoint
from ripstop.core.mesh.messages import Hello
from ripstop.core.names import ConnectionId, PeerName, UnderlayIp

HEARTBEAT_INTERVAL = 2.0  # seconds
SILENCE_LIMIT = 8.0  # seconds without a word from the other side, hello included, until a connection counts as dead


class State(Enum):
    """Where a connection is in its life."""

    GREETING = auto()  # our hello is out, theirs is not here yet
    ESTABLISHED = auto()
    CLOSED = auto()


class Step(Enum):
    """What moves a connection on."""

    HELLO = auto()
    MESSAGE = auto()  # any but hello and goodbye
    GOODBYE = auto()
    STREAM_CLOSED = auto()
    SILENCE = auto()
    REFUSED = auto()  # by us: another protocol, our own name, a duplicate, a broken message


TRANSITIONS: dict[State, dict[Step, State]] = {
    State.GREETING: {
        Step.HELLO: State.ESTABLISHED,
        Step.GOODBYE: State.CLOSED,
        Step.STREAM_CLOSED: State.CLOSED,
        Step.SILENCE: State.CLOSED,
        Step.REFUSED: State.CLOSED,
    },
    State.ESTABLISHED: {
        Step.MESSAGE: State.ESTABLISHED,
        Step.GOODBYE: State.CLOSED,
        Step.STREAM_CLOSED: State.CLOSED,
        Step.SILENCE: State.CLOSED,
        Step.REFUSED: State.CLOSED,
    },
    State.CLOSED: {},
}


def next_state(state: State, step: Step) -> State:
    """Return the state that follows; a step the table lacks is the remote peer's fault."""
    try:
        return TRANSITIONS[state][step]
    except KeyError:
        raise ProtocolError(f"{step.name.lower()} while {state.name.lower()}") from None


@dataclass(slots=True)
class Connection:
    """One TCP session."""

    id: ConnectionId
    endpoint: Endpoint | None  # where we dialed; None if they dialed us
    local: UnderlayIp
    remote: UnderlayIp
    heard_at: float  # when the other side last said anything, seconds
    state: State = State.GREETING
    hello: Hello | None = None  # theirs

    @property
    def peer(self) -> PeerName | None:
        """Who is at the other end, once known."""
        return self.hello.name if self.hello else None

    @property
    def is_outbound(self) -> bool:
        """Return whether we dialed."""
        return self.endpoint is not None

    @property
    def address(self) -> str:
        """The other end for people; of an inbound connection the port is unknown."""
        return str(self.endpoint) if self.endpoint else self.remote

    def move(self, step: Step) -> None:
        """Take a step of the life cycle.

        Raises:
            ProtocolError: this step cannot come now.
        """
        self.state = next_state(self.state, step)
