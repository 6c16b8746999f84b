"""Small pieces of formatting."""

import io
from contextlib import redirect_stdout

import pytest

from ripstop.cli.output import (
    BAD,
    GOOD,
    Column,
    count,
    duration,
    paint,
    print_fields,
    print_json,
    print_table,
    safe,
)


class Terminal(io.StringIO):
    """Standard output as a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (7325, "2 h 2 min"),
        (86400, "1 d"),
        (93784, "1 d 2 h"),
        (1_000_000, "11 d 13 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_count() -> None:
    assert [count(n, "packet") for n in (0, 1, 2, 1234)] == ["0 packets", "1 packet", "2 packets", "1,234 packets"]
    assert [count(n, "address", "addresses") for n in (1, 2)] == ["1 address", "2 addresses"]


def test_safe_leaves_text_and_disarms_control_characters() -> None:
    assert safe("h\N{LATIN SMALL LETTER U WITH DIAERESIS}ndin 1") == "h\N{LATIN SMALL LETTER U WITH DIAERESIS}ndin 1"
    assert safe("a\x1b[31m\nb\u202e") == "a\ufffd[31m\ufffdb\ufffd"


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": "x\ny", "b": (1, 2)})
    assert capsys.readouterr().out == '{"a":"x\\ny","b":[1,2]}\n'


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("h1", "7", "up"), ("longer", "1,200", ""), ("h3", "", "down")]
    print_table((Column("HOST"), Column("N", ">"), Column("STATE")), rows, empty="none", whys=["", "", "cut"])
    assert capsys.readouterr().out == (
        "HOST        N  STATE\n"
        "h1          7  up\n"
        "longer  1,200  -\n"
        "h3          -  down\n"
        "    why: cut\n"
    )  # fmt: skip


def test_table_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table((Column("HOST"),), [], empty="no hosts")
    assert capsys.readouterr().out == "no hosts\n"


def test_fields(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("host", "h1"), ("problems", "2"), ("", "one"), ("", "two"), ("drops", "")])
    assert capsys.readouterr().out == "host      h1\nproblems  2\n          one\n          two\ndrops\n"


def test_colours_on_a_terminal_keep_the_columns(terminal: Terminal) -> None:
    with redirect_stdout(terminal):
        print_table((Column("STATE", colours={"up": GOOD}), Column("X")), [("up", "1"), ("down", "2")], empty="")
    assert terminal.getvalue() == "STATE  X\n\x1b[32mup   \x1b[0m  1\ndown   2\n"


def test_reasons_are_coloured_and_disarmed(terminal: Terminal) -> None:
    with redirect_stdout(terminal):
        print_table((Column("X"),), [("1",)], empty="", whys=["cut\x1b[2J"])
    assert terminal.getvalue() == "X\n1\n    why: \x1b[33mcut\ufffd[2J\x1b[0m\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colours_where_they_are_not_wanted(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with redirect_stdout(terminal):
        assert paint("x", BAD) == "\x1b[31mx\x1b[0m"
        monkeypatch.setenv(name, value)
        assert paint("x", BAD) == "x"


def test_no_colours_in_a_pipe(terminal: Terminal) -> None:
    with redirect_stdout(io.StringIO()):
        assert paint("x", BAD) == "x"
