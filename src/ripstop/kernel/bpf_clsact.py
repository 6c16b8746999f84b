"""Attaching programs to the ingress of devices: clsact filters with a priority and a handle of our own.

Replacing a filter is atomic in the kernel, so each packet meets the old or the new program.  Filters of others and an
existing clsact qdisc are left alone; one that we made stays behind empty, since somebody may have put a filter there.
"""

import ctypes
import errno
from ctypes import byref, c_int, c_size_t, c_uint32

from ripstop.core.errors import KernelError
from ripstop.kernel.bpf import library

_PRIORITY = 0x7270  # ours among the filters of a device; small numbers come first
_HANDLE = 0x7269  # ours among the filters of that priority
_INGRESS, _EGRESS = 1, 2  # enum bpf_tc_attach_point
_REPLACE = 1  # BPF_TC_F_REPLACE


class _Hook(ctypes.Structure):
    """`struct bpf_tc_hook` of libbpf."""

    _fields_ = (("sz", c_size_t), ("ifindex", c_int), ("attach_point", c_int), ("parent", c_uint32))


class _Options(ctypes.Structure):
    """`struct bpf_tc_opts` of libbpf."""

    _fields_ = (
        ("sz", c_size_t), ("prog_fd", c_int), ("flags", c_uint32), ("prog_id", c_uint32), ("handle", c_uint32),
        ("priority", c_uint32),
    )  # fmt: skip


def _options(program: int = 0, flags: int = 0) -> _Options:
    return _Options(sz=ctypes.sizeof(_Options), prog_fd=program, flags=flags, handle=_HANDLE, priority=_PRIORITY)


def attach_ingress(ifindex: int, program: int) -> None:
    """Run `program` (a descriptor) on what comes in by the device, instead of what we ran there before.

    Raises:
        KernelError: the device is gone, or the kernel has no clsact.
    """
    lib = library()
    hook = _Hook(sz=ctypes.sizeof(_Hook), ifindex=ifindex, attach_point=_INGRESS | _EGRESS)
    result = lib.bpf_tc_hook_create(byref(hook))
    if result not in (0, -errno.EEXIST):
        raise KernelError("add clsact qdisc to", f"ifindex {ifindex}", -result)
    hook.attach_point = _INGRESS
    if result := lib.bpf_tc_attach(byref(hook), byref(_options(program, _REPLACE))):
        raise KernelError("attach program to", f"ifindex {ifindex}", -result)


def detach_ingress(ifindex: int) -> None:
    """Take our filter off the device; it is fine if filter or device are gone."""
    hook = _Hook(sz=ctypes.sizeof(_Hook), ifindex=ifindex, attach_point=_INGRESS)
    result = library().bpf_tc_detach(byref(hook), byref(_options()))
    if result not in (0, -errno.ENOENT, -errno.ENODEV, -errno.EINVAL):  # EINVAL: no clsact there
        raise KernelError("detach program from", f"ifindex {ifindex}", -result)


def attached_program(ifindex: int) -> int | None:
    """Return the id of our program on the device's ingress."""
    hook = _Hook(sz=ctypes.sizeof(_Hook), ifindex=ifindex, attach_point=_INGRESS)
    options = _options()
    if library().bpf_tc_query(byref(hook), byref(options)):
        return None
    return int(options.prog_id)
