"""Plugins and daemons that die at any moment: after DEL, or GC, nothing is left."""

import json
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from ripstop.cni.assembly import assemble
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from tests.cni.conftest import PLUGIN, PYTHON, RUN_DIR, executable, runtime_of
from tests.cni.suite import Runtime, Sandbox, settled
from tests.cni.test_containerd import is_clean
from tests.e2e.polling import eventually

STEPS = 12  # moments at which something dies
LONGEST = 0.024  # seconds after its start, the latest of them


def start(runtime: Runtime, sandbox: Sandbox) -> "subprocess.Popen[str]":
    """Start an ADD, and do not wait for it."""
    environment = {**runtime.environment, "CNI_COMMAND": "ADD", "CNI_CONTAINERID": sandbox.container,
                   "CNI_NETNS": sandbox.path, "CNI_IFNAME": "eth0", "CNI_PATH": "/"}  # fmt: skip
    with tempfile.TemporaryFile("w+") as config:
        config.write(json.dumps(runtime.of("1.1.0")))
        config.seek(0)
        return subprocess.Popen(["nsenter", f"--net=/run/netns/{runtime.netns}", "--", str(PLUGIN)], env=environment,
                                stdin=config, stdout=subprocess.PIPE, text=True)  # fmt: skip


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.parametrize("step", range(STEPS))
def test_a_plugin_that_is_killed_while_it_adds(lab: Lab, host: Host, step: int) -> None:
    runtime = runtime_of(host)
    with runtime.sandbox() as sandbox:
        process = start(runtime, sandbox)
        time.sleep(LONGEST * step / STEPS)
        end(process)
        if step % 2:
            sandbox.call("DEL", runtime.of("1.1.0")).done()
        else:
            runtime.call("GC", runtime.of("1.1.0", **{"cni.dev/valid-attachments": []})).done()
            sandbox.call("DEL", runtime.of("1.1.0")).done()  # an ADD that was on its way is not GC's to know
        settled(sandbox.is_empty, lambda: sandbox.run("ip", "link"))
        eventually(lambda: is_clean(host))


@pytest.mark.parametrize("step", range(0, STEPS, 4))
def test_a_daemon_that_is_killed_while_it_adds(lab: Lab, host: Host, step: int) -> None:
    runtime = runtime_of(host)
    with runtime.sandbox() as sandbox:
        process = start(runtime, sandbox)
        time.sleep(LONGEST * step / STEPS)
        host.kill_daemon()
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0 or json.loads(out)["code"] == 11
        sandbox.call("DEL", runtime.of("1.1.0")).done()
        host.restart_daemon()
        lab.wait()
        settled(sandbox.is_empty, lambda: sandbox.run("ip", "link"))
        eventually(lambda: is_clean(host))


def test_an_interface_survives_the_daemon_and_is_checked_by_the_next(lab: Lab, host: Host) -> None:
    runtime = runtime_of(host)
    with runtime.sandbox() as sandbox:
        result = sandbox.add()
        config = runtime.of("1.1.0", prevResult=result)
        host.kill_daemon()
        for verb, code in (("CHECK", 11), ("GC", 11), ("ADD", 11), ("STATUS", 50)):
            sandbox.call(verb, config).refused(code)
        host.restart_daemon()
        lab.wait()
        sandbox.call("CHECK", config).done()
        runtime.call("STATUS", config).done()
        valid = [{"containerID": sandbox.container, "ifname": "eth0"}]
        runtime.call("GC", runtime.of("1.1.0", **{"cni.dev/valid-attachments": valid})).done()
        sandbox.call("CHECK", config).done()
        runtime.call("GC", runtime.of("1.1.0", **{"cni.dev/valid-attachments": []})).done()
        eventually(lambda: is_clean(host))


def test_a_container_that_comes_back_under_its_name_is_not_taken_for_the_one_that_went(lab: Lab, host: Host) -> None:
    runtime = runtime_of(host)
    with runtime.sandbox() as sandbox:
        sandbox.add()
        host.kill_daemon()
        sandbox.call("DEL", runtime.of("1.1.0")).done()
        host.restart_daemon()
        result = sandbox.add()
        lab.wait()
        sandbox.call("CHECK", runtime.of("1.1.0", prevResult=result)).done()


def test_a_queue_that_cannot_be_written_is_told(host: Host, tmp_path: Path) -> None:
    runtime = runtime_of(host)
    (tmp_path / "cni").write_text("a file where a directory has to be")
    runtime.environment["RIPSTOP_RUN_DIR"] = str(tmp_path)
    error = runtime.call("DEL", runtime.of("1.1.0"), containerid="c1", netns="", ifname="eth0").refused(11)
    assert str(tmp_path) in error["msg"]


def test_a_daemon_that_does_not_answer_is_given_up(host: Host) -> None:
    copy = executable(host.directory / "impatient", assemble(PYTHON, RUN_DIR, time_limit=1))
    runtime = runtime_of(host)
    impatient = Runtime(copy, runtime.config, runtime.netns, runtime.environment)
    pid = host.daemon_pid()
    assert pid is not None
    subprocess.run(["kill", f"-{int(signal.SIGSTOP)}", str(pid)], check=True)
    try:
        error = impatient.call("DEL", runtime.of("1.1.0"), containerid="c1", netns="", ifname="eth0").refused(11)
        assert "within 1 s" in error["msg"]
    finally:
        subprocess.run(["kill", f"-{int(signal.SIGCONT)}", str(pid)], check=True)
