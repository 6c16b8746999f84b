"""The plugin as one file: what `ripstop cni install` writes."""

import json
import re
from pathlib import Path

MAX_FIRST_LINE = 127  # bytes; what old kernels read of it (BINPRM_BUF_SIZE)


def assemble(python: Path, run_dir: Path) -> str:
    """Return the plugin, for an interpreter and for the daemon of a run directory.

    Raises:
        ValueError: the interpreter's path is too long for the first line of a script.
    """
    first = f"#!{python} -IS\n"
    if len(first.encode()) > MAX_FIRST_LINE:
        raise ValueError(f"{python} is too long for the first line of a script")
    here = Path(__file__).parent
    _, _, text = (here / "plugin.py").read_text().partition("\n")
    text = _with(text, "RUN_DIR", json.dumps(str(run_dir)))
    return first + _with(text, "REST", f"r'''\n{(here / 'rest.py').read_text()}'''")


def _with(text: str, name: str, value: str) -> str:
    return re.sub(rf'^{name} = ".*?"', lambda _: f"{name} = {value}", text, count=1, flags=re.MULTILINE)
