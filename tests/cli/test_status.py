"""`ripstop status`: what people read, and waiting."""

import msgspec
import pytest

from ripstop.cli.main import main
from ripstop.core.errors import NotReadyError
from tests.cli.fake_daemon import IPAM, STATUS, FakeDaemon


def test_a_host_at_a_glance(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answers["status"] = msgspec.structs.replace(
        STATUS, pid=4711, settled=False, waiting=("h3 is unreachable", "192.0.2.9 was not tried yet")
    )
    assert main(["--run-dir", str(fake.run_dir), "status"]) == 0
    assert capsys.readouterr().out == (
        "host        h1 (00000000000000a1), short id 7, incarnation 3\n"
        "daemon      ripstop 0.1.0, pid 4711, up 1 d 2 h\n"
        "underlay    192.0.2.1; TCP 6783, UDP 6784\n"
        "encryption  none: set a password to encrypt\n"
        "overlay     10.32.0.0/12, MTU 1450\n"
        "peers       2 known, 1 reachable, 1 connection\n"
        "containers  1\n"
        "exposed     10.32.0.1/12\n"
        "settled     no\n"
        "            waiting: h3 is unreachable\n"
        "            waiting: 192.0.2.9 was not tried yet\n"
        "problems    1\n"
        "            192.0.2.3: no path\n"
        "drops       1,203 packets\n"
        "            1,200  unknown vtep\n"
        "                3  ttl expired\n"
    )


def test_a_host_alone_and_well(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answers["status"] = msgspec.structs.replace(
        STATUS, addresses=(), mtu=0, peers=0, reachable=0, connections=0, exposed=(), drops=(), problems=()
    )
    assert main(["--run-dir", str(fake.run_dir), "status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "underlay    no address; TCP 6783, UDP 6784" in lines
    assert "overlay     10.32.0.0/12, MTU -" in lines
    assert lines[-4:] == ["exposed     no", "settled     yes", "problems    none", "drops       none"]


def test_connections_say_why(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--run-dir", str(fake.run_dir), "status", "connections"]) == 0
    assert capsys.readouterr().out == (
        "PEER  ADDRESS         DIRECTION  CONTROL      PATH   PATH ADDRESS   MTU      RTT\n"
        "h2    192.0.2.2:6783  outbound   established  vxlan  192.0.2.2     1450  0.21 ms\n"
        "h3    192.0.2.3:6783  outbound   closed       none   -                -        -\n"
        "    why: connection refused\n"
    )


def test_ipam_before_the_first_ring(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answers["ipam"] = msgspec.structs.replace(
        IPAM, ready=False, why="2 of 3 hosts are here", free=0, peers=(), allocations=(), pending=(), contested=()
    )
    assert main(["--run-dir", str(fake.run_dir), "status", "ipam"]) == 0
    assert capsys.readouterr().out == (
        "range      10.32.0.0/12\n"
        "ready      no: 2 of 3 hosts are here\n"
        "free here  0 addresses\n"
        "ring       none yet\n"
        "\n"
        "nobody owns addresses yet\n"
        "\n"
        "no address in use on this host\n"
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [("peers", "no peers"), ("connections", "no connections"), ("routes", "no other peer"), ("targets", "no targets")],
)
def test_an_empty_list_is_said(fake: FakeDaemon, capsys: pytest.CaptureFixture[str], call: str, words: str) -> None:
    fake.answers[call] = []
    assert main(["--run-dir", str(fake.run_dir), "status", call]) == 0
    assert words in capsys.readouterr().out


def test_wait_ends_when_the_host_is_settled(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    unsettled = msgspec.structs.replace(STATUS, settled=False, waiting=("h2 is unreachable",))
    answers = [unsettled, unsettled, STATUS]

    async def settling() -> object:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    fake.answers["status"] = settling
    assert main(["--run-dir", str(fake.run_dir), "status", "routes", "--wait"]) == 0
    assert capsys.readouterr().out.startswith("PEER")
    assert [name for name, _ in fake.asked] == ["status", "status", "status", "routes"]


def test_wait_gives_up_with_the_reasons(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answers["status"] = msgspec.structs.replace(STATUS, settled=False, waiting=("h2 is unreachable", "no MTU yet"))
    assert main(["--run-dir", str(fake.run_dir), "status", "--wait", "0.1", "--json"]) == 1
    out, err = capsys.readouterr()
    assert msgspec.json.decode(out)["settled"] is False
    assert err == (
        "ripstop: not settled within 0.1 s: h2 is unreachable\nripstop: not settled within 0.1 s: no MTU yet\n"
    )


def test_wait_without_a_daemon_gives_up(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--run-dir", str(fake.run_dir / "other"), "status", "--wait", "0.1"]) == 3
    assert "no daemon" in capsys.readouterr().err


def test_wait_passes_a_refusal_on(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answers["status"] = NotReadyError("the daemon is stopping")
    assert main(["--run-dir", str(fake.run_dir), "status", "--wait", "0.1"]) == 1
    assert capsys.readouterr().err == "ripstop: the daemon is stopping\n"
