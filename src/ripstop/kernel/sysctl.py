"""Settings of a network namespace, also from a container whose `/proc/sys` is read-only.

The file says of which thread's namespace it is, not where it is mounted: so a second mount of the same does.
"""

import errno
from pathlib import Path

MOUNTS = (Path("/proc/sys"), Path("/mnt/proc/sys"))  # the second is where the manifest for Kubernetes has `net`


def write(name: str, value: str) -> None:
    """Set `net/ipv4/ip_forward` and the like, in the namespace of this thread.

    Raises:
        OSError: there is no such setting, or none of the mounts can be written to.
    """
    first, second = (mount / name for mount in MOUNTS)
    try:
        first.write_text(value)
    except OSError as error:
        if error.errno != errno.EROFS or not second.exists():
            raise
        second.write_text(value)
