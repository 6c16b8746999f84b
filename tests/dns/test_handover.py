"""A name server that is left behind answers on, until another takes its place, or nobody wants it any more."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dns.message
import dns.query
import pytest

from ripstop.wire import dns_handover
from ripstop.wire.dns_feed import NameRow, Record
from ripstop.wire.dns_handover import END
from tests.dns.servers import PATIENCE, Server, names_of, right, short, upstream
from tests.e2e.polling import eventually

HERE = ("127.0.0.1", 53)
OLD, NEW = (NameRow("web", (Record(bytes([10, 32, 0, last])),)) for last in (1, 2))
NAME = "web.ripstop.local"
_STRANGER = """
import socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
listener.listen()
print("listens", flush=True)
connection, _ = listener.accept()
connection.send(b"nonsense")
connection.recv(9)
connection.recv(9)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "names.sock"


@pytest.fixture
def old(serve: Callable[..., Server], path: Path) -> Server:
    """Return a name server that answers."""
    server = settled(serve(f"--handover={path}"), OLD)
    eventually(path.exists)
    return server


def settled(server: Server, *rows: NameRow) -> Server:
    """Have a server answer."""
    server.tell(*rows)
    server.listen(HERE)
    return server


def offered(path: Path) -> tuple[socket.socket, tuple[dns_handover.Place, ...], list[socket.socket]]:
    """Return what is given to somebody who asks: his connection, places, sockets."""
    asking = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    asking.settimeout(PATIENCE)
    asking.connect(str(path))
    message, descriptors, _, _ = socket.recv_fds(asking, 65536, 10)
    return asking, dns_handover.decode(message), [socket.socket(fileno=one) for one in descriptors]


def test_no_question_is_lost_between_two(old: Server, serve: Callable[..., Server], path: Path) -> None:
    """Each is asked once, and has 20 s for its answer."""
    stop, heard = threading.Event(), list[str]()

    def ask() -> None:
        while not stop.is_set():
            for how in (dns.query.udp, dns.query.tcp):
                (rrset,) = how(dns.message.make_query(NAME, "A"), HERE[0], PATIENCE).answer
                heard.append(str(rrset[0]))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for one in asking:
        one.start()
    try:
        for row, address in ((NEW, "10.32.0.2"), (OLD, "10.32.0.1"), (NEW, "10.32.0.2")):
            old.leave()
            old = settled(serve(f"--handover={path}"), row)
            eventually(partial(heard.__contains__, address))
            heard.clear()
    finally:
        stop.set()
        for one in asking:
            one.join(PATIENCE)
    assert not any(map(threading.Thread.is_alive, asking))


def test_who_asked_the_old_one_is_answered_by_it(
    old: Server, serve: Callable[..., Server], path: Path, resolv_conf: Path
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def late(query: dns.message.Message, _: bool) -> list[bytes]:
        asked.set()
        go_on.wait(PATIENCE)
        return [right(query).to_wire()]

    resolv_conf.write_text(names_of(["127.0.0.3"]))
    with upstream("127.0.0.3", late), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.sendto(dns.message.make_query("www.example.com", "A").to_wire(), HERE)
        assert asked.wait(PATIENCE)
        with socket.create_connection(HERE, PATIENCE) as stream:
            query = dns.message.make_query(NAME, "A").to_wire()
            old.leave()
            settled(serve(f"--handover={path}"), NEW)
            stream.sendall(len(query).to_bytes(2, "big") + query)
            assert bytes([10, 32, 0]) in stream.recv(4096)
        go_on.set()
        assert dns.message.from_wire(client.recv(4096)).answer


def test_one_that_dies_while_it_takes_over_takes_nothing(old: Server, path: Path) -> None:
    old.leave()
    asking, places, sockets = offered(path)
    assert places == (HERE,)
    assert [one.type for one in sockets] == [socket.SOCK_DGRAM, socket.SOCK_STREAM]
    for one in (*sockets, asking):
        one.close()
    assert short(NAME) == ["10.32.0.1"]
    assert short("+tcp", NAME) == ["10.32.0.1"]


def test_one_that_hangs_is_killed(old: Server, serve: Callable[..., Server], path: Path) -> None:
    old.leave()
    old.process.send_signal(signal.SIGSTOP)
    new = settled(serve(f"--handover={path}"), NEW)
    assert old.process.wait(PATIENCE) == -signal.SIGKILL
    new.until(lambda report: not report.listening[0].problem)
    assert short(NAME) == ["10.32.0.2"]


def test_one_of_another_version_is_killed(serve: Callable[..., Server], path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _STRANGER, str(path)], stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None, "a pipe"
        assert stranger.stdout.readline()
        settled(serve(f"--handover={path}"), NEW)
        assert stranger.wait(PATIENCE) == -signal.SIGKILL
    assert short(NAME) == ["10.32.0.2"]


def test_other_places_are_those_of_the_new_one(old: Server, serve: Callable[..., Server], path: Path) -> None:
    old.leave()
    new = serve(f"--handover={path}")
    new.tell(NEW)
    there = ("127.0.0.2", 53)
    assert not any(place.problem for place in new.listen(there))
    assert short(NAME, server="127.0.0.2") == ["10.32.0.2"]

    def nobody_is_here() -> bool:
        with socket.socket(socket.AF_INET) as client:
            return client.connect_ex(HERE) != 0

    eventually(nobody_is_here)


@pytest.mark.parametrize("before", [True, False])
def test_a_signal_to_all_processes_ends_it_with_the_daemon(old: Server, path: Path, *, before: bool) -> None:
    if before:
        old.process.send_signal(signal.SIGTERM)
        assert short(NAME) == ["10.32.0.1"]  # the daemon says when
    old.leave()
    if not before:
        assert short(NAME) == ["10.32.0.1"]
        old.process.send_signal(signal.SIGTERM)
    assert old.process.wait(PATIENCE) == 0
    assert not path.exists()


def test_it_ends_when_nobody_is_to_answer(old: Server, path: Path) -> None:
    old.leave()
    asking, _, sockets = offered(path)
    asking.send(END)
    assert asking.recv(1) == b""
    assert old.process.wait(PATIENCE) == 0
    assert not path.exists()
    for one in (*sockets, asking):
        one.close()


def test_one_that_answers_nowhere_ends_with_its_daemon(serve: Callable[..., Server], path: Path) -> None:
    for _ in range(2):
        idle = serve(f"--handover={path}")
        idle.report()
        idle.leave()
        assert idle.process.wait(PATIENCE) == 0


def test_root_alone_may_take_over(old: Server, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
