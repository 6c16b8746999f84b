"""The name servers that are compared, each with the same names, on loopback."""

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.names.load import PROCESSOR as LOAD
from ripstop.core.errors import StartError
from ripstop.daemon.nameserver import NameServer, NameServerConfig
from ripstop.wire import dns
from ripstop.wire.dns_feed import NameRow, Record

DOMAIN = "ripstop.local"
ADDRESS = "127.0.0.1"
LIMIT = 60.0  # seconds for a server to answer
RIPSTOP, DNSMASQ, ECHO = "ripstop", "dnsmasq", "echo"
# Says of everything that it is answered, and knows nothing: what it takes is the machine's.
_ECHO = """
import socket, sys
opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
opened.bind(("127.0.0.1", int(sys.argv[1])))
while True:
    question, asker = opened.recvfrom(512)
    opened.sendto(question[:2] + b"\\x85" + question[3:], asker)
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    port: int
    pid: int
    started: float  # seconds from its beginning to its first answer

    @property
    def resident_mb(self) -> float:
        """Memory that it has now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s*(\d+)", status)
        return int(found[1]) / 1024 if found else 0.0

    @property
    def busy(self) -> float:
        """Seconds of processor time that it has used."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e9

    @property
    def waited(self) -> float:
        """Seconds that it was ready to run, and another process did."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9


def names(number: int) -> list[str]:
    """Return names, relative to the domain."""
    return [f"host{i}" for i in range(number)]


def address(index: int) -> bytes:
    """Return the address of the name with this index."""
    return bytes([10, 32 + (index >> 16), index >> 8 & 255, index & 255])


@contextlib.contextmanager
def ripstop(number: int) -> Iterator[Running]:
    """Run ours as the daemon does; the time to start is that of process, names, and all."""
    rows = [NameRow(name, (Record(address(i)),)) for i, name in enumerate(names(number))]
    port, server = _free_port(), NameServer(NameServerConfig(domain=DOMAIN))
    stop, loop = asyncio.Event(), asyncio.new_event_loop()

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(server.run())
            await stop.wait()
            running.cancel()

    begin = time.perf_counter()
    server.publish(rows, complete=True)
    server.listen([(ADDRESS, port)])
    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        started = _first_answer(port, number, begin)
        pid = server.status().pid
        assert pid is not None, "it answered"
        _pin(pid)
        yield Running(port, pid, started)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@contextlib.contextmanager
def dnsmasq(number: int) -> Iterator[Running]:
    """Run dnsmasq, with all that it would do besides answering turned off."""
    port = _free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".hosts") as hosts:
        for i, name in enumerate(names(number)):
            hosts.write(f"{'.'.join(map(str, address(i)))} {name}.{DOMAIN}\n")
        hosts.flush()
        command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", f"--port={port}", "--user=root",
                   f"--listen-address={ADDRESS}", "--bind-interfaces", "--no-resolv", "--no-hosts", "--pid-file=",
                   f"--addn-hosts={hosts.name}", f"--local=/{DOMAIN}/", "--local-ttl=1"]  # fmt: skip
        begin = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            started = _first_answer(port, number, begin)
            _pin(process.pid)
            yield Running(port, process.pid, started)
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def echo(number: int) -> Iterator[Running]:
    """Run what answers without looking; the number of names is all the same to it."""
    port = _free_port()
    begin = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", _ECHO, str(port)]) as process:
        try:
            started = _first_answer(port, number, begin, ends=b"")
            _pin(process.pid)
            yield Running(port, process.pid, started)
        finally:
            process.kill()


SERVERS = {RIPSTOP: ripstop, DNSMASQ: dnsmasq, ECHO: echo}


def _first_answer(port: int, number: int, begin: float, ends: bytes | None = None) -> float:
    """Wait until the last of the names is answered, with its address or so; return how long that took."""
    question = dns.name_of(f"host{number - 1}.{DOMAIN}") + b"\0\1\0\1"
    query = b"\0\7\1\0\0\1\0\0\0\0\0\0" + question
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect((ADDRESS, port))
        asker.settimeout(0.01)
        while time.perf_counter() < begin + LIMIT:
            with contextlib.suppress(OSError):
                asker.send(query)
                if asker.recv(512).endswith(address(number - 1) if ends is None else ends):
                    return time.perf_counter() - begin
    raise StartError(f"no answer at port {port} for {LIMIT:g} s")


def _pin(pid: int) -> None:
    """Keep a server off the processor that the load comes from."""
    others = sorted(os.sched_getaffinity(0) - {LOAD}) or [LOAD]
    os.sched_setaffinity(pid, others)


def _free_port() -> int:
    with socket.create_server((ADDRESS, 0)) as listener:
        return int(listener.getsockname()[1])


def questions(order: Sequence[int], path: Path) -> None:
    """Write questions as dnsperf reads them."""
    path.write_text("".join(f"host{i}.{DOMAIN} A\n" for i in order))
