"""Where eBPF objects are pinned: `/sys/fs/bpf/ripstop/<cookie of the network namespace>/`.

The cookie keeps several instances on one machine apart without anybody choosing names, and is never used again
after the namespace is gone, so a new instance cannot adopt what belonged to a dead namespace.

In a container bpffs is elsewhere: AppArmor's profiles for containers let them write nothing below `/sys`.
"""

import ctypes
import fcntl
import os
import re
import subprocess
from pathlib import Path

from ripstop.core.errors import KernelError, StartError
from ripstop.kernel import netns
from ripstop.kernel.netns import outer_processes

_BPF_FS_MAGIC = 0xCAFE4A11  # include/uapi/linux/magic.h
MOUNTS = ("/sys/fs/bpf", "/mnt/sys/fs/bpf")  # the second is where the manifest for Kubernetes has it
_MOUNT_POINT = MOUNTS[0]
_libc = ctypes.CDLL(None, use_errno=True)


def root() -> Path:
    """Return where bpffs is, mounting it if need be.

    Under `ip netns exec` the process has a `/sys` of its own without bpffs; then we look through whoever started us,
    for what is mounted in a passing mount namespace would be lost with the daemon.

    Raises:
        StartError: bpffs is not there and cannot be mounted.
    """
    return _find() or _mounted()


def pin_directory() -> Path:
    """Return this network namespace's directory for pins, making it if need be.

    Raises:
        StartError: there is no bpffs, see `root`.
    """
    directory = root() / "ripstop" / f"{netns.cookie():x}"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def existing_pin_directory() -> Path | None:
    """Return this network namespace's directory for pins if there is one; changes nothing."""
    found = _find()
    if found is None:
        return None
    directory = found / "ripstop" / f"{netns.cookie():x}"
    return directory if directory.is_dir() else None


def remove(directory: Path) -> None:
    """Unpin everything in an instance's directory and remove it; nothing happens if it is gone."""
    if not re.fullmatch(r".*/ripstop/[0-9a-f]+", str(directory)):
        raise ValueError(f"{directory} is no pin directory")
    if directory.is_dir():
        for path in sorted(directory.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        directory.rmdir()
    try:
        directory.parent.rmdir()  # the last instance on the machine takes the parent with it
    except OSError:
        return


def _find() -> Path | None:
    for view in ("", *(f"/proc/{pid}/root" for pid in outer_processes())):
        for place in MOUNTS:
            if _is_bpffs(view + place):
                return Path(view + place)
    return None


def _is_bpffs(path: str) -> bool:
    found = (ctypes.c_long * 32)()  # struct statfs: f_type comes first
    if _libc.statfs(os.fsencode(path), ctypes.byref(found)) != 0:
        return False
    return (found[0] & 0xFFFFFFFF) == _BPF_FS_MAGIC


def _mounted() -> Path:
    """Mount bpffs where it outlives us, in the outermost mount namespace that we may enter; return where it is.

    One daemon at a time: a second mount would hide what the first one's daemon has begun to pin.
    """
    pid = next(iter(outer_processes()), os.getpid())
    above = f"/proc/{pid}/root{Path(_MOUNT_POINT).parent}"
    try:
        lock = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StartError(f"no bpffs at {_MOUNT_POINT}, and no place for one: {above}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _find()
        if found is None:
            _mount(pid)
            found = _find()
    finally:
        os.close(lock)
    if found is None:
        raise StartError(f"no bpffs at {_MOUNT_POINT}; mount it with: mount -t bpf bpf {_MOUNT_POINT}")
    return found


def _mount(pid: int) -> None:
    command = ["nsenter", f"--mount=/proc/{pid}/ns/mnt", "mount", "-t", "bpf", "bpf", _MOUNT_POINT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError as error:
        raise KernelError("mount", _MOUNT_POINT, error.errno or 0) from None
    if done.returncode:
        raise StartError(f"cannot mount bpffs at {_MOUNT_POINT}: {done.stderr.strip()}")
