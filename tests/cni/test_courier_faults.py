"""Whatever the kernel refuses the courier: it prints the answer, or an error as specified, and asks only once."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ripstop.cni.assembly import assemble
from tests.cni.conftest import PYTHON, executable
from tests.cni.listener import Listener, listening

CONFIG = b'{"cniVersion": "1.0.0", "name": "overlay"}'
ROADS = {
    "a daemon answers": {"CNI_COMMAND": "ADD"},
    "nobody answers": {"CNI_COMMAND": "ADD", "RIPSTOP_RUN_DIR": "/nowhere"},
    "nobody is asked": {"CNI_COMMAND": "VERSION"},
}
OF_LIBC = {"arch_prctl", "set_tid_address", "rt_sigaction", "brk", "munmap"}  # which makes no use of their failures
PASSING = {"read": "EINTR", "write": "EINTR", "connect": "EINTR", "memfd_create": "EINVAL"}  # the last before Linux 6.3

_DIRECTORY = tempfile.TemporaryDirectory(prefix="ripstop-courier-")
ROOT = Path(_DIRECTORY.name)
COURIER = executable(ROOT / "courier", assemble(PYTHON, ROOT / "run"))
TRACE = ROOT / "trace"


def traced(road: str, *fault: str) -> tuple[int, bytes]:
    """Call the courier, with a fault; return its exit code and what it printed."""
    command = ["strace", "-o", str(TRACE), *fault, str(COURIER)]
    done = subprocess.run(command, input=CONFIG, env=ROADS[road], capture_output=True, check=False, timeout=60)
    return done.returncode, done.stdout


def calls(road: str) -> list[str]:
    """Return what the courier asks of the kernel until it ends or becomes another program, in order."""
    traced(road)
    found = [line.partition("(")[0] for line in TRACE.read_text().splitlines()[1:]]
    end = next(at for at, call in enumerate(found) if call in ("execve", "exit_group"))
    return found[: end + 1]


def places(road: str) -> list[tuple[str, int]]:
    """Return each call that may fail, and which of its kind it is."""
    listed = calls(road)
    return [
        (call, listed[: at + 1].count(call) + (call == "execve"))  # the first is how it began
        for at, call in enumerate(listed)
        if call not in OF_LIBC and call != "exit_group"
    ]


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with listening(ROOT / "run") as listener:
        yield listener


@pytest.mark.parametrize("road", ROADS)
def test_a_refusal_is_told_or_got_over(listener: Listener, road: str) -> None:
    tried = places(road)
    assert ("access" if road != "a daemon answers" else "connect", 1) in tried
    for call, number in tried:
        listener.asked.clear()
        code, printed = traced(road, "-e", f"inject={call}:error=EIO:when={number}")
        where = f"{call} {number}: {code} {printed!r}"
        assert len(listener.asked) <= 1, where
        if code == 0:
            json.loads(printed)
        elif (call, number) != tried[-1] or road != "a daemon answers":  # the last one is to print
            assert json.loads(printed)["code"] in (5, 11), where


@pytest.mark.parametrize("road", ROADS)
def test_what_can_be_tried_again_makes_no_difference(listener: Listener, road: str) -> None:
    expected = traced(road)
    for call, number in places(road):
        if call in PASSING:
            fault = f"inject={call}:error={PASSING[call]}:when={number}"
            assert traced(road, "-e", fault) == expected, fault
