"""How things look: plain aligned text for people, one line of JSON for programs."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

Answer = TypeVar("Answer")

GOOD, BAD, DOUBTFUL, QUIET = "32", "31", "33", "2"  # green, red, yellow, grey; ECMA-48, section 8.3.117


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    heading: str
    align: str = "<"  # or ">", for numbers
    colours: Mapping[str, str] = field(default_factory=dict)  # of cells that hold just this word


def paint(text: str, colour: str) -> str:
    """Return text in a colour, or as it is for a pipe, a dumb terminal or `NO_COLOR` (no-color.org)."""
    if not (text and colour and sys.stdout.isatty()):
        return text
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def present(answer: Answer, show: Callable[[Answer], None], *, json: bool) -> None:
    """Print an answer: by `show` for people, else as JSON."""
    if json:
        print_json(answer)
    else:
        show(answer)


def print_json(value: object) -> None:
    """Print a value as one line."""
    print(msgspec.json.encode(value).decode())


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], empty: str, whys: Sequence[str] = ()) -> None:
    """Print rows under headings, each followed by its reason if it has one; `empty` when there are no rows."""
    if not rows:
        print(empty)
        return
    lines = [[safe(cell) or "-" for cell in row] for row in rows]
    widths = [max(len(column.heading), *(len(line[i]) for line in lines)) for i, column in enumerate(columns)]
    print(_line([column.heading for column in columns], columns, widths))
    for i, line in enumerate(lines):
        print(_line(line, columns, widths))
        if i < len(whys) and whys[i]:
            print(f"    why: {paint(safe(whys[i]), DOUBTFUL)}")


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print names and values, the values below one another; an empty name continues the one before."""
    listed = list(fields)
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        print(f"{name:<{width}}  {value}".rstrip())


def safe(text: str) -> str:
    """Return text that cannot move the cursor or change colours: nicknames and errors come from other hosts."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def duration(seconds: float) -> str:
    """Return a span of time in its two largest units."""
    minutes, whole = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (whole, "s")]
    first = next((i for i, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun; `many` where an s is not enough."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = [
        paint(f"{cell:{column.align}{width}}", column.colours.get(cell, ""))
        for cell, column, width in zip(cells, columns, widths, strict=True)
    ]
    return "  ".join(padded).rstrip()
