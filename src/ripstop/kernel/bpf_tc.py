"""Our program on the ingress of a device: by tcx where the kernel has it, else as a filter of clsact.

Either way a program stays until its device goes or it is taken off, whatever becomes of us.
"""

from ripstop.kernel import bpf_clsact, bpf_tcx


def attach_ingress(ifindex: int, program: int) -> None:
    """Run `program` (a descriptor) on what comes in by the device, instead of what we ran there before.

    Raises:
        KernelError: the device is gone, or the kernel refuses.
    """
    if bpf_tcx.is_available():
        bpf_tcx.attach_ingress(ifindex, program)
        bpf_clsact.detach_ingress(ifindex)  # of a version that knew of nothing else; it would run after ours
    else:
        bpf_clsact.attach_ingress(ifindex, program)


def attach_soon(ifindex: int, program: int) -> None:
    """Run `program` on what comes in by a new device, from now on; `attach_ingress` makes it cheaper for packets.

    With tcx the kernel waits for a grace period, which takes ten times as long as all else at a new device.

    Raises:
        KernelError: the device is gone, or the kernel refuses.
    """
    bpf_clsact.attach_ingress(ifindex, program)


def detach_ingress(ifindex: int) -> None:
    """Take our program off the device; it is fine if program or device are gone."""
    if bpf_tcx.is_available():
        bpf_tcx.detach_ingress(ifindex)
    bpf_clsact.detach_ingress(ifindex)


def attached_program(ifindex: int) -> int | None:
    """Return the id of our program on the device's ingress."""
    number = bpf_tcx.attached_program(ifindex) if bpf_tcx.is_available() else None
    return bpf_clsact.attached_program(ifindex) if number is None else number
