"""The plugin as one file: what `ripstop cni install` writes.

It has the source, a zero byte, a version of Python, another zero byte, and the code that this version made of it.  The
first line has Python run the code if it is that very version, and the source if not.
"""

import json
import re
import subprocess
from pathlib import Path

MAX_FIRST_LINE = 255  # bytes; what the kernel reads of it since Linux 5.1 (BINPRM_BUF_SIZE)
_PATIENCE = 10.0  # seconds for an interpreter to compile a file
_FIRST_LINE = (
    r"#!{} -IScimport marshal,posix,sys;s,v,c=posix.read(posix.open(sys.argv[1],0),1<<20).split(b'\0',2);"
    "exec(marshal.loads(c)if v==sys.version.encode()else s)\n"
)
_WARNING = "# By `ripstop cni install`.  The code at the end is what runs: no change to this text has any effect.\n"
_COMPILE = r"""
import marshal, sys
code = compile(sys.stdin.buffer.read(), "ripstop-cni", "exec", optimize=2)
sys.stdout.buffer.write(sys.version.encode() + b"\0" + marshal.dumps(code))
"""


def assemble(python: Path, run_dir: Path) -> bytes:
    """Return the plugin, for an interpreter and for the daemon of a run directory.

    Raises:
        ValueError: the interpreter's path is too long for the first line of a script.
    """
    first = _FIRST_LINE.format(python)
    if len(first.encode()) > MAX_FIRST_LINE:
        raise ValueError(f"{python} is too long for the first line of a script")
    here = Path(__file__).parent
    _, _, text = (here / "plugin.py").read_text().partition("\n")
    text = _with(text, "RUN_DIR", json.dumps(str(run_dir)))
    source = (first + _WARNING + _with(text, "REST", f"r'''\n{(here / 'rest.py').read_text()}'''")).encode()
    return source + b"\0" + _compiled(python, source)


def _with(text: str, name: str, value: str) -> str:
    return re.sub(rf'^{name} = ".*?"', lambda _: f"{name} = {value}", text, count=1, flags=re.MULTILINE)


def _compiled(python: Path, source: bytes) -> bytes:
    """Return a version of Python and its code, with a zero byte between them; no version if it does not run here."""
    try:
        done = subprocess.run(
            [python, "-ISc", _COMPILE], input=source, capture_output=True, check=True, timeout=_PATIENCE
        )
    except (OSError, subprocess.SubprocessError):
        return b"\0"  # it is the host's and we are in a container: the host compiles at each start
    return done.stdout
