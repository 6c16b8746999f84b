"""What waits at a start, for what, and for how long at most."""

import math

from ripstop.core.mesh.startup import CHOOSE, SETTLE, Startup


def test_a_newcomer_waits_for_word_before_it_takes_an_id() -> None:
    startup = Startup(has_id=False, has_paths=False)
    assert startup.deadline == math.inf
    startup.begin(has_targets=True, now=5.0)
    assert startup.deadline == 5.0 + CHOOSE
    assert not startup.choose(5.5)
    startup.heard_back = True
    assert startup.choose(5.6)
    assert startup.deadline == math.inf


def test_a_newcomer_waits_no_longer_than_a_second() -> None:
    startup = Startup(has_id=False, has_paths=False)
    startup.begin(has_targets=True, now=5.0)
    startup.begin(has_targets=True, now=5.9)
    assert startup.choose(5.0 + CHOOSE)


def test_who_asks_nobody_waits_for_nobody() -> None:
    startup = Startup(has_id=False, has_paths=False)
    startup.begin(has_targets=False, now=5.0)
    assert startup.choose(5.0)


def test_without_a_former_life_tables_may_be_written_at_once() -> None:
    assert Startup(has_id=False, has_paths=False).settle(is_confirmed=False, now=0.0)


def test_after_a_restart_paths_must_answer_and_a_neighbor_must_speak() -> None:
    startup = Startup(has_id=True, has_paths=True)
    startup.begin(has_targets=True, now=5.0)
    assert startup.deadline == 5.0 + SETTLE
    assert not startup.settle(is_confirmed=True, now=5.1)
    startup.heard_back = True
    assert not startup.settle(is_confirmed=False, now=5.2)
    assert startup.settle(is_confirmed=True, now=5.3)
    assert startup.settle(is_confirmed=False, now=5.4)
    assert startup.deadline == math.inf


def test_after_a_restart_a_second_is_enough_in_any_case() -> None:
    startup = Startup(has_id=True, has_paths=True)
    startup.begin(has_targets=True, now=5.0)
    assert startup.settle(is_confirmed=False, now=5.0 + SETTLE)
