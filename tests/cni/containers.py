"""Debian's containerd on a pretend host, with an image made on the spot, and everything of it in one directory.

containerd and its command `ctr` run in the network namespace of the host, in a mount namespace of their own where
`/opt/cni/bin` and `/etc/cni/net.d` are the host's: that is where `ctr` looks, and nowhere else.
"""

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from ripstop.lab.host import Host

IMAGE = "localhost/busybox:test"
BUSYBOX = Path("/bin/busybox")  # of busybox-static
CONTROL_GROUPS = Path("/sys/fs/cgroup")
TIME_LIMIT = 60.0  # seconds
_NATIVE = ("--snapshotter", "native")  # copies, which any file system can do
CONFIG = """
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.internal.v1.opt"{disabled}]
[grpc]
  address = "{directory}/containerd.sock"
"""
MOUNTS = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /opt
mkdir -p /opt/cni/bin /opt/upper /opt/work
mount --bind {directory}/bin /opt/cni/bin
mount -t overlay overlay -o lowerdir=/etc,upperdir=/opt/upper,workdir=/opt/work /etc
mkdir -p /etc/cni/net.d
mount --bind {directory}/net.d /etc/cni/net.d
"""


def make_directories(directory: Path) -> None:
    """Make what `MOUNTS` mounts: Debian's plugins, and no network yet."""
    for made in (directory / "bin", directory / "net.d"):
        made.mkdir(parents=True)
    for plugin in Path("/usr/lib/cni").iterdir():
        (directory / "bin" / plugin.name).symlink_to(plugin)


class Containerd:
    """One containerd."""

    def __init__(self, host: Host, directory: Path) -> None:
        self._host, self._directory = host, directory
        self.bin_dir, self.config_dir = directory / "bin", directory / "net.d"
        make_directories(directory)
        self._config = directory / "config.toml"
        self._config.write_text(CONFIG.format(directory=directory, disabled=', "io.containerd.grpc.v1.cri"'))
        self._process: subprocess.Popen[bytes] | None = None
        self._running: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._directory / "containerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command("containerd", "--config", str(self._config)), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        deadline = time.monotonic() + TIME_LIMIT
        while self.ctr("version", check=False).returncode:
            said = (self._directory / "containerd.log").read_text()[-500:]
            assert self._process.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it; containers live on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def ctr(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run one command of `ctr` to its end."""
        done = subprocess.run(self._command(*self._ctr(*words)), capture_output=True, text=True, check=False,
                              timeout=TIME_LIMIT)  # fmt: skip
        assert not check or done.returncode == 0, done.stderr
        return done

    def load(self, image: Path) -> None:
        """Load the image."""
        self.ctr("images", "import", "--snapshotter", "native", str(image))

    def run(self, name: str, *flags: str) -> "subprocess.Popen[str]":
        """Start a container that does nothing until it is told to end; wait until it has its interface."""
        process = subprocess.Popen(
            self._command(*self._ctr("run", "--cni", *flags, *_NATIVE, IMAGE, name, "/bin/sleep", "600")),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._running.append(process)
        deadline = time.monotonic() + TIME_LIMIT
        while "eth0" not in self.inside(name, "ip", "-o", "link", "show", "up").stdout:
            if process.poll():
                raise AssertionError(process.communicate()[0])
            assert time.monotonic() < deadline, "no interface"
            time.sleep(0.05)
        return process

    def inside(self, name: str, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in a container."""
        return self.ctr("tasks", "exec", "--exec-id", uuid4().hex[:8], name, "/bin/busybox", *command, check=False)

    def address(self, name: str) -> str:
        """Return a container's address."""
        shown = self.inside(name, "ip", "-o", "-4", "address", "show", "dev", "eth0").stdout
        return shown.split("inet ")[1].split("/")[0]

    def end(self, name: str, process: "subprocess.Popen[str]") -> None:
        """End a container and wait until `ctr` has had its interface removed."""
        self.ctr("tasks", "kill", "--signal", "SIGKILL", name)
        out, _ = process.communicate(timeout=TIME_LIMIT)
        assert "cni" not in out, out

    def close(self) -> None:
        """End all containers, and containerd."""
        if self._process is None:
            return
        if self._process.poll() is None:
            for name in self.ctr("tasks", "list", "-q", check=False).stdout.split():
                self.ctr("tasks", "kill", "--signal", "SIGKILL", name, check=False)
        for process in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10.0)
            process.kill()
            process.wait()
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(TIME_LIMIT)
        for shim in Path("/proc").glob("[0-9]*"):  # of containers whose containerd was killed
            with contextlib.suppress(OSError):
                if str(self._directory).encode() in (shim / "cmdline").read_bytes():
                    os.kill(int(shim.name), signal.SIGKILL)
        remove_control_groups(self._host.netns)

    def _ctr(self, *words: str) -> tuple[str, ...]:
        return ("ctr", "--address", f"{self._directory}/containerd.sock", "--namespace", self._host.netns, *words)

    def _command(self, *words: str) -> list[str]:
        script = MOUNTS.format(directory=self._directory) + 'exec "$@"'
        return self._host.command(["unshare", "--mount", "sh", "-c", script, "sh", *words])


@contextlib.contextmanager
def containerd(host: Host, directory: Path, image: Path) -> Iterator[Containerd]:
    """Run a containerd on a host, with its image and our plugin."""
    made = Containerd(host, directory)
    host.ripstop("cni", "install", f"--bin-dir={made.bin_dir}", f"--config-dir={made.config_dir}")
    try:
        made.start()
        made.load(image)
        yield made
    finally:
        made.close()


def remove_control_groups(name: str) -> None:
    """Remove what runtimes leave of containers whose control groups are below one of that name."""
    for top in (*CONTROL_GROUPS.glob(name), *CONTROL_GROUPS.glob(f"*/{name}")):  # version 2, version 1
        for group in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):  # something is in it, for whoever looks for what is left
                group.rmdir()
        with contextlib.suppress(OSError):
            top.rmdir()


def make_image(path: Path) -> None:
    """Write an image as a tar of the OCI image layout: busybox, and names for what is run of it.

    Source: OCI Image Format Specification 1.0, image-layout.md.
    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name in ("bin", "proc", "sys", "dev", "etc", "run", "var"):
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
        tar.add(BUSYBOX, "bin/busybox")
        for name, target in (("bin/sleep", "busybox"), ("bin/sh", "busybox"), ("var/run", "/run")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    config = json.dumps({
        "architecture": architecture, "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sleep", "1000000"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer.getvalue())]},
    }).encode()  # fmt: skip
    kind = "application/vnd.oci.image"
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json",
        "config": _descriptor(f"{kind}.config.v1+json", config),
        "layers": [_descriptor(f"{kind}.layer.v1.tar", layer.getvalue())],
    }).encode()  # fmt: skip
    listed = _descriptor(f"{kind}.manifest.v1+json", manifest) | {
        "annotations": {"io.containerd.image.name": IMAGE},
        "platform": {"architecture": architecture, "os": "linux"},
    }
    index = json.dumps({"schemaVersion": 2, "manifests": [listed]}).encode()
    with tarfile.open(path, "w") as tar:
        for name, content in {
            "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
            "index.json": index,
            **{f"blobs/sha256/{_digest(blob)[7:]}": blob for blob in (layer.getvalue(), config, manifest)},
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _descriptor(kind: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"
