"""The forwarding rate when many groups, or many sources of groups, are joined; and what they take of memory."""

import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.measures import USER_HZ
from bench.multicast.ways import pair
from ripstop.lab import traffic
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from ripstop.lab.plan import LabError

CONTAINERS = 10  # on each host; a port may have 1,024 groups
GROUP = "239.192.50.1"  # that of the measured feed
KNOWN_TIMEOUT = 120.0  # seconds until all that is joined is known and written on both hosts
POLL = 0.5  # seconds between two looks at that
_MAPS = ("receivers", "branches")  # the ports of the host that get packets, the peers that are sent some
_FIND = "from ripstop.kernel import bpffs; print(bpffs.existing_pin_directory())"


@dataclass(frozen=True, slots=True)
class Load:
    """What each of ten containers joins."""

    title: str
    groups: int
    sources: int = 0  # of each group; 0 = any

    @property
    def rows(self) -> int:
        """How many (S,G) or (*,G) there are in all."""
        return CONTAINERS * self.groups * max(1, self.sources)


ONE, GROUPS, SOURCES = "one", "groups", "sources"
LOADS: Mapping[str, Load] = {
    ONE: Load("1 group", 0),
    GROUPS: Load("10,000 groups", 1000),
    SOURCES: Load("64,000 (S,G)", 400, 16),
}


@contextlib.contextmanager
def opened(progress: Callable[[str], None], keys: tuple[str, ...] = tuple(LOADS)) -> Iterator[dict[str, Lab]]:
    """Yield a lab of two hosts for each load, side by side, so that they can be measured in turn."""
    with contextlib.ExitStack() as stack:
        labs = {}
        for key in keys:
            progress(f"lab with {LOADS[key].title}")
            labs[key] = stack.enter_context(pair(f"scale-{key}", CONTAINERS))
            _join(stack, labs[key], LOADS[key])
        yield labs


def rate(lab: Lab, seconds: float) -> dict[str, float]:
    """Send as fast as possible to one receiver on the other host."""
    ends = lab.container("h1c1"), [lab.container("h2c1")]
    with traffic.feeding(*ends, GROUP, group=True, seconds=seconds, apart=True) as feed:
        sent, [got] = feed.finish()
    return {"scale_pps": got.pps, "scale_lost": 1 - got.received / sent.sent}


@dataclass(frozen=True, slots=True)
class Daemons:
    """The processor time that a lab's daemons had taken at some moment."""

    lab: Lab
    ticks: int
    time: float

    @classmethod
    def of(cls, lab: Lab) -> "Daemons":
        """Take the time now."""
        return cls(lab, _daemon_ticks(lab), time.monotonic())

    def since(self) -> dict[str, float]:
        """Return how busy they have been since, while their lab had its turns and while others had theirs."""
        busy = (_daemon_ticks(self.lab) - self.ticks) / USER_HZ
        return {"scale_daemon_cores": busy / (time.monotonic() - self.time)}


def memory(lab: Lab) -> dict[str, float]:
    """Return what the sender's and the receivers' host take, in MB and rows."""
    found = {}
    for who, name in (("sender", "h1"), ("receiver", "h2")):
        host = lab.host(name)
        found[f"scale_{who}_rss_mb"] = _rss_kb(host) / 1024
        found[f"scale_{who}_maps_mb"] = sum(_map_bytes(host, table) for table in _MAPS) / 1e6
        found[f"scale_{who}_rows"] = float(sum(_map_rows(host, table) for table in _MAPS))
    return found


def _join(stack: contextlib.ExitStack, lab: Lab, load: Load) -> None:
    if not load.groups:
        return
    for i in range(1, CONTAINERS + 1):
        command = [traffic.program("hold_groups"), f"--groups={load.groups}", f"--sources={load.sources}",
                   f"239.{192 + i}.0.1"]  # fmt: skip
        stack.enter_context(traffic.serving(lab.container(f"h2c{i}"), command))
    deadline = time.monotonic() + KNOWN_TIMEOUT
    ends = ((lab.host("h2"), "receivers"), (lab.host("h1"), "branches"))
    while any((rows := _map_rows(host, table)) < load.rows for host, table in ends):
        if time.monotonic() > deadline:
            raise LabError(f"{load.title}: only {rows} of {load.rows} rows after {KNOWN_TIMEOUT:g} s")
        time.sleep(POLL)


def _map_rows(host: Host, table: str) -> int:
    dumped = host.run(["sh", "-ec", f"bpftool map dump pinned {_pin(host, table)} | grep -c '\"key\"' || true"])
    return int(dumped.stdout)


def _map_bytes(host: Host, table: str) -> int:
    found = re.search(r"memlock (\d+)B", host.run(["bpftool", "map", "show", "pinned", _pin(host, table)]).stdout)
    return int(found[1]) if found else 0


def _pin(host: Host, table: str) -> str:
    directory = Path(host.run([sys.executable, "-c", _FIND]).stdout.strip())
    [path] = directory.glob(f"*/{table}")  # bpffs is one for all network namespaces
    return str(path)


def _rss_kb(host: Host) -> int:
    found = re.search(r"^VmRSS:\s*(\d+) kB", Path(f"/proc/{host.daemon_pid()}/status").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _daemon_ticks(lab: Lab) -> int:
    """Return the processor time of all daemons.  Source: proc_pid_stat(5), utime and stime."""
    words = [Path(f"/proc/{h.daemon_pid()}/stat").read_text().rpartition(") ")[2].split() for h in lab.hosts]
    return sum(int(word[11]) + int(word[12]) for word in words)
