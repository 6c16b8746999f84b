"""Settings of a network namespace, also from a container whose `/proc/sys` is read-only.

The file says of which thread's namespace it is, not where it is mounted: so a second mount of the same does.
"""

import errno
import os

MOUNTS = ("/proc/sys", "/mnt/proc/sys")  # the second is where the manifest for Kubernetes has `net`


def write(name: str, value: str) -> None:
    """Set `net/ipv4/ip_forward` and the like, in the namespace of this thread.

    Raises:
        OSError: there is no such setting, or none of the mounts can be written to.
    """
    first, second = (f"{mount}/{name}" for mount in MOUNTS)
    try:
        _write(first, value)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES) or not os.path.exists(second):  # noqa: PTH110
            raise
        _write(second, value)


def _write(path: str, value: str) -> None:
    """Write with three calls to the kernel; a file of Python's takes seven, four times for each container."""
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, value.encode())
    finally:
        os.close(file)
