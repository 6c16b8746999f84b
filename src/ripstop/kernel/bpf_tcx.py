"""Attaching programs to the ingress of devices by tcx, which spares each packet the way through a classifier.

Several programs may sit on a device, in a row; ours is known by its name.  Replacing one is atomic in the kernel, and
it stays until its device goes.  Source: Documentation/bpf/libbpf, kernel/bpf/tcx.c (Linux 6.6).
"""

import ctypes
import errno
import os
from collections.abc import Iterator
from ctypes import byref, c_char, c_int, c_size_t, c_uint32
from functools import cache

from ripstop.core.errors import KernelError
from ripstop.kernel.bpf import library

_TCX_INGRESS = 46  # enum bpf_attach_type
_REPLACE = 1 << 2  # BPF_F_REPLACE
_MOST = 64  # programs that the kernel takes on one device (BPF_MPROG_MAX)
_LOOPBACK = 1  # ifindex in every network namespace
_INFO_SIZE = 256  # bytes, more than of struct bpf_prog_info that any kernel fills in up to its name
_NAME_AT, _NAME_SIZE = 64, 16  # in struct bpf_prog_info
NAMES = frozenset({b"from_port", b"from_guarded", b"from_underlay", b"from_companion"})  # of our programs


class _Options(ctypes.Structure):
    """`struct bpf_prog_attach_opts` of libbpf, as old as 1.0."""

    _fields_ = (("sz", c_size_t), ("flags", c_uint32), ("replace_prog_fd", c_int))


@cache
def is_available() -> bool:
    """Whether this kernel has tcx: Linux 6.6."""
    return _query(_LOOPBACK) is not None


def attach_ingress(ifindex: int, program: int) -> None:
    """Run `program` (a descriptor) on what comes in by the device, instead of what we ran there before.

    Raises:
        KernelError: the device is gone, or has too many programs.
    """
    options = _Options(sz=ctypes.sizeof(_Options))
    former = _own(ifindex)
    if former is not None:
        options.flags, options.replace_prog_fd = _REPLACE, former
    try:
        result = library().bpf_prog_attach_opts(program, ifindex, _TCX_INGRESS, byref(options))
    finally:
        if former is not None:
            os.close(former)
    if result not in (0, -errno.EEXIST):  # EEXIST: this very program runs there
        raise KernelError("attach program to", f"ifindex {ifindex}", -result)


def detach_ingress(ifindex: int) -> None:
    """Take our program off the device; it is fine if program or device are gone."""
    program = _own(ifindex)
    if program is None:
        return
    try:
        result = library().bpf_prog_detach2(program, ifindex, _TCX_INGRESS)
    finally:
        os.close(program)
    if result not in (0, -errno.ENOENT, -errno.ENODEV):
        raise KernelError("detach program from", f"ifindex {ifindex}", -result)


def attached_program(ifindex: int) -> int | None:
    """Return the id of our program on the device's ingress."""
    return next((number for number, name in _programs(ifindex) if name in NAMES), None)


def _own(ifindex: int) -> int | None:
    """Return a descriptor of our program on the device."""
    number = attached_program(ifindex)
    if number is None:
        return None
    descriptor = int(library().bpf_prog_get_fd_by_id(number))
    return descriptor if descriptor >= 0 else None  # gone in between


def _programs(ifindex: int) -> Iterator[tuple[int, bytes]]:
    """Yield the id and name of each program on a device, in the order in which they run."""
    for number in _query(ifindex) or ():
        descriptor = library().bpf_prog_get_fd_by_id(number)
        if descriptor < 0:
            continue
        info, size = (c_char * _INFO_SIZE)(), c_uint32(_INFO_SIZE)
        try:
            if library().bpf_obj_get_info_by_fd(descriptor, byref(info), byref(size)) == 0:
                yield number, info.raw[_NAME_AT : _NAME_AT + _NAME_SIZE].rstrip(b"\0")
        finally:
            os.close(descriptor)


def _query(ifindex: int) -> list[int] | None:
    """Return the ids of all programs on a device; None if the kernel cannot say."""
    ids, count, flags = (c_uint32 * _MOST)(), c_uint32(_MOST), c_uint32(0)
    result = library().bpf_prog_query(ifindex, _TCX_INGRESS, 0, byref(flags), byref(ids), byref(count))
    if result == -errno.ENOENT:  # nothing there yet
        return []
    return None if result else list(ids[: count.value])
