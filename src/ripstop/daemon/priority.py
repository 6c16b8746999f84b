"""How urgent the daemon is among the processes of a busy host.

It needs little, and others wait for it: containers for their start, hosts for its word.  So it asks for a larger share
than an ordinary process has, from its first moment on, for a start is when it needs most.  The name server, which works
as much as anybody asks of it, has an ordinary share.
"""

import contextlib
import os
from pathlib import Path

NICE = -5  # three times the share of an ordinary process; sched(7)
_AUTOGROUP = Path("/proc/self/autogroup")  # where it is in use, shares are those of sessions; sched(7)


def take(nice: int = NICE) -> None:
    """Have this process run with a nice value instead of 0, and its session, if it is its own; if it may not, so be it.

    For the first thread, before there are others: each has a nice value of its own, that of whoever started it.
    """
    if os.getpriority(os.PRIO_PROCESS, 0) != 0:
        return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            _AUTOGROUP.write_text(str(nice))
