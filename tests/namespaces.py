"""Network namespaces for tests: made, entered, and gone at the end whatever happens."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4


@contextlib.contextmanager
def namespace(label: str = "ns") -> Iterator[Path]:
    """Yield the path of a new network namespace; deleting it deletes every device in it."""
    name = f"rt-{uuid4().hex[:8]}-{label}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield Path("/run/netns", name)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False)


def inside(path: Path, *command: str, check: bool = True) -> str:
    """Run a command in a namespace without remounting /sys; return what it printed."""
    done = subprocess.run(["nsenter", f"--net={path}", *command], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} in {path.name}: {done.stderr or done.stdout}")
    return done.stdout
