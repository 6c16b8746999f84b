"""Refuting a former life takes one step; a double is answered ever more slowly."""

import math

from ripstop.core.effects import Notice, Save
from ripstop.core.mesh.limits import MAX_INCARNATION
from ripstop.core.mesh.membership import Author
from ripstop.core.mesh.memory import Memory
from ripstop.core.mesh.refuter import FIRST_PAUSE, PAUSE_LIMIT, Refuter
from ripstop.core.mesh.replica import Replica


def make() -> tuple[Refuter, Author]:
    """Return a refuter and whom it defends."""
    author = Author(1)
    return Refuter(author, Memory(Replica(), 0.0), 0.0), author


def test_one_step_above_whatever_was_claimed() -> None:
    refuter, author = make()
    assert refuter.deadline == math.inf
    refuter.usurped(7 << 32 | 5)
    refuter.usurped(4 << 32)
    assert refuter.deadline == 0.0
    save, notice = refuter.refute(0.0)
    assert author.incarnation == 8
    assert save == Save((("mesh/incarnation", b"\x08"),))
    assert isinstance(notice, Notice)
    assert refuter.deadline == math.inf
    assert refuter.refute(0.0) == []


def test_again_and_again_is_answered_ever_more_slowly_and_said_once() -> None:
    refuter, author = make()
    now, said, pauses = 0.0, 0, []
    for _ in range(20):
        refuter.usurped(author.incarnation + 1 << 32)
        pauses.append(refuter.deadline - now)
        now = refuter.deadline
        said += len([effect for effect in refuter.refute(now) if isinstance(effect, Notice)])
    assert pauses[:4] == [0.0, FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == PAUSE_LIMIT
    assert said == 1


def test_after_a_quiet_time_it_is_quick_again() -> None:
    refuter, _ = make()
    for now in (0.0, FIRST_PAUSE):
        refuter.usurped(1 << 40)
        refuter.refute(now)
    refuter.usurped(1 << 45)
    assert len(refuter.refute(1000.0)) == 2


def test_above_the_last_incarnation_there_is_none() -> None:
    refuter, author = make()
    refuter.usurped(MAX_INCARNATION << 32)
    (notice,) = refuter.refute(0.0)
    assert isinstance(notice, Notice)
    assert notice.level == "error"
    assert author.incarnation == 1
