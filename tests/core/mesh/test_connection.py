"""The life cycle of a connection."""

import pytest

from ripstop.core.errors import ProtocolError
from ripstop.core.events import Endpoint
from ripstop.core.mesh.connection import TRANSITIONS, Connection, State, Step, next_state
from ripstop.core.names import ConnectionId, UnderlayIp


def test_every_open_state_can_be_left_in_every_way() -> None:
    for state in (State.GREETING, State.ESTABLISHED):
        for step in (Step.GOODBYE, Step.STREAM_CLOSED, Step.SILENCE, Step.REFUSED):
            assert next_state(state, step) is State.CLOSED


@pytest.mark.parametrize(("state", "step"), [(State.GREETING, Step.MESSAGE), (State.ESTABLISHED, Step.HELLO)])
def test_a_message_out_of_turn_is_the_other_sides_fault(state: State, step: Step) -> None:
    with pytest.raises(ProtocolError, match=f"{step.name.lower()} while {state.name.lower()}"):
        next_state(state, step)


def test_nothing_follows_the_end() -> None:
    assert TRANSITIONS[State.CLOSED] == {}
    assert {*TRANSITIONS} == {*State}


def test_what_people_see_of_it() -> None:
    remote = UnderlayIp("192.0.2.1")
    dialed = Connection(ConnectionId(1), Endpoint("host", 6783), remote, remote, 0.0)
    accepted = Connection(ConnectionId(2), None, remote, remote, 0.0)
    assert (dialed.is_outbound, dialed.address) == (True, "host:6783")
    assert (accepted.is_outbound, accepted.address) == (False, "192.0.2.1")
    assert dialed.peer is None
    dialed.move(Step.REFUSED)
    assert dialed.state is State.CLOSED
