"""Where pins live, on a machine that has no bpffs yet."""

import subprocess
import sys

ONE = """
import os, sys
from ripstop.kernel import bpffs
print("ready", flush=True)
sys.stdin.read()
mine = bpffs.pin_directory() / str(os.getpid())
mine.mkdir()
print(mine)
"""
ALL = f"""
import subprocess, sys
from pathlib import Path
subprocess.run(["umount", "/sys/fs/bpf"], stderr=subprocess.DEVNULL)
assert not Path("/sys/fs/bpf/ripstop").exists()
started = [
    subprocess.Popen([sys.executable, "-c", {ONE!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for _ in range(8)
]
assert [one.stdout.readline() for one in started] == ["ready\\n"] * 8
for one in started:
    one.stdin.close()
made = [Path(one.stdout.read().strip()) for one in started]
assert [one.wait() for one in started] == [0] * 8
assert [path.is_dir() for path in made] == [True] * 8, made
for path in made:
    path.rmdir()
"""


def test_daemons_that_start_at_once_mount_one() -> None:
    """In a mount and a PID namespace of its own, so that no ancestor has a bpffs to show either."""
    command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", sys.executable, "-c", ALL]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
