"""The grammar: defaults, paths, and that what `up` hands on is what was typed."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ripstop.cli import arguments, instance
from ripstop.cli.grammar import build
from ripstop.daemon.config import Config


@pytest.mark.parametrize("command", ["daemon", "up"])
def test_defaults_are_the_daemons_own(command: str) -> None:
    assert instance.make_config(build().parser.parse_args([command])) == Config()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["192.0.2.1", "192.0.2.2:7000"],
        ["--name", "00000000000000a1", "--nickname", "- h 1", "--range", "10.40.0.0/16", "--port", "7000"],
        ["--default-subnet", "10.33.0.0/16", "--advertise", "192.0.2.1", "--advertise", "192.0.2.9"],
        ["--mtu", "1400", "--no-discovery", "--init", "seed=00000000000000a1", "--log-level", "debug", "h2"],
        ["--run-dir", "here", "--state-dir", "/there"],
        ["--multicast", "flood", "--multicast-unknown", "flood", "--multicast-query-interval", "2.5"],
        ["--no-dns", "--dns-domain", "net.example", "--dns-ttl", "30", "--dns-resolv-conf", "resolv.conf"],
        ["--dns-listen", "192.0.2.1", "--dns-listen", "[fd00::1]:5353", "--dns-allow", "192.0.2.0/24"],
    ],
)
def test_up_hands_on_what_was_typed(words: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parser = build().parser
    typed = instance.make_config(parser.parse_args(["up", *words]))
    monkeypatch.chdir(tmp_path)  # the daemon has another current directory
    assert instance.make_config(parser.parse_args(["daemon", *instance.arguments(typed)])) == typed


def test_the_environment_replaces_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIPSTOP_RUN_DIR", "/a")
    monkeypatch.setenv("RIPSTOP_STATE_DIR", "/b")
    args = build().parser.parse_args(["status"])
    assert (args.run_dir, args.state_dir) == (Path("/a"), Path("/b"))
    args = build().parser.parse_args(["--run-dir", "/c", "status", "--state-dir", "/d"])
    assert (args.run_dir, args.state_dir) == (Path("/c"), Path("/d"))


def test_netns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert arguments.netns("c1") == "/run/netns/c1"
    assert arguments.netns("./link/c1") == f"{tmp_path}/real/c1"
    assert arguments.netns(f"{tmp_path}/link/c1") == f"{tmp_path}/real/c1"
    assert arguments.netns("/proc/1/ns/net") == "/proc/1/ns/net"


def test_how_long_to_wait() -> None:
    parse = build().parser.parse_args
    assert parse(["status"]).wait is None
    assert parse(["status", "--wait"]).wait == 30.0
    assert parse(["status", "peers", "--wait", "0"]).wait == 0.0
    assert parse(["attach", "--netns", "c1"]).wait == 10.0
