"""Starting a daemon that outlives us, and seeing one end."""

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from ripstop.api.types import Status
from ripstop.cli.errors import FailedError
from ripstop.client import Client, DaemonUnreachableError, RefusedError

START_TIMEOUT = 60.0  # seconds until a daemon that does not answer is given up
END_TIMEOUT = 30.0  # seconds for a daemon to end after it said it would
_POLL = 0.02  # seconds between two looks at a daemon that starts
_FRAME = " \t|+-"  # what Python draws around the errors of a group
_TAIL = 65536  # bytes of the log to look for the last line in
MAX_LOG = 10_000_000  # bytes of a log that a new daemon goes on with


class Started(msgspec.Struct):
    """A daemon that answers; what `up --json` prints."""

    name: str
    nickname: str
    pid: int
    socket: str
    log: str


class Stopped(msgspec.Struct):
    """A daemon that runs no more; what `down --json` prints."""

    pid: int  # 0: none was running
    goodbye: bool  # it took everything down itself
    removed: list[str] = []  # what had to be removed after it, one line each


def start(command: Sequence[str], client: Client, log: Path, timeout: float = START_TIMEOUT) -> Started:
    """Start a daemon in a session of its own, its output appended to `log`, and wait until it answers.

    Raises:
        FailedError: it ended, with its last line and exit code; or it stayed silent and was ended by us.
    """
    _rotate(log)
    with open(log, "ab", opener=_private) as output:  # Path.open takes no opener
        before = output.tell()
        child = subprocess.Popen(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        status = _first_answer(child, client, timeout)
        if status is None:
            raise _epitaph(child.returncode, log, before)
    except BaseException:  # Ctrl-C too: what we started and did not see run is not left behind
        _end(child)
        raise
    return Started(status.name, status.nickname, child.pid, str(client.socket), str(log))


def _first_answer(child: "subprocess.Popen[bytes]", client: Client, timeout: float) -> Status | None:
    """Wait for the child's first answer; None if it has ended instead."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_POLL)
            return None
        with contextlib.suppress(DaemonUnreachableError, RefusedError):
            status = client.call("status")
            if status.pid == child.pid:  # another daemon's answer: ours is about to find out and end
                return status
    raise FailedError(f"the daemon gave no answer within {timeout:g} s and was ended")


def stop(client: Client, timeout: float = END_TIMEOUT) -> Stopped:
    """Ask a daemon to take everything down and wait until it has ended.

    Raises:
        DaemonUnreachableError: one is there but does not answer, or we may not ask.
        FailedError: it does not end.
    """
    try:
        pid = client.daemon_pid()
        process = os.pidfd_open(pid)
    except DaemonUnreachableError as error:
        if not error.dead:
            raise
        return Stopped(pid=0, goodbye=False)
    except ProcessLookupError:
        return Stopped(pid=0, goodbye=False)
    try:
        goodbye = True
        try:
            client.call("down")
        except DaemonUnreachableError as error:
            goodbye = False
            if not _ends(process, 1.0):
                raise DaemonUnreachableError(f"{error}; pid {pid} is alive: end it with `kill -9 {pid}`") from None
        if not _ends(process, timeout):
            raise FailedError(f"pid {pid} still runs {timeout:g} s after its goodbye; end it with `kill -9 {pid}`")
    finally:
        os.close(process)
    return Stopped(pid=pid, goodbye=goodbye)


def await_end(process: int, timeout: float = END_TIMEOUT) -> None:
    """Wait for the process behind a pidfd to end.

    Raises:
        FailedError: it does not.
    """
    if not _ends(process, timeout):
        raise FailedError(f"the daemon still runs after {timeout:g} s; end it with `ripstop down`")


def last_words(log: BinaryIO, since: int) -> str:
    """Return the last error in what a daemon wrote after offset `since`: its own last word, or the last line."""
    end = log.seek(0, os.SEEK_END)
    log.seek(max(since, end - _TAIL))
    lines = [line.strip(_FRAME) for line in log.read().decode(errors="replace").splitlines()]
    spoken = [line for line in lines if line]
    own = [line for line in spoken if line.startswith("ripstop: ")]
    return (own or spoken or [""])[-1].removeprefix("ripstop: ")


def _rotate(log: Path) -> None:
    """Begin a new log if the old one has become large; one old one is kept."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > MAX_LOG:
            log.replace(log.with_name(f"{log.name}.1"))


def _epitaph(code: int, log: Path, since: int) -> FailedError:
    """Return why a daemon ended, with the exit code to pass on."""
    with log.open("rb") as written:
        words = last_words(written, since)
    how = f"exit code {code}" if code >= 0 else f"signal {-code}"
    if not words:
        return FailedError(f"the daemon ended at once with {how} and said nothing", code if code > 0 else 1)
    return FailedError(f"{words} (the daemon ended with {how}; log: {log})", code if code > 0 else 1)


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(10.0)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _ends(process: int, timeout: float) -> bool:
    """Wait for the process behind a pidfd to end; return whether it has."""
    return bool(select.select([process], [], [], timeout)[0])


def _private(path: str, flags: int) -> int:
    """Open a file that others on the host need not read."""
    return os.open(path, flags, 0o600)
