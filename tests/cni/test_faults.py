"""Daemons that are away, hang, and come back; `test_steps` kills them at every step."""

import signal
import subprocess
from pathlib import Path

from ripstop.cni.assembly import assemble
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from tests.cni.conftest import PYTHON, RUN_DIR, executable, runtime_of
from tests.cni.suite import Runtime
from tests.cni.test_containerd import is_clean
from tests.e2e.polling import eventually


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
