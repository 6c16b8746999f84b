"""docs/cli.md says what the program says, and docs/operations.md knows every drop reason."""

import re
from pathlib import Path

import pytest

from ripstop.api.routes import CALLS, Call
from ripstop.cli.grammar import build
from ripstop.kernel.abi import DropReason

DOCS = Path(__file__).parents[2] / "docs"


def words(text: str) -> str:
    """Return text with all blanks alike: where lines break is up to the version of Python."""
    return " ".join(text.split())


def section(heading: str) -> str:
    """Return one section of docs/cli.md."""
    found = re.search(
        rf"^##+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", (DOCS / "cli.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"docs/cli.md has no section {heading}"
    return found[1]


def test_the_program_itself() -> None:
    shown = build().parser.format_help()
    assert words(shown) in words(section("ripstop")), f"put this into docs/cli.md:\n{shown}"


@pytest.mark.parametrize("command", build().commands)
def test_every_command_has_its_help(command: str) -> None:
    shown = build().commands[command].format_help()
    assert words(shown) in words(section(f"ripstop {command}")), f"put this into docs/cli.md:\n{shown}"


def test_no_command_that_is_gone() -> None:
    described = re.findall(r"^##+ ripstop (\w+(?: \w+)?)$", (DOCS / "cli.md").read_text(), re.MULTILINE)
    assert described == [*build().commands, "lab"]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: str(call.name))
def test_every_call_of_the_api(call: Call) -> None:
    assert re.search(rf"\| `{call.method} {call.path}` \|.*\| {re.escape(call.summary)} \|", section("The API"))


@pytest.mark.parametrize("reason", DropReason, ids=lambda reason: str(reason.name))
def test_every_drop_reason(reason: DropReason) -> None:
    assert f"\n| `{reason.name.lower()}` | " in (DOCS / "operations.md").read_text()
