"""`ripstop attach`, `detach`, `expose`, `hide`, `connect`, `forget`: what is asked of the daemon."""

from collections.abc import Sequence

import msgspec
import pytest

from ripstop.api.types import AttachRequest, DetachRequest, ExposeRequest, TargetsRequest
from ripstop.cli.main import main
from tests.cli.fake_daemon import PORT, FakeDaemon


@pytest.mark.parametrize(
    ("words", "call", "request_"),
    [
        (["attach", "--netns", "c1"], "attach", AttachRequest("/run/netns/c1")),
        (["attach", "--netns", "/run/netns/c1", "10.32.0.5/12", "net:10.40.0.0/16", "net:default"], "attach",
         AttachRequest("/run/netns/c1", addresses=("10.32.0.5/12", "net:10.40.0.0/16", "net:default"))),
        (["attach", "10.32.0.5/12", "--netns", "c1"], "attach",
         AttachRequest("/run/netns/c1", addresses=("10.32.0.5/12",))),
        (["attach", "--pid", "42", "--ifname", "ethwe", "--gateway", "--no-multicast-route", "--id", "web",
          "--wait", "2.5"], "attach", AttachRequest("/proc/42/ns/net", "ethwe", (), True, False, "web", 2.5)),
        (["detach", "--netns", "c1", "--ifname", "eth1"], "detach", DetachRequest("/run/netns/c1", "", "eth1")),
        (["detach", "--pid", "42"], "detach", DetachRequest("/proc/42/ns/net")),
        (["detach", "--id", "web"], "detach", DetachRequest(container="web")),
        (["expose"], "expose", ExposeRequest()),
        (["expose", "--no-masquerade", "10.32.0.1/12", "--wait", "1"], "expose",
         ExposeRequest(("10.32.0.1/12",), False, 1.0)),
        (["hide"], "hide", None),
        (["connect", "192.0.2.2", "h3:7000"], "connect", TargetsRequest(("192.0.2.2", "h3:7000"))),
        (["connect", "--replace", "192.0.2.2"], "connect", TargetsRequest(("192.0.2.2",), True)),
        (["forget", "192.0.2.2"], "forget", TargetsRequest(("192.0.2.2",))),
    ],
)  # fmt: skip
def test_what_is_asked(fake: FakeDaemon, words: Sequence[str], call: str, request_: msgspec.Struct | None) -> None:
    assert main(["--run-dir", str(fake.run_dir), *words]) == 0
    assert fake.asked == [(call, request_)]


def test_addresses_come_one_a_line(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answers["attach"] = msgspec.structs.replace(PORT, addresses=("10.32.0.2/12", "192.168.7.1/24"))
    assert main(["--run-dir", str(fake.run_dir), "attach", "--netns", "c1"]) == 0
    assert capsys.readouterr().out == "10.32.0.2/12\n192.168.7.1/24\n"
    assert main(["--run-dir", str(fake.run_dir), "expose"]) == 0
    assert capsys.readouterr().out == "10.32.0.1/12\n"


def test_nothing_attached(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answers["ports"] = []
    assert main(["--run-dir", str(fake.run_dir), "ps"]) == 0
    assert capsys.readouterr().out == "no containers attached\n"
