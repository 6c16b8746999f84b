"""The tables of the RFCs, a case per row, as they are written there; evaluated on sets that meet in every way."""

import re

import pytest

from ripstop.core.multicast.filters import Mode
from ripstop.core.multicast.messages import Kind
from ripstop.core.multicast.table import NONE, Sources, Step, step
from ripstop.core.names import SourceIp

# Old state, record, new state, actions: RFC 3376, sections 6.4.1 and 6.4.2, and RFC 3810, sections 7.4.1 and 7.4.2.
ROWS = """
INCLUDE (A)   | IS_IN (B) | INCLUDE (A+B)       | (B)=GMI
INCLUDE (A)   | IS_EX (B) | EXCLUDE (A*B,B-A)   | (B-A)=0; Delete (A-B); Group Timer=GMI
EXCLUDE (X,Y) | IS_IN (A) | EXCLUDE (X+A,Y-A)   | (A)=GMI
EXCLUDE (X,Y) | IS_EX (A) | EXCLUDE (A-Y,Y*A)   | (A-X-Y)=GMI; Delete (X-A); Delete (Y-A); Group Timer=GMI
INCLUDE (A)   | ALLOW (B) | INCLUDE (A+B)       | (B)=GMI
INCLUDE (A)   | BLOCK (B) | INCLUDE (A)         | Send Q(G,A*B)
INCLUDE (A)   | TO_EX (B) | EXCLUDE (A*B,B-A)   | (B-A)=0; Delete (A-B); Send Q(G,A*B); Group Timer=GMI
INCLUDE (A)   | TO_IN (B) | INCLUDE (A+B)       | (B)=GMI; Send Q(G,A-B)
EXCLUDE (X,Y) | ALLOW (A) | EXCLUDE (X+A,Y-A)   | (A)=GMI
EXCLUDE (X,Y) | BLOCK (A) | EXCLUDE (X+(A-Y),Y) | (A-X-Y)=Group Timer; Send Q(G,A-Y)
EXCLUDE (X,Y) | TO_EX (A) | EXCLUDE (A-Y,Y*A)   | (A-X-Y)=Group Timer; Delete (X-A); Delete (Y-A); Send Q(G,A-Y); Group Timer=GMI
EXCLUDE (X,Y) | TO_IN (A) | EXCLUDE (X+A,Y-A)   | (A)=GMI; Send Q(G,X-A); Send Q(G)
"""  # noqa: E501 - as wide as the tables are
LISTED = [tuple(cell.strip() for cell in row.split("|")) for row in ROWS.strip().splitlines()]


def sources(numbers: str) -> Sources:
    return frozenset(SourceIp(bytes([10, 0, 0, int(number)])) for number in numbers)


def evaluate(expression: str, sets: dict[str, Sources]) -> Sources:
    """Work out an expression such as `X+(A-Y)`, from left to right."""
    tokens = re.findall(r"[ABXY()+*-]", expression)

    def term() -> Sources:
        token = tokens.pop(0)
        if token != "(":
            return sets[token]
        value = total()
        assert tokens.pop(0) == ")"
        return value

    def total() -> Sources:
        value = term()
        while tokens and tokens[0] != ")":
            match tokens.pop(0):
                case "+":
                    value |= term()
                case "-":
                    value -= term()
                case "*":
                    value &= term()
        return value

    return total()


def expected(row: tuple[str, ...], sets: dict[str, Sources]) -> Step:
    _, _, new, actions = row
    mode, lists = new.split(" ", 1)
    parts = [evaluate(part, sets) for part in lists.strip().removeprefix("(").removesuffix(")").split(",")]
    named = {"GMI": NONE, "Group Timer": NONE, "asked": NONE}
    for action in actions.split("; "):
        if action in ("Send Q(G)", "Group Timer=GMI"):
            continue
        if match := re.fullmatch(r"Send Q\(G,(.*)\)", action):
            named["asked"] = evaluate(match[1], sets)
        elif match := re.fullmatch(r"\((.*)\)=(GMI|Group Timer|0)", action):
            if match[2] == "0":
                assert evaluate(match[1], sets) == parts[1]
            else:
                named[match[2]] = evaluate(match[1], sets)
        else:
            match = re.fullmatch(r"Delete \((.*)\)", action)
            assert match
            assert not evaluate(match[1], sets) & frozenset().union(*parts)
    return Step(
        Mode[mode],
        requested=parts[0],
        excluded=parts[1] if len(parts) > 1 else NONE,
        renewed=named["GMI"],
        inherited=named["Group Timer"],
        asked=named["asked"],
        asks_group="Send Q(G)" in actions.split("; "),
        renews_group="Group Timer=GMI" in actions.split("; "),
    )


@pytest.mark.parametrize("row", LISTED, ids=lambda row: f"{row[0]} {row[1]}")
@pytest.mark.parametrize(
    ("requested", "excluded", "said"), [("123", "456", "2357"), ("12", "3", ""), ("", "", "45"), ("12", "34", "1234")]
)
def test_row(row: tuple[str, ...], requested: str, excluded: str, said: str) -> None:
    old, record, _, _ = row
    mode, kind = Mode[old.split()[0]], Kind[record.split()[0]]
    x, y, a = sources(requested), sources(excluded) if mode is Mode.EXCLUDE else NONE, sources(said)
    sets = {"A": x, "B": a} if mode is Mode.INCLUDE else {"X": x, "Y": y, "A": a}
    assert step(mode, kind, x, y, a) == expected(row, sets)


def test_every_state_has_a_row_for_every_record() -> None:
    assert {(row[0].split()[0], row[1].split()[0]) for row in LISTED} == {
        (mode.name, kind.name) for mode in Mode for kind in Kind
    }
