"""The plugin as one file: what `ripstop cni install` writes.

It is the courier, a native program, with the plugin in Python in it (native/courier.c says why).  Where there is no
courier for a machine, it is the plugin in Python alone, a script.

The script has the source, a zero byte, a version of Python, another zero byte, and the code that this version made of
it.  The first line has Python run the code if it is that very version, and the source if not.
"""

import json
import os
import re
import struct
import subprocess
from pathlib import Path

from ripstop.cni.plugin import MAX_CONFIG, TIME_LIMIT
from ripstop.cni.rest import VERSIONS

MAX_FIRST_LINE = 255  # bytes; what the kernel reads of it since Linux 5.1 (BINPRM_BUF_SIZE)
_PATIENCE = 10.0  # seconds for an interpreter to compile a file
_OPTION = (
    r"-IScimport marshal,posix,sys;s,v,c=posix.read(posix.open(sys.argv[1],0),1<<20).split(b'\0',2);"
    "exec(marshal.loads(c)if v==sys.version.encode()else s)"
)
_WARNING = "# By `ripstop cni install`.  The code at the end is what runs: no change to this text has any effect.\n"
_COMPILE = r"""
import marshal, sys
code = compile(sys.stdin.buffer.read(), "ripstop-cni", "exec", optimize=2)
sys.stdout.buffer.write(sys.version.encode() + b"\0" + marshal.dumps(code))
"""
_MARK = b"ripstop-luggage\0"
_LUGGAGE = struct.Struct("=16s104s256s256s16s80s3I65536s")  # as in native/courier.c


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
    return _packed(courier, python, run_dir, time_limit, whole)


def script(python: Path, run_dir: Path, time_limit: int = TIME_LIMIT) -> bytes:
    """Return the plugin in Python.

    Raises:
        ValueError: the interpreter's path is too long for the first line of a script.
    """
    first = f"#!{python} {_OPTION}\n"
    if len(first.encode()) > MAX_FIRST_LINE:
        raise ValueError(f"{python} is too long for the first line of a script")
    here = Path(__file__).parent
    _, _, text = (here / "plugin.py").read_text().partition("\n")
    text = _with(_with(text, "RUN_DIR", json.dumps(str(run_dir))), "TIME_LIMIT", str(time_limit))
    source = (first + _WARNING + _with(text, "REST", f"r'''\n{(here / 'rest.py').read_text()}'''")).encode()
    return source + b"\0" + _compiled(python, source)


def _packed(courier: bytes, python: Path, run_dir: Path, time_limit: int, whole: bytes) -> bytes:
    """Return the courier with all that it needs."""
    before, mark, after = courier.partition(_MARK)
    words = (str(run_dir), str(python), _OPTION, VERSIONS[-1], json.dumps(VERSIONS))
    texts = [_fitting(word.encode(), room) for word, room in zip(words, (104, 256, 256, 16, 80), strict=True)]
    luggage = _LUGGAGE.pack(mark, *texts, time_limit, MAX_CONFIG, len(whole), _fitting(whole, 65536))
    return before + luggage + after[len(luggage) - len(mark) :]


def _fitting(content: bytes, room: int) -> bytes:
    if len(content) >= room:
        raise ValueError(f"{content[:200].decode()}: longer than {room - 1} bytes")
    return content


def _with(text: str, name: str, value: str) -> str:
    return re.sub(rf'^{name} = (".*?"|\d+)', lambda _: f"{name} = {value}", text, count=1, flags=re.MULTILINE)


def _compiled(python: Path, source: bytes) -> bytes:
    """Return a version of Python and its code, with a zero byte between them; no version if it does not run here."""
    try:
        done = subprocess.run(
            [python, "-ISc", _COMPILE], input=source, capture_output=True, check=True, timeout=_PATIENCE
        )
    except (OSError, subprocess.SubprocessError):
        return b"\0"  # it is the host's and we are in a container: the host compiles at each start
    return done.stdout
