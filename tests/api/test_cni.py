"""The plugin's way in: whole requests are answered, and nobody else keeps it from that."""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ripstop.api.cni import MAX_REQUEST, PluginServer, listen


async def echo(body: bytes, _is_heard: Callable[[], bool]) -> tuple[bool, bytes]:
    """Print what was given; refuse it if it says so, and break if it says that."""
    if body == b"break":
        raise ZeroDivisionError
    return body != b"refuse", body


def broken(body: bytes) -> bytes:
    """Print what was asked of what broke."""
    return b"broken by " + body


def asked(path: Path, *requests: bytes) -> list[bytes]:
    """Return what comes back to each of some requests, each sent as it is and ended."""

    async def ask(request: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(request)
            writer.write_eof()
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def scenario() -> list[bytes]:
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(PluginServer(listen(path), echo, broken).run())
            answers = [await ask(request) for request in requests]
            serving.cancel()
        return answers

    return asyncio.run(scenario())


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def test_a_request_is_answered_with_its_exit_code(tmp_path: Path) -> None:
    long = b"x" * 300_000
    answers = asked(tmp_path / "cni.sock", framed(b"done"), framed(b"refuse"), framed(b""), framed(long))
    assert answers == [b"\0done", b"\1refuse", b"\0", b"\0" + long]
    assert (tmp_path / "cni.sock").stat().st_mode & 0o777 == 0o600


def test_what_is_no_request_gets_no_answer_and_harms_nobody(tmp_path: Path) -> None:
    broken = (b"", b"\0\0", framed(b"short")[:-1], (MAX_REQUEST + 1).to_bytes(4, "big"))
    answers = asked(tmp_path / "cni.sock", *broken, framed(b"done"))
    assert answers == [b""] * len(broken) + [b"\0done"]


def test_what_breaks_is_answered_and_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    answers = asked(tmp_path / "cni.sock", framed(b"break"), framed(b"done"))
    assert answers == [b"\1broken by break", b"\0done"]
    assert "ZeroDivisionError" in caplog.text


def test_it_is_known_whether_the_caller_still_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        called, gone = asyncio.Event(), asyncio.Event()

        async def plugin(_body: bytes, is_heard: Callable[[], bool]) -> tuple[bool, bytes]:
            heard.append(is_heard())
            called.set()
            await gone.wait()
            heard.append(is_heard())
            called.set()
            return True, b""

        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(PluginServer(listen(tmp_path / "cni.sock"), plugin, broken).run())
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(tmp_path / "cni.sock"))
                caller.sendall(framed(b"done"))
                await called.wait()
                called.clear()
            gone.set()
            await called.wait()
            serving.cancel()

    heard: list[bool] = []
    asyncio.run(scenario())
    assert heard == [True, False]


def test_who_calls_and_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    async def scenario() -> bytes:
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(PluginServer(listen(tmp_path / "cni.sock"), echo, broken, patience=0.01).run())
            reader, writer = await asyncio.open_unix_connection(tmp_path / "cni.sock")
            got = await reader.read()
            writer.close()
            serving.cancel()
        return got

    assert asyncio.run(scenario()) == b""


def test_who_calls_when_no_descriptor_is_left_is_served_a_little_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> bytes:
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(PluginServer(listen(tmp_path / "cni.sock"), echo, broken).run())
            with socket.socket(socket.AF_UNIX) as caller:
                await asyncio.sleep(0)  # it has begun
                usual = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (caller.fileno() + 1, usual[1]))
                held: list[int] = []
                try:
                    with contextlib.suppress(OSError):
                        while True:
                            held.append(os.dup(caller.fileno()))
                    caller.setblocking(False)
                    caller.connect(str(tmp_path / "cni.sock"))
                    caller.sendall(framed(b"late"))
                    for _ in range(5):  # turns of the loop: it is called, cannot take it, says so
                        await asyncio.sleep(0)
                    assert "cannot take a connection" in caplog.text
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, usual)
                    for descriptor in held:
                        os.close(descriptor)
                answer = await asyncio.get_running_loop().sock_recv(caller, 100)
            serving.cancel()
        return answer

    assert asyncio.run(scenario()) == b"\0late"
