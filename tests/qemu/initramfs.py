"""What the guest starts with: enough to have the machine's own files as its root, and changes to them in memory."""

from collections.abc import Iterable, Mapping
from pathlib import Path

NEEDED = ("virtio_pci", "9pnet_virtio", "9p", "overlay")  # modules without which there is no root
SCRIPT = "ripstop-guest"  # in the root directory of the guest

_INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
{loads}
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 root /lower
mount -t tmpfs memory /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root
mount --move /dev /root/dev
mkdir -p /root/dev/shm
mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t bpf bpf /root/sys/fs/bpf
mount -t tmpfs memory /root/dev/shm
mount -t tmpfs memory /root/run
cp /{script} /root/{script}
exec switch_root /root /bin/busybox sh /{script}
"""


def build(busybox: Path, modules: Path, script: str) -> bytes:
    """Return an initramfs that runs `script` by busybox with the machine's files as root.

    Args:
        busybox: a static one.
        modules: of the kernel, with a `modules.dep`.
        script: what is to be run.
    """
    order = load_order((modules / "modules.dep").read_text(), NEEDED)
    loads = "\n".join(f"insmod /modules/{Path(path).name}" for path in order)
    files = {
        "init": _INIT.format(loads=loads, script=SCRIPT).encode(),
        SCRIPT: script.encode(),
        "bin/busybox": busybox.read_bytes(),
        **{f"modules/{Path(path).name}": (modules / path).read_bytes() for path in order},
    }
    return archive(("bin", "dev", "lower", "modules", "root", "upper"), files)


def load_order(dependencies: str, names: Iterable[str]) -> list[str]:
    """Return the paths of modules and of all they depend on, what is needed first.

    Args:
        dependencies: text of a `modules.dep`.
        names: of modules; those that are built into the kernel are in no `modules.dep`, and left out.
    """
    needs: dict[str, list[str]] = {}
    for line in dependencies.splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    paths = {Path(path).name.partition(".")[0]: path for path in needs}
    order: list[str] = []

    def add(path: str) -> None:
        for other in needs[path]:
            add(other)
        if path not in order:
            order.append(path)

    for name in names:
        if name in paths:
            add(paths[name])
    return order


def archive(directories: Iterable[str], files: Mapping[str, bytes]) -> bytes:
    """Return a cpio archive (format "newc") of executable files.

    Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
    """
    entries = [(name, 0o040755, b"") for name in directories] + [(name, 0o100755, data) for name, data in files.items()]
    packed = b"".join(_entry(number, *entry) for number, entry in enumerate(entries, 1))
    return packed + _entry(0, "TRAILER!!!", 0, b"")


def _entry(inode: int, name: str, mode: int, data: bytes) -> bytes:
    path = name.encode() + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
