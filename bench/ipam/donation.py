"""A donation between two hosts of a lab: what attaching with another host's address takes more than with one's own."""

import os
import time
from ipaddress import ip_address
from statistics import median

from ripstop.api.types import AttachRequest, DetachRequest
from ripstop.lab.lab import Lab


def measure(rounds: int) -> dict[str, float]:
    """Return medians of attaching with a foreign address, with the same once more, and of the difference, in ms."""
    with Lab(hosts=2, name=f"bi{os.getpid() % 100000}", containers=1) as lab:
        host, container = lab.host("h1"), lab.container("h1c1")
        host.detach(container)
        foreign: list[float] = []
        own: list[float] = []
        status = host.client.call("ipam")
        mine = next(allocation.address for allocation in lab.host("h2").client.call("ipam").allocations)
        base = int(ip_address(mine)) + 4096  # far from what is in use there
        assert status.ready
        for number in range(rounds):
            address = f"{ip_address(base + 64 * number)}/12"
            for taken in (foreign, own):
                begin = time.perf_counter()
                host.client.call("attach", AttachRequest(str(container.netns_path), addresses=(address,)))
                taken.append((time.perf_counter() - begin) * 1000)
                host.client.call("detach", DetachRequest(str(container.netns_path)))
    return {
        "attach_foreign_ms": median(foreign),
        "attach_own_ms": median(own),
        "donation_ms": median(a - b for a, b in zip(foreign, own, strict=True)),
        "donation_worst_ms": max(a - b for a, b in zip(foreign, own, strict=True)),
    }
