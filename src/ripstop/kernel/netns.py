"""Network namespaces: opening, entering, telling one from another.

`setns` acts on the calling thread alone, so everything here is for the kernel thread, never the event loop's.
`/sys` is never remounted (as `ip netns exec` does), because pinned eBPF objects would vanish from view.
"""

import contextlib
import ctypes
import os
import socket
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from ripstop.core.errors import KernelError, NotFoundError, RequestError

_CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
_NS_GET_NSTYPE = 0xB703  # include/uapi/linux/nsfs.h
_SO_NETNS_COOKIE = 71  # include/uapi/asm-generic/socket.h, Linux 5.14
_libc = ctypes.CDLL(None, use_errno=True)


def cookie() -> int:
    """Return the number of this thread's namespace, unique until the next boot and never used twice."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            return int(struct.unpack("Q", probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8))[0])
        except OSError as error:
            raise KernelError("read", "SO_NETNS_COOKIE", error.errno or 0, "needs Linux 5.15 or newer") from None


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """Yield a descriptor of the network namespace at `path`.

    A daemon in a mount namespace of its own may not see what the caller sees: then the path is tried as those who
    started the daemon see it.

    Raises:
        NotFoundError: there is nothing at `path`.
        RequestError: what is there is no network namespace.
    """
    descriptor = _open(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    if not path.startswith("/"):
        raise RequestError(f"namespace {path!r} is no absolute path; write it as /run/netns/NAME or /proc/PID/ns/net")
    reason = ""
    for candidate in _views(path):
        try:
            descriptor = os.open(candidate, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            reason = reason or os.strerror(error.errno or 0)
            continue
        if _is_netns(descriptor):
            return descriptor
        os.close(descriptor)
        reason = "not a network namespace"
    if reason == "not a network namespace":
        raise RequestError(f"{path} is not a network namespace; give /run/netns/NAME or /proc/PID/ns/net")
    raise NotFoundError(f"namespace {path}: {reason}; is the container still running?")


def _views(path: str) -> Iterator[str]:
    """Yield under what names a path may be seen, the most likely first: the rest takes time to find out."""
    yield path
    yield from (f"/proc/{pid}/root{path}" for pid in outer_processes())


def outer_processes() -> tuple[int, ...]:
    """Return those of our ancestors whose view of the file system we may use, the outermost first."""
    found, pid = [], os.getpid()
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
            if pid:
                Path(f"/proc/{pid}/root/.").stat()
                found.append(pid)
        except OSError:
            continue
    return tuple(reversed(found))


def _is_netns(descriptor: int) -> bool:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return False
    return int(_libc.ioctl(descriptor, _NS_GET_NSTYPE)) == _CLONE_NEWNET


@contextlib.contextmanager
def found(path: str, number: int) -> Iterator[int]:
    """Yield a descriptor of the namespace with inode `number`: at `path`, or wherever a process still has it.

    Raises:
        NotFoundError: no process and no path leads to it any more.
    """
    for candidate in _holders(path):
        try:
            descriptor = _open(candidate)
        except RequestError:
            continue
        try:
            if inode(descriptor) == number:
                yield descriptor
                return
        finally:
            os.close(descriptor)
    raise NotFoundError(f"namespace {path} is gone")


def _holders(path: str) -> Iterator[str]:
    """Yield what may lead to a namespace that was at `path`: looking through all processes comes last."""
    yield path
    yield from (str(process / "ns/net") for process in Path("/proc").glob("[0-9]*"))


def inode(descriptor: int) -> int:
    """Return what names a namespace while it lives."""
    return os.fstat(descriptor).st_ino


def is_own(descriptor: int) -> bool:
    """Return whether a namespace is the one this thread is in."""
    return os.stat(_own()).st_ino == inode(descriptor)  # noqa: PTH116  a `Path` takes as long as all else here


def _own() -> str:
    return f"/proc/self/task/{threading.get_native_id()}/ns/net"


@contextlib.contextmanager
def entered(descriptor: int) -> Iterator[None]:
    """Put the calling thread into a namespace for the length of a `with` block."""
    home = os.open(_own(), os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(descriptor)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        errno = ctypes.get_errno()
        raise KernelError("setns", f"descriptor {descriptor}", errno, os.strerror(errno))
