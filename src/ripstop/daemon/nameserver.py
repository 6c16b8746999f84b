"""The name server's process: started, fed, watched, started again.

What is known of names is kept here too, so that a name server that dies begins anew with all of it; it answers on no
address before it has it.  One that is left behind by a daemon that died answers on until then.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import msgspec

from ripstop.core.errors import ProtocolError
from ripstop.daemon.config import Config
from ripstop.wire.dns_feed import Listen, NameRow, Rows
from ripstop.wire.dns_handover import END
from ripstop.wire.dns_report import Frames, Report, encode

log = logging.getLogger("ripstop.dns")

CHUNK = 1000  # names in one message
SILENCE = 10.0  # seconds without a report (there is one each second) after which it is killed
_SILENCES = 4  # that make up those seconds; while we do not run ourselves, one passes at most
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds until a dead one is started again, doubling
_STEADY = 60.0  # seconds after which a death is the first one again
_READ = 64 * 1024  # bytes
_DISMISSAL = 2.0  # seconds for one that is left behind to end by itself
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


@dataclass(frozen=True, slots=True)
class NameServerConfig:
    """What the name server is told when it starts."""

    domain: str = "ripstop.local"
    ttl: int = 1  # seconds
    universe: str = "10.32.0.0/12"  # its reverse names are ours, and its containers may ask about other domains
    allow: tuple[str, ...] = ()  # networks that may ask about other domains too
    resolv_conf: str = "/etc/resolv.conf"
    handover: Path | None = None  # where it waits for who comes after it; None: it ends when nobody runs it any more

    @classmethod
    def of(cls, config: Config) -> "NameServerConfig":
        """Return what an instance's name server is told."""
        resolv_conf = str(config.dns_resolv_conf)
        domain = config.dns_domain.removesuffix(".")
        return cls(domain, config.dns_ttl, config.range, config.dns_allow, resolv_conf, handover_of(config.run_dir))

    @property
    def arguments(self) -> list[str]:
        """The same as flags."""
        return [
            f"--domain={self.domain}",
            f"--ttl={self.ttl}",
            f"--universe={self.universe}",
            f"--resolv-conf={self.resolv_conf}",
            *(f"--allow={network}" for network in self.allow),
            *((f"--handover={self.handover}",) if self.handover else ()),
        ]


@dataclass(frozen=True, slots=True)
class ListenerStatus:
    """One address on which names are to be answered."""

    address: str
    port: int
    since: float | None  # seconds of the epoch at which it began to answer there; None: it does not
    problem: str = ""  # why it does not


@dataclass(frozen=True, slots=True)
class NameServerStatus:
    """How the name server is doing."""

    domain: str
    pid: int | None  # None: none is running
    restarts: int = 0
    problem: str = ""  # what the last one died of
    listening: tuple[ListenerStatus, ...] = ()
    names: int = 0
    upstreams: tuple[str, ...] = ()
    counters: dict[str, int] = field(default_factory=dict)  # since the running one's start


