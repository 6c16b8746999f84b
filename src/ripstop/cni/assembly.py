"""The plugin as one file: what `ripstop cni install` writes.

It is the courier, a native program, with the plugin in Python in it (native/courier.c says why).  Where there is no
courier for a machine, it is the plugin in Python alone, a script.
"""

import json
import os
import re
import struct
from pathlib import Path

from ripstop.cni.plugin import MAX_CONFIG, TIME_LIMIT
from ripstop.cni.rest import VERSIONS

MAX_FIRST_LINE = 255  # bytes; what the kernel reads of it since Linux 5.1 (BINPRM_BUF_SIZE)
_WARNING = "# Written by `ripstop cni install`.\n"
_MARK = b"ripstop-luggage\0"
_ROOM = {"run_dir": 104, "python": 256, "latest": 16, "versions": 80, "script": 65536}  # bytes, with a zero at the end
_LUGGAGE = struct.Struct("=16s {run_dir}s {python}s {latest}s {versions}s 3I {script}s".format(**_ROOM))  # courier.c


def assemble(python: Path, run_dir: Path, *, machine: str = os.uname().machine, time_limit: int = TIME_LIMIT) -> bytes:
    """Return the plugin: the courier with the script in it, or the script alone.

    Args:
        python: interpreter of the script, as it is called on the host.
        run_dir: of the daemon that is asked.
        machine: name of the processor's architecture, as the kernel tells it.
        time_limit: seconds without an answer.

    Raises:
        ValueError: a path is too long.
    """
    whole = script(python, run_dir, time_limit)
    try:
        courier = (Path(__file__).parent / "objects" / f"courier-{machine}").read_bytes()
    except FileNotFoundError:
        return whole
    before, mark, after = courier.partition(_MARK)
    luggage = _LUGGAGE.pack(
        mark, _fitting("run_dir", str(run_dir)), _fitting("python", str(python)), _fitting("latest", VERSIONS[-1]),
        _fitting("versions", json.dumps(VERSIONS)), time_limit, MAX_CONFIG, len(whole),
        _fitting("script", whole.decode()),
    )  # fmt: skip
    return before + luggage + after[len(luggage) - len(mark) :]


def script(python: Path, run_dir: Path, time_limit: int = TIME_LIMIT) -> bytes:
    """Return the plugin in Python.

    Raises:
        ValueError: the interpreter's path is too long for the first line of a script.
    """
    first = f"#!{python} -IS\n"
    if len(first.encode()) > MAX_FIRST_LINE:
        raise ValueError(f"{python} is too long for the first line of a script")
    here = Path(__file__).parent
    _, _, text = (here / "plugin.py").read_text().partition("\n")
    for name, value in (
        ("RUN_DIR", json.dumps(str(run_dir))),
        ("TIME_LIMIT", str(time_limit)),
        ("REST", f"r'''\n{(here / 'rest.py').read_text()}'''"),
    ):
        text = _with(text, name, value)
    return (first + _WARNING + text).encode()


def _with(text: str, name: str, value: str) -> str:
    return re.sub(rf'^{name} = (".*?"|\d+)', lambda _: f"{name} = {value}", text, count=1, flags=re.MULTILINE)


def _fitting(name: str, text: str) -> bytes:
    content = text.encode()
    if len(content) >= _ROOM[name]:
        raise ValueError(f"{name} {text[:200]}: longer than {_ROOM[name] - 1} bytes")
    return content
