"""The ways from one container or host to another that are compared, and the labs they need."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench import baseline
from ripstop.lab.lab import Lab
from ripstop.lab.node import Node

UNDERLAY, KERNEL, DIRECT, RELAYED, LEAN = "underlay", "kernel", "direct", "relayed", "lean"
KEYS = (UNDERLAY, KERNEL, DIRECT, RELAYED, LEAN)
REFERENCES = (UNDERLAY, KERNEL, LEAN)  # what ripstop is compared with
TITLES = {
    UNDERLAY: "(a) underlay",
    KERNEL: "(b) kernel VXLAN",
    DIRECT: "(c) ripstop",
    RELAYED: "(d) ripstop relayed",
    LEAN: "(e) lean kernel",
}


@dataclass(frozen=True, slots=True)
class Way:
    """Where traffic starts and ends; the interface is called `eth0` everywhere."""

    key: str
    source: Node  # on h1
    target: Node  # on h3; of all unicast
    second: Node  # on h2; with `target` the receivers of multicast

    @property
    def title(self) -> str:
        """What people read."""
        return TITLES[self.key]


@contextlib.contextmanager
def opened(keys: Sequence[str], progress: Callable[[str], None]) -> Iterator[list[Way]]:
    """Yield the wanted ways, their labs being up side by side; only one of them has traffic at a time.

    The bare underlay has a lab of its own, equal but for the daemons, so that no program of ours is on its devices.
    """
    with contextlib.ExitStack() as stack:
        ways: list[Way] = []
        if UNDERLAY in keys or KERNEL in keys:
            progress("lab for the bare underlay and kernel VXLAN")
            lab = stack.enter_context(Lab(3, name="bench-bare", containers=1, daemons=False))
            if UNDERLAY in keys:
                ways.append(Way(UNDERLAY, lab.host("h1"), lab.host("h3"), lab.host("h2")))
            if KERNEL in keys:
                baseline.build(lab, filtered=True)
                ways.append(_between_containers(KERNEL, lab))
        for key, topology in ((DIRECT, "full"), (RELAYED, "chain")):
            if key in keys:
                progress(f"lab for ripstop, {key}")
                lab = stack.enter_context(Lab(3, name=f"bench-{key}", topology=topology, containers=1))
                ways.append(_between_containers(key, lab))
        if LEAN in keys:
            progress("lab for kernel VXLAN without bridge netfilter")
            lab = stack.enter_context(Lab(3, name="bench-lean", containers=1, daemons=False))
            baseline.build(lab, filtered=False)
            ways.append(_between_containers(LEAN, lab))
        yield ways


def _between_containers(key: str, lab: Lab) -> Way:
    return Way(key, lab.container("h1c1"), lab.container("h3c1"), lab.container("h2c1"))
