"""The plugin by itself: what it loads, and what it does without a daemon."""

import json
import subprocess
import sys
from pathlib import Path

from ripstop.cni.assembly import script
from tests.cni.conftest import PLUGIN, PYTHON, RUN_DIR, executable
from tests.cni.suite import Runtime


def test_while_all_goes_well_it_loads_nothing_but_what_is_built_in(tmp_path: Path) -> None:
    """Each import is a millisecond or more at the start of every container."""
    text = (
        script(PYTHON, RUN_DIR)
        .decode()
        .replace("    posix._exit(main())", "    posix.write(1, '\\n'.join(sys.modules).encode())")
    )
    path = tmp_path / "plugin.py"
    path.write_text(text)
    loaded = modules(str(path))
    assert "_socket" in loaded
    assert loaded - modules("-c", "import sys; print(*sys.modules, sep='\\n')") <= {"_socket", "posix"}


def test_what_cannot_be_kept_whole_is_not_kept_and_asked_again(tmp_path: Path) -> None:
    asked = {"CNI_COMMAND": "DEL", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "RIPSTOP_RUN_DIR": str(tmp_path)}
    path = executable(tmp_path / "plugin", script(PYTHON, RUN_DIR))
    command = ["/usr/bin/prlimit", "--fsize=10", str(path)]  # bytes of a file: as if the disk were full after that
    done = subprocess.run(command, input=b'{"cniVersion": "1.0.0", "name": "overlay"}', env=asked, capture_output=True)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, 11)
    assert list((tmp_path / "cni").iterdir()) == []


def modules(*words: str) -> set[str]:
    """Return what a program that prints the names of its modules has loaded."""
    done = subprocess.run([sys.executable, "-I", "-S", *words], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_what_is_promised_without_a_daemon_is_kept_whole(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    runtime = Runtime(PLUGIN, {"name": "overlay"}, environment={"RIPSTOP_RUN_DIR": str(run_dir)})
    config = runtime.of("1.1.0")
    for _ in range(2):
        runtime.call("DEL", config, containerid="c1", netns="/run/netns/c1", ifname="eth0").done()
    (kept,) = (run_dir / "cni").iterdir()
    assert kept.name == "c1+eth0"
    assert kept.read_bytes() == b"\0".join([b"DEL", b"c1", b"/run/netns/c1", b"eth0", b"", json.dumps(config).encode()])
    for container, ifname in (("../c1", "eth0"), ("c1", "../eth0"), (".c1", "eth0"), ("", "eth0")):
        runtime.call("DEL", config, containerid=container, netns="", ifname=ifname).refused(4)
    runtime.call("DEL", "{", containerid="c1", netns="", ifname="eth0").refused(6)
    assert [entry.name for entry in (run_dir / "cni").iterdir()] == ["c1+eth0"]
