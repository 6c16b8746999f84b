"""Network namespaces of a lab: making them, running things in them, and leaving nothing of them behind.

They are entered by `nsenter` alone: `ip netns exec` and `ip -n` remount `/sys`, and pinned eBPF objects would vanish.
"""

import os
import re
import select
import signal
import subprocess
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from ripstop.lab.plan import LabError

DIRECTORY = Path("/run/netns")  # where `ip netns` keeps them
PATIENCE = 3.0  # seconds for a process to end by itself
DEATH = 30.0  # seconds for one that was killed to be gone: giving its memory back takes its share of a busy processor


def path(netns: str) -> Path:
    """Return the file that stands for a namespace."""
    return DIRECTORY / netns


def entering(netns: str, command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` inside a namespace; it becomes that process, same pid."""
    return ["nsenter", f"--net={path(netns)}", "--", *command]


def run(command: Sequence[str], *, given: str = "") -> str:
    """Run a command of the system and return what it printed.

    Raises:
        LabError: it is not installed, or failed; with its own first line.
    """
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed; the lab needs iproute2, nftables and util-linux") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[0]
        raise LabError(f"{' '.join(command)}: {said}")
    return done.stdout


def add(names: Iterable[str]) -> None:
    """Make namespaces, each with its loopback device up."""
    names = list(names)
    run(["ip", "-batch", "-"], given="".join(f"netns add {name}\n" for name in names))
    for name in names:
        run(entering(name, ["ip", "link", "set", "lo", "up"]))


def of_lab(lab: str) -> list[str]:
    """Return the namespaces that belong to a lab, known or left over."""
    mine = re.compile(rf"ripstop-{re.escape(lab)}-(switch|h[0-9]+(c[0-9]+)?)")
    if not DIRECTORY.is_dir():
        return []
    return sorted(entry.name for entry in DIRECTORY.iterdir() if mine.fullmatch(entry.name))


def remove(names: Collection[str]) -> None:
    """End every process inside namespaces, and delete them; those that are gone already are no error."""
    end(processes(names))
    for name in names:
        if path(name).exists():
            run(["ip", "netns", "delete", name])


def processes(names: Collection[str]) -> list[int]:
    """Return the pids of all processes inside namespaces."""
    inodes = {path(name).stat().st_ino for name in names if path(name).exists()}
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            inside = (entry / "ns/net").stat().st_ino in inodes
        except OSError:  # it has ended meanwhile
            continue
        if inside and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return sorted(found)


def end(pids: Iterable[int], patience: float = PATIENCE) -> None:
    """Tell processes to end, wait, and kill those that did not."""
    handles = [handle for pid in pids if (handle := _open_pid(pid)) is not None]
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for handle in handles:
                _signal(handle, number)
            handles = _still_alive(handles, patience)
    finally:
        for handle in handles:
            os.close(handle)


def kill(pid: int) -> None:
    """Kill one process with SIGKILL and wait until it is gone."""
    handle = _open_pid(pid)
    if handle is None:
        return
    _signal(handle, signal.SIGKILL)
    for left in _still_alive([handle], DEATH):
        os.close(left)
        raise LabError(f"pid {pid} survives SIGKILL")


def _open_pid(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _signal(handle: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return


def _still_alive(handles: Sequence[int], patience: float) -> list[int]:
    """Wait up to `patience` seconds for each process; close and leave out those that have ended."""
    alive = []
    for handle in handles:
        ended, _, _ = select.select([handle], [], [], patience)
        if ended:
            os.close(handle)
        else:
            alive.append(handle)
    return alive
