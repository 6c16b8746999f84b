"""Starting a daemon that outlives us and stopping one, on processes of their own."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ripstop.cli.background import last_words, start, stop
from ripstop.cli.errors import FailedError
from ripstop.client import Client, DaemonUnreachableError

ROOT = Path(__file__).parents[2]


def python(code: str) -> list[str]:
    """Return the command line of a program that is no daemon."""
    return [sys.executable, "-c", code]


def daemon(run_dir: Path, *flags: str) -> list[str]:
    """Return the command line of a daemon with canned answers; it may be started anywhere."""
    where = f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[1:] = {[str(run_dir), *flags]!r}"
    return python(f"{where}\nfrom tests.cli.fake_daemon import main; main()")


@contextmanager
def serving(run_dir: Path, *flags: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run such a daemon; whatever becomes of it, it is dead afterwards."""
    child = subprocess.Popen(daemon(run_dir, *flags), stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"serving\n"
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_daemon_outlives_its_starter_and_stops_when_told(run_dir: Path) -> None:
    client, log = Client(run_dir), run_dir / "ripstop.log"
    started = start(daemon(run_dir), client, log)
    assert (started.name, started.nickname) == ("00000000000000a1", "h1")
    assert os.getsid(started.pid) == started.pid
    assert Path(f"/proc/{started.pid}/cwd").resolve() == Path("/")
    assert log.read_text() == "serving\n"
    assert log.stat().st_mode & 0o777 == 0o600
    # Our own child stays a zombie until it is reaped, which a pidfd counts as ended.
    assert (stopped := stop(client)).pid == started.pid
    assert stopped.goodbye
    os.waitpid(started.pid, 0)
    with pytest.raises(DaemonUnreachableError):
        client.call("status")


@pytest.mark.parametrize(
    ("code", "words", "exit_code"),
    [
        ("import sys; print('ripstop: port 6783 is in use', file=sys.stderr); print('bye'); sys.exit(1)",
         "port 6783 is in use (the daemon ended with exit code 1; log: ", 1),
        ("import sys; print('starting'); print('', file=sys.stderr); sys.exit(4)",
         "starting (the daemon ended with exit code 4; log: ", 4),
        ("raise ValueError('a bug')", "ValueError: a bug (the daemon ended with exit code 1; log: ", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended at once with signal 9 and said nothing", 1),
        ("pass", "ended at once with exit code 0 and said nothing", 1),
    ],
)  # fmt: skip
def test_a_daemon_that_dies_early_has_its_last_words_passed_on(
    run_dir: Path, code: str, words: str, exit_code: int
) -> None:
    log = run_dir / "ripstop.log"
    log.write_text("ripstop: an error of yesterday\n")
    with pytest.raises(FailedError) as failed:
        start(python(code), Client(run_dir), log)
    assert words in str(failed.value)
    assert failed.value.code == exit_code
    assert log.read_text().startswith("ripstop: an error of yesterday\n")


def test_a_large_log_makes_room_for_a_new_one(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ripstop.cli.background.MAX_LOG", 10)
    log, old = run_dir / "ripstop.log", run_dir / "ripstop.log.1"
    for said, kept in (("0123456789\n", None), ("again\n", "0123456789\n"), ("", "0123456789\n")):
        with pytest.raises(FailedError):
            start(python(f"print({said!r}, end='')"), Client(run_dir), log)
        assert (old.read_text() if old.exists() else None) == kept
    assert log.read_text() == "again\n"


def test_a_daemon_that_never_answers_is_ended(run_dir: Path) -> None:
    code = "import os, threading; print(os.getpid(), flush=True); threading.Event().wait()"
    with pytest.raises(FailedError, match=r"no answer within 0\.5 s and was ended"):
        start(python(code), Client(run_dir), run_dir / "log", timeout=0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(int((run_dir / "log").read_text()), 0)


def test_another_daemons_answer_does_not_count(run_dir: Path) -> None:
    with serving(run_dir), pytest.raises(FailedError, match="run directory in use"):
        start(python("import sys; sys.exit('run directory in use')"), Client(run_dir), run_dir / "log")


def test_nothing_to_stop(run_dir: Path) -> None:
    stopped = stop(Client(run_dir))
    assert (stopped.pid, stopped.goodbye) == (0, False)


def test_the_socket_of_a_dead_daemon_is_nothing_to_stop(run_dir: Path) -> None:
    with serving(run_dir) as child:
        child.kill()
        child.wait()
        stopped = stop(Client(run_dir))
    assert (stopped.pid, stopped.goodbye) == (0, False)


def test_a_daemon_that_hangs_is_named(run_dir: Path) -> None:
    with serving(run_dir) as child:
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(DaemonUnreachableError, match=f"kill -9 {child.pid}"):
            stop(Client(run_dir, timeout=0.1))


def test_a_daemon_that_says_goodbye_and_stays_is_named(run_dir: Path) -> None:
    with serving(run_dir, "--linger") as child, pytest.raises(FailedError, match=f"kill -9 {child.pid}"):
        stop(Client(run_dir), timeout=0.2)


@pytest.mark.parametrize(
    ("log", "since", "words"),
    [
        (b"", 0, ""),
        (b"\n  \n", 0, ""),
        (b"one\ntwo\n\n", 0, "two"),
        (b"ripstop: no root\nclosing\n", 0, "no root"),
        (b"ripstop: no root\nclosing\n", 17, "closing"),
        (b"  +-+---- 1 ----\n    | ValueError: a bug\n    +-------------\n", 0, "ValueError: a bug"),
        (b"x" * 200_000 + b"\n\xfflast", 0, "\N{REPLACEMENT CHARACTER}last"),
    ],
)
def test_last_words(log: bytes, since: int, words: str) -> None:
    assert last_words(io.BytesIO(log), since) == words
