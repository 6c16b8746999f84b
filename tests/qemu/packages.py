"""Debian's kernel packages: which is current, fetched and unpacked below the build directory, never installed."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).parents[2] / "build/kernels"
CURRENT = "linux-image-amd64"  # depends on whatever is current in this Debian

_DEPENDS = re.compile(r"^Depends: .*?\b(linux-image-[^\s,]+)", re.MULTILINE)
_VERSION = re.compile(r"^Version: (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Kernel:
    """An unpacked kernel package."""

    package: str
    version: str  # of the package
    directory: Path

    @property
    def image(self) -> Path:
        """The kernel itself."""
        return next((self.directory / "boot").glob("vmlinuz-*"))

    @property
    def modules(self) -> Path:
        """Its modules: what is /lib/modules/RELEASE on a host."""
        return next((self.directory / "lib/modules").iterdir())


def fetch(package: str = CURRENT) -> Kernel:
    """Return a kernel, from the cache if it has been fetched before; a package that names another stands for that."""
    said = _show(package)
    while named := _DEPENDS.search(said):
        package = named[1]
        said = _show(package)
    version = _VERSION.search(said)
    assert version is not None, f"apt-cache show {package}: no version in it"
    kernel = Kernel(package, version[1], CACHE / f"{package}_{version[1].replace(':', '%3a')}")
    if not kernel.directory.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            _unpack(kernel, Path(scratch))
    return kernel


def _show(package: str) -> str:
    """Return what apt knows of the newest version of a package; asks for its lists if it has none."""
    command = ["apt-cache", "show", "--no-all-versions", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def _unpack(kernel: Kernel, scratch: Path) -> None:
    """Fetch a package and put its files where they belong, all at once."""
    print(f"fetching {kernel.package} {kernel.version}", flush=True)
    command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", f"{kernel.package}={kernel.version}"]
    subprocess.run(command, cwd=scratch, check=True)
    (archive,) = scratch.glob("*.deb")
    root = scratch / "root"
    subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
    modules = next((root / "lib/modules").iterdir())
    subprocess.run(["busybox", "depmod", "-b", root, modules.name], check=True)
    shutil.move(root, kernel.directory)
