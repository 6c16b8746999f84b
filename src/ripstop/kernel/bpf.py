"""libbpf through ctypes: an object file is opened, loaded with its maps pinned, and its programs attached.

Open reads the object and is the same on every machine; load asks the kernel and may fail with a verifier log;
`bpf_tc` attaches.
"""

import contextlib
import ctypes
import errno
import mmap
import os
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache
from pathlib import Path

from ripstop.core.errors import KernelError, StartError

# Bytes of verifier log for each program.  Before Linux 6.4 a log that does not fit hides the reason: the kernel says
# ENOSPC, and keeps the beginning.
_LOG_SIZE = 1 << 24
_LOG_SHOWN = 400  # characters of its end that go into an error
_BATCH = 4096  # map elements read by one system call
_SCHED_CLS = 3  # BPF_PROG_TYPE_SCHED_CLS
_RINGBUF = 27  # BPF_MAP_TYPE_RINGBUF
_PER_CPU_TYPES = frozenset({5, 6, 10})  # BPF_MAP_TYPE_PERCPU_HASH, _PERCPU_ARRAY, _LRU_PERCPU_HASH

# Helpers the programs call that Linux 5.10 may lack, and since when they are there.  Source: linux/bpf.h.
_NEEDED_HELPERS = {
    "bpf_redirect_neigh": (152, "5.10"),
    "bpf_redirect_peer": (155, "5.10"),
    "bpf_ktime_get_coarse_ns": (160, "5.11"),
    "bpf_for_each_map_elem": (164, "5.13"),
}


@cache
def library() -> ctypes.CDLL:
    """Return libbpf 1.x with the signatures we use.

    Raises:
        StartError: it is not installed.
    """
    try:
        lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError:
        raise StartError("libbpf.so.1 is missing: install the package libbpf1") from None
    pointers = {
        "bpf_object__open_file": (c_char_p, c_void_p),
        "bpf_object__next_map": (c_void_p, c_void_p),
        "bpf_object__next_program": (c_void_p, c_void_p),
        "bpf_object__find_map_by_name": (c_void_p, c_char_p),
        "bpf_object__find_program_by_name": (c_void_p, c_char_p),
        "ring_buffer__new": (c_int, c_void_p, c_void_p, c_void_p),
    }
    for name, arguments in pointers.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = c_void_p, arguments
    lib.bpf_map__name.restype = c_char_p
    lib.bpf_program__name.restype = c_char_p
    integers = {
        "bpf_object__load": (c_void_p,),
        "bpf_object__close": (c_void_p,),
        "bpf_map__name": (c_void_p,),
        "bpf_map__fd": (c_void_p,),
        "bpf_map__type": (c_void_p,),
        "bpf_map__key_size": (c_void_p,),
        "bpf_map__value_size": (c_void_p,),
        "bpf_map__set_pin_path": (c_void_p, c_char_p),
        "bpf_program__name": (c_void_p,),
        "bpf_program__fd": (c_void_p,),
        "bpf_program__set_log_buf": (c_void_p, c_void_p, c_size_t),
        "bpf_map_lookup_elem": (c_int, c_char_p, c_char_p),
        "bpf_map_update_elem": (c_int, c_char_p, c_char_p, c_uint64),
        "bpf_map_delete_elem": (c_int, c_char_p),
        "bpf_obj_get": (c_char_p,),
        "bpf_obj_pin": (c_int, c_char_p),
        "bpf_map_lookup_batch": (c_int, c_char_p, c_char_p, c_char_p, c_char_p, POINTER(c_uint32), c_void_p),
        "libbpf_probe_bpf_helper": (c_int, c_int, c_void_p),
        "libbpf_probe_bpf_map_type": (c_int, c_void_p),
        "libbpf_set_print": (c_void_p,),
        "libbpf_num_possible_cpus": (),
        "ring_buffer__free": (c_void_p,),
        "ring_buffer__epoll_fd": (c_void_p,),
        "ring_buffer__consume": (c_void_p,),
    }
    for name, signature in integers.items():
        getattr(lib, name).argtypes = signature
    lib.libbpf_set_print(None)  # its messages are in our errors
    return lib


