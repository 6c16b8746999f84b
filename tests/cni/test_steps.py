"""Killed at every step of an ADD, one after the other: whoever dies, after DEL or GC nothing is left.

A step is a call to the kernel that changes something or tells somebody.  strace counts them, and kills before the one
whose turn it is; an ADD that lives through says that there are no more.
"""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from tests.cni.conftest import PLUGIN, runtime_of
from tests.cni.suite import Json, Runtime, Sandbox, settled
from tests.cni.test_containerd import is_clean
from tests.e2e.conftest import lab_name
from tests.e2e.polling import eventually
from tests.kubernetes.conftest import is_up

MOST = 100  # steps: by far
ALL, MAIN = ("-f",), ()  # threads
NOTHING: Json = {"cni.dev/valid-attachments": []}


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """One host by itself, so that its daemon does little but what it is asked to."""
    with Lab(hosts=1, name=lab_name(), containers=0) as lab:
        lab.wait()
        yield lab.host("h1")


@contextlib.contextmanager
def killing(process: int, threads: tuple[str, ...], calls: str, step: int) -> Iterator[None]:
    """Have a process killed before its step-th of these calls to the kernel."""
    command = ["strace", *threads, f"--attach={process}", f"--trace={calls}", "--output=/dev/null",
               f"--inject={calls}:signal=KILL:when={step}"]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        assert "attached" in tracer.stderr.readline()
        try:
            yield
        finally:
            tracer.kill()  # told to end, it waits for a zombie whose threads it has not waited for


def removed(runtime: Runtime, sandbox: Sandbox, host: Host) -> None:
    """Check that nothing is left, in the container and on its host."""
    settled(sandbox.is_empty, lambda: sandbox.run("ip", "link"))
    eventually(partial(is_clean, host))


@pytest.mark.parametrize(
    ("threads", "calls"),
    [
        (MAIN, "pwrite64"),  # the database
        (MAIN, "fdatasync"),
        (MAIN, "sendto"),  # the answer
        (ALL, "sendto"),  # requests to the kernel: devices, addresses, routes, filters
        (ALL, "bpf"),  # entries of maps
        (ALL, "write"),  # settings of devices
        (ALL, "setns"),
    ],
)  # fmt: skip
def test_a_daemon_that_is_killed_at_any_step(host: Host, threads: tuple[str, ...], calls: str) -> None:
    runtime = runtime_of(host)
    for step in range(1, MOST):
        with runtime.sandbox() as sandbox:
            daemon = host.daemon_pid()
            assert daemon is not None
            with killing(daemon, threads, calls, step):
                answer = sandbox.call("ADD", runtime.of("1.1.0"))
            lived = is_up(host)
            assert answer.code == 0 or json.loads(answer.printed)["code"] == 11
            if step % 2:
                sandbox.call("DEL", runtime.of("1.1.0")).done()  # kept for the next daemon, if this one is dead
            if not lived:
                os.waitpid(daemon, 0)  # it may be about to end
                host.restart_daemon()
            if not step % 2:
                runtime.call("GC", runtime.of("1.1.0", **NOTHING)).done()
            removed(runtime, sandbox, host)
            if lived:
                assert step > 1, f"{calls} is no step of an ADD"
                return


def test_a_plugin_that_is_killed_at_any_step(host: Host) -> None:
    calls = "%network,read,write,writev"
    for step in itertools.count(1):
        runtime = runtime_of(host)
        runtime.plugin = wrapped(host.directory, calls, step)
        with runtime.sandbox() as sandbox:
            answer = sandbox.call("ADD", runtime.of("1.1.0"))
            runtime.plugin = PLUGIN
            if step % 2:
                runtime.call("GC", runtime.of("1.1.0", **NOTHING)).done()
            sandbox.call("DEL", runtime.of("1.1.0")).done()  # an ADD that was on its way is not GC's to know
            removed(runtime, sandbox, host)
        if answer.code == 0:
            assert step > 3
            return


def wrapped(directory: Path, calls: str, step: int) -> Path:
    """Return a program that is the plugin, killed before its step-th of these calls."""
    assert shutil.which("strace")
    script = directory / "killed"
    script.write_text(
        f"#!/bin/sh\nexec strace --trace={calls} --output=/dev/null --inject={calls}:signal=KILL:when={step} {PLUGIN}\n"
    )
    script.chmod(0o755)
    return script
