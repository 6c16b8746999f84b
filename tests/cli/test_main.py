"""The command line as a whole: exit codes, the one line of an error, what is imported."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from ripstop.api.routes import BY_NAME
from ripstop.cli.main import main
from ripstop.core.errors import ConflictError
from tests.cli.fake_daemon import ANSWERS, FakeDaemon
from tests.test_client import answering

RIPSTOP = [sys.executable, "-m", "ripstop.cli.main"]

EVERY_COMMAND = [
    (["status"], "status"),
    (["status", "peers"], "peers"),
    (["status", "connections"], "connections"),
    (["status", "routes"], "routes"),
    (["status", "ipam"], "ipam"),
    (["status", "targets"], "targets"),
    (["connect", "192.0.2.3"], "connect"),
    (["forget", "192.0.2.3"], "forget"),
    (["attach", "--netns", "c1"], "attach"),
    (["detach", "--netns", "c1"], "detach"),
    (["ps"], "ports"),
    (["expose"], "expose"),
    (["hide"], "hide"),
    (["report"], "report"),
    (["multicast", "groups"], "multicast"),
    (["multicast", "trace", "10.32.0.5", "239.1.1.1"], "trace"),
    (["multicast", "join", "239.1.1.1", "--netns", "c2"], "join"),
    (["multicast", "leave", "239.1.1.1", "--netns", "c2"], "leave"),
]


@pytest.mark.parametrize(("words", "call"), EVERY_COMMAND)
def test_json_is_the_answer_on_one_line(
    fake: FakeDaemon, capsys: pytest.CaptureFixture[str], words: Sequence[str], call: str
) -> None:
    assert main(["--run-dir", str(fake.run_dir), *words, "--json"]) == 0
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (1, "")
    assert msgspec.json.decode(out, type=BY_NAME[call].answer) == ANSWERS[call]


@pytest.mark.parametrize(("words", "call"), EVERY_COMMAND)
def test_people_get_text_without_control_characters(
    fake: FakeDaemon, capsys: pytest.CaptureFixture[str], words: Sequence[str], call: str
) -> None:
    assert main(["--run-dir", str(fake.run_dir), *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.endswith("\n")
    assert all(line.isprintable() for line in out.splitlines()), out


@pytest.mark.parametrize(("words", "call"), EVERY_COMMAND)
def test_a_refusal_is_one_line_and_exit_code_1(
    fake: FakeDaemon, capsys: pytest.CaptureFixture[str], words: Sequence[str], call: str
) -> None:
    fake.answers[call] = ConflictError("10.32.0.9 is held by c2 on h2; release it there first")
    assert main(["--run-dir", str(fake.run_dir), *words]) == 1
    assert capsys.readouterr() == ("", "ripstop: 10.32.0.9 is held by c2 on h2; release it there first\n")


@pytest.mark.parametrize(("words", "call"), EVERY_COMMAND)
def test_no_daemon_is_one_line_and_exit_code_3(
    run_dir: Path, capsys: pytest.CaptureFixture[str], words: Sequence[str], call: str
) -> None:
    assert main(["--run-dir", str(run_dir), *words]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"ripstop: no daemon: {run_dir}/ripstop.sock does not exist; start one with `ripstop up`")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "say what to do"),
        (["stauts"], "invalid choice"),
        (["status", "weather"], "invalid choice"),
        (["status", "--wait", "peers"], "ripstop status peers --wait"),
        (["status", "--wait", "-1"], "no number of seconds"),
        (["status", "--wait", "nan"], "no number of seconds"),
        (["connect"], "required"),
        (["attach"], "one of the arguments --netns --pid is required"),
        (["attach", "--netns", "c1", "--pid", "1"], "not allowed with"),
        (["attach", "--netns", ""], "names no network namespace"),
        (["attach", "--pid", "-1"], "pid"),
        (["attach", "--pid", "zero"], "no process id"),
        (["detach"], "required"),
        (["daemon", "--port", "https"], "invalid int"),
        (["up", "--log-level", "loud"], "invalid choice"),
        (["up", "--multicast", "route"], "invalid choice"),
        (["up", "--multicast-unknown", "snoop"], "invalid choice"),
        (["up", "--multicast-query-interval", "often"], "invalid float"),
        (["multicast"], "required: COMMAND"),
        (["multicast", "weather"], "invalid choice"),
        (
            ["multicast", "members", "10.1.2.3"],
            "'10.1.2.3' is no multicast group; groups are in 224.0.0.0/4 and ff00::/8",
        ),
        (["multicast", "sources", "239.1.1.1/32"], "no address"),
        (["multicast", "members", "ff15::7%eth0"], "no address"),
        (["multicast", "members", "224.0.0.251"], "goes to every port anyway"),
        (["multicast", "join", "ff02::fb", "--host"], "goes to every port anyway"),
        (["multicast", "join", "239.1.1.1"], "one of the arguments --netns --pid --id --host is required"),
        (["multicast", "join", "239.1.1.1", "--host", "--id", "c1"], "not allowed with"),
        (["multicast", "join", "239.1.1.1", "--host", "--ifname", "eth0"], "ripstop0 only"),
        (["multicast", "join", "239.1.1.1", "--host", "--source", "239.1.1.2"], "is a multicast group"),
        (["multicast", "join", "239.1.1.1", "--host", "--source", "0.0.0.0"], "nobody's address"),
        (["multicast", "join", "239.1.1.1", "--host", "--source", "2001:db8::5"], "one is IPv4 and one IPv6"),
        (["multicast", "join", "239.1.1.1", "--host", "--exclude"], "say so with --source"),
        (["multicast", "leave", "239.1.1.1"], "required"),
        (["multicast", "leave", "239.1.1.1", "--host", "--source", "10.32.0.5"], "unrecognized arguments"),
        (["multicast", "trace", "10.32.0.5"], "required: GROUP"),
        (["multicast", "trace", "239.1.1.1", "10.32.0.5"], "first: ripstop multicast trace 10.32.0.5 239.1.1.1"),
        (["multicast", "trace", "10.32.0.5", "10.32.0.6"], "'10.32.0.6' is no multicast group"),
        (["multicast", "trace", "239.1.1.2", "239.1.1.1"], "'239.1.1.2' is a multicast group; a source is"),
        (["multicast", "trace", "10.32.0.5", "ff15::7"], "one is IPv4 and one IPv6"),
        (["multicast", "trace", "10.32.0.5", "224.0.0.5"], "goes to every port anyway"),
        (["multicast", "top", "--seconds", "0"], "no number of seconds within 0.1..3600"),
        (["multicast", "top", "--count", "-1"], "no number of times"),
        (["status", "--run-dir", ""], "an empty path"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    run_dir: Path, capsys: pytest.CaptureFixture[str], words: Sequence[str], complaint: str
) -> None:
    assert main(["--run-dir", str(run_dir), "--state-dir", str(run_dir), *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.startswith("ripstop: ")
    assert err.count("\n") == 1
    assert list(run_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--port", "65535"], "port 65535"),
        (["--range", "10.32.0.0/33"], "10.32.0.0/33"),
        (["--default-subnet", "192.168.0.0/24"], "not within the range"),
        (["--name", "bob"], "16 lower-case hex digits"),
        (["192.0.2.1:x"], "192.0.2.1:x"),
        (["--multicast-query-interval", "1"], "not within 2..31744 seconds"),
    ],
)
def test_an_instance_that_makes_no_sense_is_refused_at_once(
    run_dir: Path, capsys: pytest.CaptureFixture[str], flags: Sequence[str], complaint: str
) -> None:
    assert main(["--run-dir", str(run_dir), "--state-dir", str(run_dir), "up", *flags]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("ripstop: ")
    assert complaint in err
    assert list(run_dir.iterdir()) == []


def test_an_answer_that_makes_no_sense_is_exit_code_1(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(run_dir, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"):
        assert main(["--run-dir", str(run_dir), "status"]) == 1
    assert "is the daemon of another version?" in capsys.readouterr().err


def test_flags_may_stand_before_and_after_the_command(
    fake: FakeDaemon, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = str(fake.run_dir)
    assert main(["--json", "--run-dir", here, "ps"]) == 0
    before = capsys.readouterr().out
    assert main(["ps", "--run-dir", here, "--json"]) == 0
    assert capsys.readouterr().out == before
    assert main(["--run-dir", str(tmp_path), "ps", "--run-dir", here, "--json"]) == 0
    monkeypatch.setenv("RIPSTOP_RUN_DIR", here)
    assert main(["ps"]) == 0
    assert main(["--run-dir", str(tmp_path), "ps"]) == 3


def test_help_and_version_need_no_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "attach" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("ripstop 0.")


def test_version_names_both_sides(fake: FakeDaemon, run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--run-dir", str(run_dir), "version"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "daemon  0.1.0, protocol 1, map layout abcd1234"
    assert main(["--run-dir", str(run_dir), "version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["daemon"] == {"version": "0.1.0", "protocol": 1, "abi": "abcd1234"}


def test_version_without_a_daemon(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--run-dir", str(run_dir), "version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["daemon"] is None


@pytest.mark.parametrize(
    ("words", "foreign"),
    [
        (["--help"], {"msgspec", "http.client", "ripstop.client", "socket", "importlib.metadata", "asyncio"}),
        (["attach", "--help"], {"msgspec", "http.client", "ripstop.client", "asyncio"}),
        (["multicast", "join", "--help"], {"msgspec", "http.client", "ripstop.client", "asyncio"}),
        (["--run-dir", "/nowhere", "multicast", "groups"], {"aiohttp", "pyroute2", "asyncio"}),
        (["--run-dir", "/nowhere", "status"], {"aiohttp", "pyroute2", "asyncio", "sqlite3", "importlib.metadata"}),
        (["--run-dir", "/nowhere", "attach", "--netns", "c1", "10.32.0.5/12"], {"aiohttp", "pyroute2", "asyncio"}),
    ],
)
def test_start_up_loads_only_what_it_needs(words: Sequence[str], foreign: set[str]) -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", *RIPSTOP[1:], *words], capture_output=True, text=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "ripstop.cli.grammar" in loaded
    assert loaded & foreign == set()


def test_a_reader_that_leaves_is_no_error(fake: FakeDaemon) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([*RIPSTOP, "--run-dir", str(fake.run_dir), "ps"], stdout=write, stderr=subprocess.PIPE)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_ctrl_c_ends_without_a_word(run_dir: Path) -> None:
    with answering(run_dir, None) as asked:
        child = subprocess.Popen([*RIPSTOP, "--run-dir", str(run_dir), "status"], stderr=subprocess.PIPE)
        assert asked.wait(10.0)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate()
    assert (child.returncode, err) == (130, b"")