def missing_features() -> list[str]:
    """Return what this kernel lacks for the programs, each with the version that brought it."""
    lib = library()
    missing = [
        f"{name} (Linux {since})"
        for name, (number, since) in _NEEDED_HELPERS.items()
        if lib.libbpf_probe_bpf_helper(_SCHED_CLS, number, None) == 0
    ]
    if lib.libbpf_probe_bpf_map_type(_RINGBUF, None) == 0:
        missing.append("ring buffers (Linux 5.8)")
    return missing


class Map:
    """One map of a loaded object; keys and values are bytes."""

    def __init__(self, name: str, fd: int, kind: int, key_size: int, value_size: int) -> None:
        self.name = name
        self.fd = fd
        self._key_size = key_size
        self._value_size = value_size
        self._cpus = library().libbpf_num_possible_cpus() if kind in _PER_CPU_TYPES else 0

    def lookup(self, key: bytes) -> bytes | None:
        """Return the value under `key`."""
        value = ctypes.create_string_buffer(self._value_size)
        if result := library().bpf_map_lookup_elem(self.fd, key, value):
            if result == -errno.ENOENT:
                return None
            raise KernelError("read map", self.name, -result)
        return value.raw

    def lookup_cpus(self, key: bytes) -> list[bytes]:
        """Return each CPU's value under `key` of a per-CPU map."""
        step = (self._value_size + 7) // 8 * 8
        values = ctypes.create_string_buffer(step * self._cpus)
        if result := library().bpf_map_lookup_elem(self.fd, key, values):
            raise KernelError("read map", self.name, -result)
        return [values.raw[at : at + self._value_size] for at in range(0, step * self._cpus, step)]

    def update(self, key: bytes, value: bytes) -> None:
        """Put `value` under `key`, whether or not something was there."""
        assert len(key) == self._key_size and len(value) == self._value_size, (self.name, len(key), len(value))
        if result := library().bpf_map_update_elem(self.fd, key, value, 0):
            raise KernelError("write map", self.name, -result)

    def delete(self, key: bytes) -> None:
        """Remove `key`; it is fine if it was not there."""
        result = library().bpf_map_delete_elem(self.fd, key)
        if result not in (0, -errno.ENOENT):
            raise KernelError("delete from map", self.name, -result)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Walk a hash map in the kernel's order; what changes meanwhile may or may not be seen."""
        return self._walk(self._value_size)

    def items_cpus(self) -> Iterator[tuple[bytes, bytes]]:
        """Walk a per-CPU hash map likewise, with the values of all CPUs, one after another."""
        assert self._value_size % 8 == 0, f"{self.name}: values would have gaps between them"
        return self._walk(self._value_size * self._cpus)

    def _walk(self, value_size: int) -> Iterator[tuple[bytes, bytes]]:
        keys = ctypes.create_string_buffer(_BATCH * self._key_size)
        values = ctypes.create_string_buffer(_BATCH * value_size)
        position = ctypes.create_string_buffer(max(self._key_size, 4))
        start: ctypes.Array[ctypes.c_char] | None = None
        last = False
        while not last:
            count = c_uint32(_BATCH)
            result = library().bpf_map_lookup_batch(self.fd, start, position, keys, values, byref(count), None)
            if result not in (0, -errno.ENOENT):  # ENOENT: this was the last batch
                raise KernelError("read map", self.name, -result)
            last = result != 0
            start = position
            key_bytes, value_bytes = keys.raw, values.raw
            for index in range(count.value):
                key_at, value_at = index * self._key_size, index * value_size
                yield key_bytes[key_at : key_at + self._key_size], value_bytes[value_at : value_at + value_size]


