"""`ripstop dns`: what is asked of the daemon, and what people and programs read."""

from collections.abc import Sequence

import msgspec
import pytest

from ripstop.api.types import DnsStatus, LookupRequest, Name, NameRequest
from ripstop.cli.main import main
from ripstop.core.errors import NotFoundError
from tests.cli.fake_daemon import DNS, NAMES, STATUS, FakeDaemon


def said(fake: FakeDaemon, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what `ripstop` prints."""
    assert main(["--run-dir", str(fake.run_dir), *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize(
    ("words", "call", "request_"),
    [
        (["list"], "names", None),
        (["lookup", "web"], "lookup", LookupRequest("web")),
        (["lookup", "10.32.0.1"], "lookup", LookupRequest("10.32.0.1")),
        (["add", "web"], "add_name", NameRequest("web")),
        (["add", "web", "--container", "c1", "--service", "http/tcp:80", "--service", "dns/udp:53"], "add_name",
         NameRequest("web", "c1", "", ("http/tcp:80", "dns/udp:53"))),
        (["add", "web", "--address", "FD00::0:1"], "add_name", NameRequest("web", "", "fd00::1")),
        (["remove", "web"], "remove_name", NameRequest("web")),
        (["remove", "web", "--container", "c1"], "remove_name", NameRequest("web", "c1")),
    ],
)  # fmt: skip
def test_what_is_asked(fake: FakeDaemon, words: Sequence[str], call: str, request_: msgspec.Struct | None) -> None:
    assert main(["--run-dir", str(fake.run_dir), "dns", *words]) == 0
    assert fake.asked == [(call, request_)]


@pytest.mark.parametrize(
    "words",
    [["add"], ["add", "web", "--container", "c", "--address", "10.0.0.1"], ["add", "web", "--address", "x"],
     ["lookup"], ["nothing"], []],
)  # fmt: skip
def test_what_makes_no_sense_is_not_asked(fake: FakeDaemon, words: Sequence[str]) -> None:
    assert main(["--run-dir", str(fake.run_dir), "dns", *words]) == 2
    assert fake.asked == []


def test_names_are_shown_with_what_is_hidden(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(fake, capsys, "dns", "list") == (
        "NAME  ADDRESS    HOST    CONTAINER  SERVICES     HIDDEN\n"
        "Web   10.32.0.2  h1      c1         http/tcp:80  no\n"
        "web   fd00::3    h3\ufffd[2J  -          -            yes\n"
        "    why: h3\ufffd[2J cannot be reached, so this is not answered\n"
    )
    assert said(fake, capsys, "dns", "remove", "web") == "no names\n"


def test_how_names_are_doing(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(fake, capsys, "status", "dns") == (
        "domain      ripstop.local\n"
        "names       1 with 2 addresses, 1 of them hidden\n"
        "server      pid 77, 1 name; 1 restart, the last as killed by SIGKILL\n"
        "answers on  10.32.0.1 port 53 for 1 min 1 s\n"
        "answers on  192.0.2.9 port 53 not: in use\n"
        "asks        192.0.2.53\n"
        "queries     1,234\n"
        "\n"
        "HOST    NAME              ADDRESSES  HIDDEN\n"
        "h1      00000000000000a1          1  no\n"
        "h3\ufffd[2J  00000000000000a3          1  yes\n"
    )


def test_a_host_that_answers_nobody(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answers["dns"] = DnsStatus("ripstop.local", 0, (), None)
    assert "answers nobody" in said(fake, capsys, "status", "dns")
    assert main(["--run-dir", str(fake.run_dir), "dns", "args"]) == 1
    assert "--no-dns" in capsys.readouterr().err


def test_what_a_container_needs(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(fake, capsys, "dns", "args") == "--dns 10.32.0.1 --dns-search ripstop.local\n"
    assert said(fake, capsys, "dns", "args", "--resolv-conf") == "nameserver 10.32.0.1\nsearch ripstop.local\n"
    assert said(fake, capsys, "dns", "args", "--json") == '{"dns":"10.32.0.1","search":"ripstop.local"}\n'
    fake.answers["status"] = msgspec.structs.replace(STATUS, exposed=())
    assert main(["--run-dir", str(fake.run_dir), "dns", "args"]) == 1
    assert "ripstop expose" in capsys.readouterr().err


def test_json_is_the_answer_itself(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert msgspec.json.decode(said(fake, capsys, "dns", "list", "--json"), type=list[Name]) == NAMES
    assert msgspec.json.decode(said(fake, capsys, "status", "dns", "--json"), type=DnsStatus) == DNS


def test_a_refusal_is_one_line(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answers["lookup"] = NotFoundError("x is not known; `ripstop dns list` shows all names")
    assert main(["--run-dir", str(fake.run_dir), "dns", "lookup", "x"]) == 1
    assert capsys.readouterr().err == "ripstop: x is not known; `ripstop dns list` shows all names\n"
