"""The name server as a process, and servers that it may ask."""

import contextlib
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.rrset
import msgspec

from ripstop.wire.dns_feed import Listen, NameRow, Rows
from ripstop.wire.dns_report import Frames, Listening, Report, encode

PATIENCE = 20.0  # seconds; what it takes is for benchmarks to tell
Answers = Callable[[dns.message.Message, bool], list[bytes]]  # takes whether it is over TCP


class Server:
    """A name server, told things as the daemon tells it."""

    def __init__(self, resolv_conf: Path, *flags: str) -> None:
        self._end, theirs = socket.socketpair()
        with theirs:
            fd = str(theirs.fileno())
            command = [sys.executable, "-P", "-m", "ripstop.dns.main", fd, "--domain=ripstop.local", "--ttl=1"]
            command += ["--universe=10.32.0.0/12", f"--resolv-conf={resolv_conf}", *flags]
            self.process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
        self._frames = Frames(msgspec.msgpack.Decoder(Report))
        self._end.settimeout(PATIENCE)

    def tell(self, *rows: NameRow, complete: bool = False) -> None:
        """Make names known; they are by the time of the next report."""
        self._end.sendall(encode(Rows(rows, complete)))

    def listen(self, *places: tuple[str, int]) -> tuple[Listening, ...]:
        """Let it answer at these places; return how that went."""
        self._end.sendall(encode(Listen(places)))
        wanted = [tuple(place) for place in places]
        return self.until(lambda report: [(at.address, at.port) for at in report.listening] == wanted).listening

    def until(self, seen: Callable[[Report], bool]) -> Report:
        """Wait for a report that says something, and return it."""
        for _ in range(int(PATIENCE) * 10):
            received = self._end.recv(65536)
            assert received, "the server has gone"
            for report in self._frames.feed(received):
                if seen(report):
                    return report
        raise AssertionError("never reported")

    def report(self) -> Report:
        """Return a report made from now on."""
        while select.select([self._end], [], [], 0)[0]:
            list(self._frames.feed(self._end.recv(65536)))
        return self.until(lambda _: True)

    def leave(self) -> None:
        """Go as a daemon goes."""
        self._end.close()

    def hang_up(self) -> int:
        """Go; return the server's exit code."""
        self.leave()
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End it, whatever happened."""
        self._end.close()
        self.process.terminate()  # one that is to outlive us
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        self.process.kill()
        self.process.wait()


class Upstream:
    """A server at port 53 of an address that answers what it likes, and notes what it was asked."""

    def __init__(self, address: str, answers: Answers) -> None:
        self.address, self._answers = address, answers
        self.asked: list[tuple[dns.message.Message, int, bool]] = []  # question, port it came from, over TCP
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind((address, 53))
        self._listener = socket.create_server((address, 53))
        self._stop, theirs = socket.socketpair()
        self._thread = threading.Thread(target=self._run, args=(theirs,), daemon=True)
        self._thread.start()

    def say(self, answers: Answers) -> None:
        """Answer in another way from now on."""
        self._answers = answers

    def close(self) -> None:
        """Answer no more."""
        self._stop.close()
        self._thread.join(PATIENCE)
        self._datagrams.close()
        self._listener.close()

    def _run(self, stop: socket.socket) -> None:
        with stop:
            while True:
                ready, _, _ = select.select([stop, self._datagrams, self._listener], [], [])
                if stop in ready:
                    return
                if self._datagrams in ready:
                    message, sender = self._datagrams.recvfrom(4096)
                    for answer in self._answer(message, sender[1], stream=False):
                        self._datagrams.sendto(answer, sender)
                if self._listener in ready:
                    self._converse()

    def _converse(self) -> None:
        opened, sender = self._listener.accept()
        with opened, opened.makefile("rwb") as file:
            message = file.read(int.from_bytes(file.read(2), "big"))
            for answer in self._answer(message, sender[1], stream=True):
                file.write(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, message: bytes, port: int, *, stream: bool) -> list[bytes]:
        query = dns.message.from_wire(message)
        self.asked.append((query, port, stream))
        return self._answers(query, stream)


def right(query: dns.message.Message, address: str = "192.0.2.1", ttl: int = 60) -> dns.message.Message:
    """Return the right answer."""
    made = dns.message.make_response(query)
    made.flags |= dns.flags.RA
    made.answer.append(dns.rrset.from_text(query.question[0].name, ttl, "IN", "A", address))
    return made


@contextlib.contextmanager
def upstream(address: str, answers: Answers = lambda query, _: [right(query).to_wire()]) -> Iterator[Upstream]:
    """Yield a server that answers."""
    made = Upstream(address, answers)
    try:
        yield made
    finally:
        made.close()


def dig(*words: str, server: str = "127.0.0.1", check: bool = True) -> str:
    """Return what `dig` prints."""
    command = ["dig", f"@{server}", "+tries=1", "+timeout=10", *words]
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout


def short(*words: str, server: str = "127.0.0.1") -> list[str]:
    """Return what is in the answer, sorted."""
    return sorted(dig("+short", *words, server=server).split("\n")[:-1])


def wire_of(name: dns.name.Name) -> bytes:
    """Return a name as on the wire, case kept."""
    encoded = name.to_wire()
    assert encoded is not None, "not written to a file"
    return encoded


def names_of(servers: Sequence[str]) -> str:
    """Return a resolv.conf."""
    return "".join(f"nameserver {server}\n" for server in servers)
