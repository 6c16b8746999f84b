"""Programs that are in the kernel already, from the same file: taken over by their pins instead of loaded.

To load them means that the kernel verifies them, a quarter of a second of work, which a restarted daemon on a busy host
waits for many times as long.  They refer to the same pinned maps, so whoever loaded them, they are the same.
"""

import contextlib
import ctypes
import errno
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from ripstop.core.errors import KernelError
from ripstop.kernel.bpf import LoadedObject, Map, library

_PREFIX = "programs-"
_INFO_SIZE = 64  # bytes; the beginning of struct bpf_map_info: type, id, key size, value size.  Source: linux/bpf.h


class KeptObject:
    """Maps and programs by their pins; does what a `LoadedObject` does."""

    def __init__(self, maps: dict[str, Map], programs: dict[str, int]) -> None:
        self._maps, self._programs = maps, programs

    def map(self, name: str) -> Map:
        """Return the map of that name."""
        return self._maps[name]

    def program_fd(self, name: str) -> int:
        """Return the descriptor of the program of that name; it is the object's own."""
        return self._programs[name]

    def close(self) -> None:
        """Give the descriptors back; what is pinned or attached stays."""
        for fd in (*(one.fd for one in self._maps.values()), *self._programs.values()):
            os.close(fd)
        self._maps, self._programs = {}, {}


def digest(path: Path) -> str:
    """Return a short name for the content of an object file.

    Raises:
        KernelError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise KernelError("open eBPF object", str(path), error.errno or errno.EIO) from None


def find(pins: Path, build: str, maps: Sequence[str], programs: Sequence[str]) -> KeptObject | None:
    """Return what was kept of a build, None unless all of it is there.

    Args:
        pins: where maps are pinned, and `keep` was told to keep programs.
        build: `digest` of the object file.
        maps: names of all pinned maps.
        programs: names of all programs.
    """
    with contextlib.ExitStack() as undo:
        try:
            found = KeptObject(
                {name: _map(name, _opened(pins / name, undo)) for name in maps},
                {name: _opened(pins / f"{_PREFIX}{build}" / name, undo) for name in programs},
            )
        except OSError:
            return None
        undo.pop_all()
        return found


def keep(loaded: LoadedObject, pins: Path, build: str, programs: Sequence[str]) -> None:
    """Keep programs for the next one, in a place that is `forget`'s; a kernel that refuses is asked next time."""
    home = pins / f"{_PREFIX}{build}"
    with contextlib.suppress(OSError):
        home.mkdir(mode=0o700)
        for name in programs:
            library().bpf_obj_pin(loaded.program_fd(name), os.fsencode(home / name))


def forget(pins: Path) -> None:
    """Keep no programs of any build.

    Raises:
        KernelError: they cannot be taken away, and must not be taken over later.
    """
    try:
        for home in pins.glob(f"{_PREFIX}*"):
            for path in home.iterdir():
                path.unlink(missing_ok=True)
            home.rmdir()
    except OSError as error:
        raise KernelError("unpin programs", str(pins), error.errno or errno.EIO) from None


def _opened(path: Path, undo: contextlib.ExitStack) -> int:
    fd = int(library().bpf_obj_get(os.fsencode(path)))
    if fd < 0:
        raise OSError(-fd, os.strerror(-fd), str(path))
    undo.callback(os.close, fd)
    return fd


def _map(name: str, fd: int) -> Map:
    info, size = ctypes.create_string_buffer(_INFO_SIZE), ctypes.c_uint32(_INFO_SIZE)
    if result := library().bpf_obj_get_info_by_fd(fd, ctypes.byref(info), ctypes.byref(size)):
        raise OSError(-result, os.strerror(-result), name)
    kind, _, key_size, value_size = (int.from_bytes(info.raw[at : at + 4], "little") for at in range(0, 16, 4))
    return Map(name, fd, kind, key_size, value_size)
