"""The daemon's share of the processors, in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from ripstop.daemon.priority import NICE

TAKE = """
import os, sys
os.setpriority(os.PRIO_PROCESS, 0, int(sys.argv[1]))
from ripstop.daemon import priority
priority.take()
print(os.getpriority(os.PRIO_PROCESS, 0))
print(open("/proc/self/autogroup").read() if os.path.exists("/proc/self/autogroup") else "")
"""


def taken(before: int, *, own_session: bool) -> tuple[int, str]:
    """Return the nice value of a process that has had `before`, and what the kernel says of its session."""
    command = [sys.executable, "-c", TAKE, str(before)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=own_session)
    nice, session = done.stdout.splitlines()[:2]
    return int(nice), session


def test_a_session_of_its_own_has_the_share_too() -> None:
    nice, session = taken(0, own_session=True)
    assert nice == NICE
    assert session == "" or session.endswith(f" nice {NICE}")


def test_the_session_of_somebody_else_is_left_alone() -> None:
    before = Path("/proc/self/autogroup").read_text().strip() if Path("/proc/self/autogroup").exists() else ""
    assert taken(0, own_session=False) == (NICE, before)


@pytest.mark.parametrize("before", [-1, 10])
def test_whoever_chose_a_nice_value_keeps_it(before: int) -> None:
    assert taken(before, own_session=True)[0] == before