class NameServer:
    """One process at a time, and all that it has to know."""

    def __init__(self, config: NameServerConfig, silence: float = SILENCE) -> None:
        self._config, self._silence = config, silence
        self._rows: dict[str, NameRow] = {}  # by name in lower case
        self._places: tuple[tuple[str, int], ...] = ()
        self._untold: dict[str, NameRow] = {}
        self._places_untold = self._knows_all = False
        self._news = asyncio.Event()
        self._since: dict[tuple[str, int], float] = {}
        self._status = NameServerStatus(config.domain, None)

    def publish(self, rows: Sequence[NameRow], *, complete: bool = False, pending: bool = False) -> None:
        """Make names known; each row replaces what was known of its name, `complete` also all names not in them.

        Nothing is answered before something was published after which no more is pending.
        """
        new = {row.name.lower(): row for row in rows}
        if complete:
            new.update((key, NameRow(row.name, ())) for key, row in self._rows.items() if key not in new)
        for key, row in new.items():
            if self._rows.get(key, NameRow(row.name, ())) == row:
                continue
            if row.records:
                self._rows[key] = row
            else:
                del self._rows[key]
            self._untold[key] = row
        self._knows_all = self._knows_all or not pending
        self._news.set()

    def listen(self, addresses: Sequence[tuple[str, int]]) -> None:
        """Answer on these addresses and ports, and no others."""
        places = tuple(dict.fromkeys(addresses))
        if places != self._places:
            self._places, self._places_untold = places, True
            self._news.set()

    def status(self) -> NameServerStatus:
        """Return how it is going, as of the last report: at most a second old."""
        return self._status

    async def run(self) -> None:
        """Keep one running until cancelled; that which answers then is left behind, if there is a place for it."""
        pause = _FIRST_PAUSE
        while True:
            begun = time.monotonic()
            problem = await self._live()
            if time.monotonic() - begun > _STEADY:
                pause = _FIRST_PAUSE
            log.error("the name server died (%s); starting it again in %.1f s", problem, pause)
            listening = tuple(replace(place, since=None, problem=problem) for place in self._status.listening)
            self._since.clear()
            self._status = NameServerStatus(
                self._config.domain, None, self._status.restarts + 1, problem, listening, len(self._rows)
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _live(self) -> str:
        """Run one until it dies; return what of."""
        ours, its = socket.socketpair()
        with ours:
            with its:
                try:
                    process = _start(its.fileno(), self._config.arguments)
                except OSError as error:  # no memory, no descriptors: the daemon lives on without it
                    return f"cannot be started: {error.strerror}"
            self._status = replace(self._status, pid=process.pid)
            self._untold, self._places_untold = dict(self._rows), True
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                async with asyncio.TaskGroup() as tasks:
                    telling = tasks.create_task(self._tell(writer))
                    last_words = tasks.create_task(_relay(process))
                    silent = await self._hear(reader)
                    if silent:
                        process.kill()
                    telling.cancel()
                    code = await _end(process)
                return silent or last_words.result() or _death(code)
            finally:
                writer.close()  # that is how it hears of it
                if self._config.handover is None:
                    process.kill()
                    process.wait()
                process.returncode = process.returncode or 0  # one that is left behind is not ours to wait for

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        """Tell the process what it does not know yet, names before addresses."""
        with contextlib.suppress(OSError):  # it died; whoever hears it says so
            while True:
                while self._untold:
                    keys = list(islice(self._untold, CHUNK))
                    writer.write(encode(Rows(tuple(self._untold.pop(key) for key in keys))))
                    await writer.drain()
                if self._places_untold and self._knows_all:
                    self._places_untold = False
                    writer.write(encode(Listen(self._places)))
                self._news.clear()
                await self._news.wait()

    async def _hear(self, reader: asyncio.StreamReader) -> str:
        """Take reports until there are no more; return why it must be killed, if it must."""
        frames = Frames(msgspec.msgpack.Decoder(Report))
        silences = 0
        try:
            while silences < _SILENCES:
                try:
                    async with asyncio.timeout(self._silence / _SILENCES):
                        received = await reader.read(_READ)
                except TimeoutError:
                    silences += 1
                    continue
                silences = 0
                if not received:
                    return ""
                for report in frames.feed(received):
                    self._heard(report)
            return f"said nothing for {self._silence:g} s"
        except OSError:  # it died with something unread
            return ""
        except ProtocolError as error:
            return str(error)

    def _heard(self, report: Report) -> None:
        now = time.time()
        listening = []
        for place in report.listening:
            key = (place.address, place.port)
            if place.problem:
                self._since.pop(key, None)
                if place.problem not in (old.problem for old in self._status.listening):
                    log.warning("names are not answered on %s port %d: %s", *key, place.problem)
            since = None if place.problem else self._since.setdefault(key, now)
            listening.append(ListenerStatus(*key, since, place.problem))
        self._since = {key: since for key, since in self._since.items() if key in self._places}
        self._status = replace(
            self._status,
            listening=tuple(listening),
            names=report.names,
            upstreams=report.upstreams,
            counters=report.counters,
        )


def handover_of(run_dir: Path) -> Path:
    """Return where a name server waits for the one that comes after it."""
    return run_dir / "names.sock"


def dismiss(run_dir: Path) -> bool:
    """End the name server that a daemon left behind; return whether there was one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as former:
        former.settimeout(_DISMISSAL)
        try:
            former.connect(str(handover_of(run_dir)))
            former.send(END)
            while former.recv(_READ):  # what it would hand over; then its end
                pass
        except TimeoutError:
            pid, _, _ = _CREDENTIALS.unpack(former.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        except OSError:
            return False
    return True


def _start(fd: int, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start the process that listens to us at a descriptor; none of asyncio's, which would die with us.

    In a session of its own: it has not our share of the processors.
    """
    # -P: whatever lies in the current directory is not ours to import
    command = [sys.executable, "-P", "-m", "ripstop.dns.main", str(fd), *arguments]
    return subprocess.Popen(
        command, pass_fds=(fd,), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


async def _relay(process: "subprocess.Popen[bytes]") -> str:
    """Log what the process complains about until it ends; return its last line."""
    reader = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), process.stderr
    )
    last = ""
    try:
        with contextlib.suppress(ValueError):  # a line without end
            while line := await reader.readline():
                last = line.decode(errors="replace").rstrip()
                log.warning("name server: %s", last)
    finally:
        pipe.close()
    return last


async def _end(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the end of a process; return its code."""
    ended, loop, handle = asyncio.Event(), asyncio.get_running_loop(), os.pidfd_open(process.pid)
    loop.add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
    return process.wait()


def _death(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with code {code}"