class LoadedObject:
    """An object whose programs are in the kernel; closing it drops our descriptors only."""

    def __init__(self, handle: int, path: Path) -> None:
        self._handle: int | None = handle
        self._path = path

    def map(self, name: str) -> Map:
        """Return the map of that name."""
        lib = library()
        found = lib.bpf_object__find_map_by_name(self._handle, name.encode())
        if not found:
            raise KernelError("find map in", f"{self._path.name}: {name}", errno.ENOENT)
        return Map(
            name,
            lib.bpf_map__fd(found),
            lib.bpf_map__type(found),
            lib.bpf_map__key_size(found),
            lib.bpf_map__value_size(found),
        )

    def program_fd(self, name: str) -> int:
        """Return the descriptor of the program of that name; it is the object's own."""
        lib = library()
        found = lib.bpf_object__find_program_by_name(self._handle, name.encode())
        if not found:
            raise KernelError("find program in", f"{self._path.name}: {name}", errno.ENOENT)
        return int(lib.bpf_program__fd(found))

    def close(self) -> None:
        """Give the descriptors back; programs that are attached and maps that are pinned stay."""
        if self._handle is not None:
            library().bpf_object__close(self._handle)
            self._handle = None


class OpenObject:
    """An object as it is in its file; the kernel does not know of it yet."""

    def __init__(self, path: Path) -> None:
        """Read `path`.

        Raises:
            KernelError: there is no such file, or it is no eBPF object.
        """
        self._path = path
        self._handle: int | None = library().bpf_object__open_file(os.fsencode(path), None)
        if not self._handle:
            raise KernelError("open eBPF object", str(path), ctypes.get_errno())

    def load(self, pins: Path, pinned: tuple[str, ...]) -> LoadedObject:
        """Load all programs; maps named in `pinned` are adopted from `pins` if they are there, else made there.

        Raises:
            KernelError: the kernel refused a map or a program; carries the end of the verifier's log.
        """
        lib = library()
        handle, self._handle = self._handle, None
        assert handle is not None, "an object is loaded once"
        for name in pinned:
            found = lib.bpf_object__find_map_by_name(handle, name.encode())
            if not found or lib.bpf_map__set_pin_path(found, os.fsencode(pins / name)):
                lib.bpf_object__close(handle)
                raise KernelError("pin map", name, errno.ENOENT)
        logs = [(name, log) for name, log in _program_logs(handle)]
        if result := lib.bpf_object__load(handle):
            lib.bpf_object__close(handle)
            raise KernelError("load", self._path.name, -result, _complaint(-result, logs))
        for program in _programs(handle):
            lib.bpf_program__set_log_buf(program, None, 0)
        return LoadedObject(handle, self._path)

    def close(self) -> None:
        """Forget the object without loading it."""
        if self._handle is not None:
            library().bpf_object__close(self._handle)
            self._handle = None


def _programs(handle: int) -> Iterator[int]:
    program = library().bpf_object__next_program(handle, None)
    while program:
        yield program
        program = library().bpf_object__next_program(handle, program)


def _program_logs(handle: int) -> Iterator[tuple[str, mmap.mmap]]:
    for program in _programs(handle):
        log = mmap.mmap(-1, _LOG_SIZE)  # takes no memory until something is written
        library().bpf_program__set_log_buf(program, byref(c_char.from_buffer(log)), _LOG_SIZE)
        yield library().bpf_program__name(program).decode(), log


def _complaint(code: int, logs: list[tuple[str, mmap.mmap]]) -> str:
    """Return what the verifier said last, in one line; it stops at the first program it refuses."""
    for name, log in reversed(logs):
        lines = log[: log.find(b"\0")].decode(errors="replace").strip().splitlines()
        if lines and lines[-1].startswith("processed "):  # statistics
            lines.pop()
        if lines:
            return f"{os.strerror(code)}; {name}: …{' | '.join(lines)[-_LOG_SHOWN:]}"
    return os.strerror(code)


def unpin(pins: Path, names: tuple[str, ...]) -> None:
    """Remove pins and their directory; maps go once nobody uses them."""
    for name in names:
        (pins / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not there, or others keep something in it
        pins.rmdir()
