"""The courier is what it carries, only quicker: both ask and say the same, whatever they are given, whoever listens."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ripstop.cni.assembly import assemble, script
from ripstop.cni.plugin import MAX_CONFIG
from tests.cni.conftest import PYTHON, executable
from tests.cni.listener import Listener, Manner, listening

CONFIG = b'{"cniVersion": "1.0.0", "name": "overlay"}'
VERBS = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", "", "NONSENSE")
PATIENCE = 60.0  # seconds for one call
Outcome = tuple[int, bytes]

_DIRECTORY = tempfile.TemporaryDirectory(prefix="ripstop-courier-")
ROOT = Path(_DIRECTORY.name)
RUN = ROOT / "run"
COURIER = executable(ROOT / "courier", assemble(PYTHON, RUN, time_limit=1))
SCRIPT = executable(ROOT / "script", script(PYTHON, RUN, time_limit=1))
ALONE = executable(ROOT / "alone", assemble(Path("/nowhere/python3"), RUN, time_limit=1))

words = st.binary(max_size=40).map(lambda word: word.replace(b"\0", b""))
configs = st.one_of(st.just(CONFIG), st.just(b""), st.binary(max_size=200), st.integers(-2, 2).map(
    lambda more: CONFIG.ljust(MAX_CONFIG + more)
))  # fmt: skip


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with listening(RUN) as listener:
        yield listener


@pytest.fixture
def empty(tmp_path: Path) -> dict[bytes, bytes]:
    """Where nobody listens."""
    return {b"RIPSTOP_RUN_DIR": bytes(tmp_path / "none")}


def call(plugin: Path, verb: str, config: bytes = CONFIG, more: dict[bytes, bytes] | None = None) -> Outcome:
    """Call a plugin; return its exit code and what it printed."""
    environment = {b"CNI_COMMAND": verb.encode(), b"CNI_CONTAINERID": b"c1", b"CNI_IFNAME": b"eth0", **(more or {})}
    done = subprocess.run([plugin], input=config, env=environment, capture_output=True, check=False, timeout=PATIENCE)
    assert done.stderr == b""
    return done.returncode, done.stdout


def error(outcome: Outcome) -> tuple[int, str]:
    """Return number and text of an error."""
    said = json.loads(outcome[1])
    assert outcome[0] == 1
    assert said["cniVersion"] in ("1.0.0", "1.1.0")
    return said["code"], said["msg"]


@given(
    verb=st.sampled_from(VERBS), manner=st.sampled_from([manner for manner in Manner if manner is not Manner.SILENT]),
    container=words, arguments=words, config=configs,
)  # fmt: skip
@example("ADD", Manner.LONG, b"c1", b"A=" + b"x" * 100_000, CONFIG.ljust(MAX_CONFIG))
@example("DEL", Manner.DYING, b"c1", b"", CONFIG)
@example("DEL", Manner.BROKEN, b"c1", b"", CONFIG)
def test_both_ask_and_say_the_same(
    listener: Listener, verb: str, manner: Manner, container: bytes, arguments: bytes, config: bytes
) -> None:
    listener.manner = manner
    more = {b"CNI_CONTAINERID": container, b"CNI_ARGS": arguments, b"CNI_NETNS": b"/run/netns/\xff"}
    outcomes, asked = [], []
    for plugin in (COURIER, SCRIPT):
        listener.asked.clear()
        outcomes.append(call(plugin, verb, config, more))
        asked.append([body[: MAX_CONFIG + 1] for body in listener.asked])  # how much too much it is may differ
    assert outcomes[0] == outcomes[1]
    assert asked[0] == asked[1]
    if verb == "ADD":
        assert len(asked[0]) == (manner is not Manner.DEAF)  # whatever became of it, it is not asked for twice


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("run_dir", ["missing", "closed", "not/a/directory", "x" * 100, "\udcff"])
def test_both_say_the_same_when_nobody_listens(tmp_path: Path, verb: str, run_dir: str) -> None:
    (tmp_path / "not").write_text("a file")
    (tmp_path / "closed").mkdir()
    with listening(tmp_path / "closed"):
        pass
    more = {b"RIPSTOP_RUN_DIR": os.fsencode(tmp_path / run_dir)}
    for config in (CONFIG, b"", b"[]", CONFIG.ljust(MAX_CONFIG + 1)):
        assert call(COURIER, verb, config, more) == call(SCRIPT, verb, config, more)


def test_a_daemon_that_says_nothing_is_asked_once(listener: Listener) -> None:
    listener.manner = Manner.SILENT
    for plugin in (COURIER, SCRIPT):
        listener.asked.clear()
        assert error(call(plugin, "ADD")) == (11, f"{RUN}/cni.sock: the daemon gave no answer within 1 s")
        assert len(listener.asked) == 1
    listener.asked.clear()
    code, text = error(call(ALONE, "ADD"))
    assert (code, len(listener.asked)) == (11, 1)
    assert "/nowhere/python3" in text


@pytest.mark.parametrize("manner", [Manner.DONE, Manner.REFUSED, Manner.LONG, Manner.IN_PIECES, Manner.EMPTY])
@pytest.mark.parametrize("verb", ["ADD", "DEL", "GC"])
def test_without_python_all_works_as_long_as_there_is_a_daemon(listener: Listener, verb: str, manner: Manner) -> None:
    listener.manner = manner
    assert call(ALONE, verb) == call(SCRIPT, verb)


def test_without_python_and_without_a_daemon_the_error_is_one_of_the_specification(empty: dict[bytes, bytes]) -> None:
    for verb in ("ADD", "DEL", "CHECK", "GC", "", "NONSENSE"):
        code, text = error(call(ALONE, verb, more=empty))
        assert code == 11
        assert "no daemon answers on" in text
        assert "/nowhere/python3, which could do without one: No such file or directory" in text
    assert error(call(ALONE, "STATUS", more=empty))[0] == 50
    odd = {b"RIPSTOP_RUN_DIR": b'/"quoted"\\\n\xff' * 10}
    assert error(call(ALONE, "ADD", more=odd))[0] == 11


def test_without_python_the_versions_are_known(empty: dict[bytes, bytes]) -> None:
    code, printed = call(ALONE, "VERSION", more=empty)
    _, expected = call(SCRIPT, "VERSION", b"")
    assert (code, json.loads(printed)) == (0, json.loads(expected))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "</"])
def test_streams_that_cannot_be_used_are_told_apart_from_success(listener: Listener, closed: str) -> None:
    listener.manner = Manner.DONE
    environment = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0"}
    done = subprocess.run(["/bin/sh", "-c", f"exec {COURIER} {closed}"], env=environment, input=CONFIG,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)  # fmt: skip
    assert (done.returncode == 0) == (closed == "2>&-")
    if done.stdout and done.returncode:
        assert error((1, done.stdout))[0] == 5


def test_a_caller_that_reads_nothing_is_not_told_of_success(listener: Listener) -> None:
    listener.manner = Manner.LONG
    with subprocess.Popen(
        [COURIER], env={"CNI_COMMAND": "ADD"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as asked:
        assert asked.stdin and asked.stdout
        asked.stdout.close()
        asked.stdin.close()
        assert asked.wait(PATIENCE) == 1


def test_a_process_that_is_stopped_goes_on_waiting(listener: Listener) -> None:
    """The kernel interrupts calls with a time limit then, handler or not."""
    listener.manner = Manner.SILENT
    patient = executable(ROOT / "patient", assemble(PYTHON, RUN, time_limit=60))
    listener.heard.clear()
    with subprocess.Popen(
        [patient], env={"CNI_COMMAND": "ADD"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as asked:
        assert listener.heard.wait(PATIENCE)
        for number in (signal.SIGSTOP, signal.SIGCONT) * 3:
            asked.send_signal(number)
            if number is signal.SIGSTOP:
                os.waitid(os.P_PID, asked.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.raises(subprocess.TimeoutExpired):
            asked.wait(0.2)
        asked.kill()


def test_the_name_it_is_called_by_and_arguments_do_not_matter(listener: Listener) -> None:
    listener.manner = Manner.DONE
    for words in ([""], ["x", "1"], ["/nowhere/ripstop-cni", "--help", "\x80"]):
        done = subprocess.run(words, executable=COURIER, env={"CNI_COMMAND": "ADD"}, input=CONFIG, capture_output=True,
                              check=True)  # fmt: skip
        assert done.stdout == b'{"said": "done"}'


def test_without_proc_the_daemon_is_asked_all_the_same(listener: Listener, empty: dict[bytes, bytes]) -> None:
    listener.manner = Manner.DONE
    command = ["unshare", "--mount", "--propagation=private", "/bin/sh", "-c", f"umount -l /proc; exec {COURIER}"]
    environment = {b"PATH": os.fsencode(os.environ["PATH"]), b"CNI_COMMAND": b"ADD"}
    done = subprocess.run(command, env=environment, input=CONFIG, capture_output=True, check=True)
    assert done.stdout == b'{"said": "done"}'
    lost = subprocess.run(command, env=environment | empty, input=CONFIG, capture_output=True, check=False)
    assert error((lost.returncode, lost.stdout))[0] == 11


def test_where_nothing_can_be_written_the_error_is_one_of_the_specification(empty: dict[bytes, bytes]) -> None:
    command = ["/usr/bin/prlimit", "--fsize=10", str(COURIER)]  # bytes of a file, also of one in memory
    done = subprocess.run(
        command, env={b"CNI_COMMAND": b"ADD", **empty}, input=CONFIG, capture_output=True, check=False
    )
    assert error((done.returncode, done.stdout))[0] == 11


def test_what_does_not_fit_is_refused_when_it_is_put_together() -> None:
    with pytest.raises(ValueError, match="longer than 103 bytes"):
        assemble(PYTHON, Path("/" + "x" * 103))
    with pytest.raises(ValueError, match="first line"):
        assemble(Path("/" + "x" * 250), RUN)


def test_a_machine_without_a_courier_gets_the_script() -> None:
    assert assemble(PYTHON, RUN, machine="vax") == script(PYTHON, RUN)
