"""The client against the real server, and against programs on the socket that are no daemon."""

import asyncio
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args, get_overloads, get_type_hints

import msgspec
import pytest

from ripstop.api.routes import BY_NAME, CALLS
from ripstop.api.types import AttachRequest, DetachRequest, ExposeRequest, GroupRequest, TargetsRequest, TraceRequest
from ripstop.client import BadAnswerError, Client, DaemonUnreachableError, RefusedError
from ripstop.core.errors import ConflictError, ExhaustedError, KernelError, NotFoundError, RequestError
from tests.cli.fake_daemon import ANSWERS, PORT, STATUS, FakeDaemon, running


@pytest.fixture
def run_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rs-") as path:
        yield Path(path)


@pytest.fixture
def fake(run_dir: Path) -> Iterator[FakeDaemon]:
    with running(run_dir) as daemon:
        yield daemon


def test_every_call_is_typed_as_the_table_says() -> None:
    typed = {}
    for overload in get_overloads(Client.call):
        hints = get_type_hints(overload)
        (name,) = get_args(hints["name"])
        assert hints["name"] == Literal[name]
        typed[name] = (hints.get("request"), hints["return"])
    nothing = type(None)
    assert typed == {call.name: (call.request, nothing if call.answer is None else call.answer) for call in CALLS}


@pytest.mark.parametrize("name", [call.name for call in CALLS if call.request is None and call.answer is not None])
def test_reads_come_back_as_they_were(fake: FakeDaemon, name: Literal["status"]) -> None:
    answer = Client(fake.run_dir).call(name)
    assert msgspec.convert(answer, BY_NAME[name].answer) == ANSWERS[name]
    assert fake.asked == [(name, None)]


def test_requests_arrive_as_they_were(fake: FakeDaemon) -> None:
    client = Client(fake.run_dir)
    attach = AttachRequest("/run/netns/c1", "eth1", ("10.32.0.9/12",), True, False, "c1", 3.0)
    detach = DetachRequest(container="c1", ifname="eth1")
    expose = ExposeRequest(("net:10.40.0.0/16",), False, 2.0)
    targets = TargetsRequest(("192.0.2.2", "192.0.2.3:7000"), True)
    assert client.call("attach", attach) == PORT
    assert client.call("detach", detach).ports == (PORT,)
    assert client.call("expose", expose).ifname == "ripstop0"
    assert client.call("connect", targets) == ANSWERS["connect"]
    assert client.call("forget", targets) == ANSWERS["forget"]
    trace = TraceRequest("239.1.1.1", "10.32.0.5", "h1")
    group = GroupRequest("ff15::7", ("2001:db8::5",), True, container="c1", ifname="eth1")
    assert client.call("trace", trace) == ANSWERS["trace"]
    assert client.call("join", group) == ANSWERS["join"]
    assert client.call("leave", group) == ANSWERS["leave"]
    assert fake.asked == [
        ("attach", attach), ("detach", detach), ("expose", expose), ("connect", targets), ("forget", targets),
        ("trace", trace), ("join", group), ("leave", group),
    ]  # fmt: skip


def test_down_answers_nothing(fake: FakeDaemon) -> None:
    Client(fake.run_dir).call("down")
    assert fake.asked == [("down", None)]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestError("no such thing as that"), 400),
        (NotFoundError("no container c9"), 404),
        (ConflictError("10.32.0.9 belongs to c2"), 409),
        (ExhaustedError("no address left in 10.32.0.0/30"), 507),
        (KernelError("create", "rs-1", 17, "file exists"), 500),
    ],
)
def test_a_refusal_keeps_status_and_words(fake: FakeDaemon, error: Exception, status: int) -> None:
    fake.answers["hide"] = error
    with pytest.raises(RefusedError) as refused:
        Client(fake.run_dir).call("hide")
    assert (refused.value.status, str(refused.value)) == (status, str(error))


def test_daemon_pid_is_the_listeners(fake: FakeDaemon) -> None:
    client = Client(fake.run_dir)
    assert client.daemon_pid() == STATUS.pid
    client.call("hide")  # a connection that asked nothing harms nobody
    assert fake.asked == [("hide", None)]


def test_no_socket(run_dir: Path) -> None:
    with pytest.raises(DaemonUnreachableError, match=f"{run_dir}/ripstop.sock does not exist; start one with") as error:
        Client(run_dir).call("status")
    assert error.value.dead


def test_a_socket_left_by_a_dead_daemon(run_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(run_dir / "ripstop.sock"))
    with pytest.raises(DaemonUnreachableError, match="exists but nobody listens") as error:
        Client(run_dir).call("status")
    assert error.value.dead


def test_a_path_too_long_for_a_socket() -> None:
    with pytest.raises(DaemonUnreachableError, match="too long") as error:
        Client(Path("/" + "x" * 120)).call("status")
    assert not error.value.dead


def test_a_file_that_is_no_socket(run_dir: Path) -> None:
    (run_dir / "ripstop.sock").touch()
    with pytest.raises(DaemonUnreachableError, match=r"ripstop\.sock"):
        Client(run_dir).call("status")


def test_a_daemon_that_says_nothing(run_dir: Path) -> None:
    with answering(run_dir, None), pytest.raises(DaemonUnreachableError, match="gave no answer within") as error:
        Client(run_dir, timeout=0.1).call("status")
    assert not error.value.dead


def test_an_allocation_may_take_the_time_that_was_asked_for(fake: FakeDaemon) -> None:
    async def slow() -> object:
        await asyncio.sleep(0.3)
        return PORT

    fake.answers["attach"] = slow
    assert Client(fake.run_dir, timeout=0.1).call("attach", AttachRequest("/run/netns/c1", wait=5.0)) == PORT
    with pytest.raises(DaemonUnreachableError):
        Client(fake.run_dir, timeout=0.1).call("attach", AttachRequest("/run/netns/c1", wait=0.0))


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nwha",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00\x01",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
    ],
)
def test_answers_that_make_no_sense(run_dir: Path, answer: bytes) -> None:
    with answering(run_dir, answer), pytest.raises(BadAnswerError, match="cannot read the answer to `status`"):
        Client(run_dir).call("status")


def test_a_daemon_that_hangs_up(run_dir: Path) -> None:
    with answering(run_dir, b""), pytest.raises(DaemonUnreachableError, match="hung up on `status`"):
        Client(run_dir).call("status")


def test_a_refusal_without_words(run_dir: Path) -> None:
    answer = b"HTTP/1.1 502 Bad\r\nContent-Length: 4\r\n\r\noops"
    with answering(run_dir, answer), pytest.raises(RefusedError, match="HTTP status 502 and no reason"):
        Client(run_dir).call("status")


@contextmanager
def answering(run_dir: Path, answer: bytes | None) -> Iterator[threading.Event]:
    """Listen, read one request and send these bytes; None stays silent.  The event tells that a request came."""
    asked = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(run_dir / "ripstop.sock"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                asked.set()
                if answer is None:
                    connection.recv(1)  # until the client gives up
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            thread.join()
