"""The real API server with canned answers behind it: what the command line meets, without kernel or mesh.

As a program (`python -m tests.cli.fake_daemon RUN_DIR`) it is a daemon of its own that ends on `down`.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ripstop.api import server, types
from ripstop.api.routes import CALLS

STATUS = types.Status(
    version="0.1.0",
    name="00000000000000a1",
    nickname="h1",
    short_id=7,
    incarnation=3,
    pid=os.getpid(),
    uptime=93784.0,
    port=6783,
    encryption="none: set a password to encrypt",
    range="10.32.0.0/12",
    mtu=1450,
    addresses=("192.0.2.1",),
    peers=2,
    reachable=1,
    connections=1,
    containers=1,
    exposed=("10.32.0.1/12",),
    settled=True,
    waiting=(),
    drops=(types.Drop("ttl expired", 3), types.Drop("unknown vtep", 1200)),
    problems=("192.0.2.3: no path",),
)
PEERS = [
    types.Peer("00000000000000a1", "h1", 7, 3, ("192.0.2.1",), "self", "0.1.0"),
    types.Peer("00000000000000a2", "h2", 8, 1, ("192.0.2.2",), "direct", "0.1.0"),
    types.Peer("00000000000000a3", "h3\x1b[2J", 9, 1, (), "unreachable"),
]
CONNECTIONS = [
    types.Connection(
        "00000000000000a2", "h2", "192.0.2.2:6783", "outbound", "established", "vxlan", "192.0.2.2", 1450, 0.21, ""
    ),
    types.Connection(
        "00000000000000a3", "h3", "192.0.2.3:6783", "outbound", "closed", "none", "", 0, None, "connection refused"
    ),
]
ROUTES = [types.Route("00000000000000a2", "h2", "h2", 1, 1450)]
TARGETS = [
    types.Target("192.0.2.2:6783", "connected", None),
    types.Target("192.0.2.3:6783", "waiting", 1.5, "connection refused"),
]
PORT = types.Port("c1", "/run/netns/c1", "eth0", "rs-0001", "02:00:00:00:00:01", ("10.32.0.2/12",), 1450)
IPAM = types.IpamStatus(
    range="10.32.0.0/12",
    ready=True,
    why="",
    free=524285,
    peers=(types.IpamPeer("00000000000000a1", "h1", 524288, 0.5, True),),
    allocations=(types.Allocation("10.32.0.2", "c1"),),
    pending=(types.Pending("c9", "no peer with free addresses answers"),),
    contested=("10.40.0.0/16",),
)
MEMBERS = (
    types.MulticastMember("239.1.1.1", "h1", "00000000000000a1", "c1", "eth0", "exclude", (), "report", ("10.32.0.2",)),
    types.MulticastMember("239.1.1.1", "h1", "00000000000000a1", "c2", "eth0", "include", ("10.32.0.5",), "static"),
    types.MulticastMember("239.1.1.1", "h2", "00000000000000a2", "", "", "exclude", ("10.32.0.6",), "peer"),
    types.MulticastMember("239.1.1.1", "h3\x1b[2J", "00000000000000a3", "", "", "exclude", (), "peer"),
    types.MulticastMember("232.1.1.9", "h2", "00000000000000a2", "", "", "include", ("10.32.0.5",), "peer"),
    types.MulticastMember(
        "ff15::7", "h1", "00000000000000a1", "host", "ripstop0", "exclude", (), "report", ("fe80::1",)
    ),
    types.MulticastMember("0.0.0.0", "h1", "00000000000000a1", "r1", "eth0", "exclude", (), "router", ("10.32.0.254",)),
)
STREAMS = (
    types.MulticastStream(
        "239.1.1.1", "10.32.0.5", "h1", "00000000000000a1", "c5", "eth0", 1000, 1_342_000, 2000, 2000, 0, 0.04
    ),
    types.MulticastStream("239.1.1.1", "10.48.0.9", "h3\x1b[2J", "00000000000000a3", "", "", 70, 7000, 140, 0, 0, 75.0),
    types.MulticastStream(
        "239.9.9.9", "10.32.0.5", "h1", "00000000000000a1", "c5", "eth0", 1500, 150_000, 0, 0, 1500, 3.0
    ),
)
MULTICAST = types.MulticastStatus(
    True, "drop", MEMBERS, STREAMS, (types.MulticastRefusal("c2", "eth0", "malformed", 1234),), 4
)
TRACE = types.MulticastTrace(
    "239.1.1.1",
    "10.32.0.5",
    "h1",
    (
        types.TraceHop("h1", "00000000000000a1", "", 0, True, ("c1 eth0", "c2 eth0")),
        types.TraceHop("h2", "00000000000000a2", "h1", 1, False, ()),
        types.TraceHop("h3\x1b[2J", "00000000000000a3", "h2", 2, True, ()),
        types.TraceHop("h4", "00000000000000a4", "h1", 1, True, ()),
    ),
)
NAMES = [
    types.Name("Web", "h1", "00000000000000a1", "c1", "10.32.0.2", ("http/tcp:80",), False),
    types.Name("web", "h3\x1b[2J", "00000000000000a3", "", "fd00::3", (), True),
]
DNS = types.DnsStatus(
    "ripstop.local",
    1,
    (
        types.DnsHost("h1", "00000000000000a1", 1, False),
        types.DnsHost("h3\x1b[2J", "00000000000000a3", 1, True),
    ),
    types.DnsServer(
        77,
        1,
        "killed by SIGKILL",
        (types.DnsListener("10.32.0.1", 53, 61.0, ""), types.DnsListener("192.0.2.9", 53, None, "in use")),
        1,
        ("192.0.2.53",),
        {"queries": 1234},
    ),
)
VERSION = types.Version("0.1.0", 1, "abcd1234")
ANSWERS: dict[str, Any] = {
    "version": VERSION,
    "status": STATUS,
    "peers": PEERS,
    "connections": CONNECTIONS,
    "routes": ROUTES,
    "targets": TARGETS,
    "ipam": IPAM,
    "ports": [PORT],
    "report": types.Report(
        STATUS, tuple(PEERS), tuple(CONNECTIONS), tuple(ROUTES), tuple(TARGETS), IPAM, (PORT,), MULTICAST,
        DNS, tuple(NAMES),
        {"rx": 5}, {"strangers": 2}, ({"mac": "02:00:00:00:00:01", "port": "rs-0001"},), {"release": "6.1"},
        ("started",),
    ),
    "attach": PORT,
    "detach": types.Detached((PORT,)),
    "expose": types.Exposed("ripstop0", ("10.32.0.1/12",)),
    "hide": types.Exposed("ripstop0", ("10.32.0.1/12",)),
    "connect": TARGETS,
    "forget": TARGETS[:1],
    "multicast": MULTICAST,
    "trace": TRACE,
    "join": [MEMBERS[1]],
    "leave": [],
    "dns": DNS,
    "names": NAMES,
    "lookup": NAMES,
    "add_name": NAMES[:1],
    "remove_name": [],
    "down": None,
}  # fmt: skip

Handler = Callable[[Any], Awaitable[Any]]


class FakeDaemon:
    """Serves `answers`, which a test may change: a value, or an exception to be refused with."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.answers = dict(ANSWERS)
        self.asked: list[tuple[str, msgspec.Struct | None]] = []  # name and request of every call, in order
        self.down = asyncio.Event()

    def handlers(self) -> dict[str, Handler]:
        """Return one handler for each call."""
        return {call.name: self._handler(call.name) for call in CALLS}

    def _handler(self, name: str) -> Handler:
        async def handle(request: msgspec.Struct | None) -> object:
            self.asked.append((name, request))
            if name == "down":
                self.down.set()
            answer = self.answers[name]
            if callable(answer):
                answer = await answer()
            if isinstance(answer, Exception):
                raise answer
            return answer

        return handle

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve until `down` is set."""
        runner = await server.serve(server.application(self.handlers(), _no_metrics), self.run_dir / "ripstop.sock")
        ready()
        await self.down.wait()
        await runner.cleanup()


async def _no_metrics(_openmetrics: bool) -> bytes:
    return b""


@contextmanager
def running(run_dir: Path) -> Iterator[FakeDaemon]:
    """Serve from a thread of this process while the block runs."""
    fake = FakeDaemon(run_dir)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(fake.serve(ready.set)))
    thread.start()
    try:
        assert ready.wait(10.0)
        yield fake
    finally:
        loop.call_soon_threadsafe(fake.down.set)
        thread.join()
        loop.close()


def main() -> None:
    """Serve until told to go down."""
    fake = FakeDaemon(Path(sys.argv[1]))
    asyncio.run(fake.serve(lambda: print("serving", flush=True)))
    if "--linger" in sys.argv:  # a daemon that says goodbye and stays
        threading.Event().wait()


if __name__ == "__main__":
    main()
