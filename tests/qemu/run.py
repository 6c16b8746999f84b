"""Boot another kernel on this machine's own files, run the checks in it, and end as they do.

    python -m tests.qemu.run [--kernel PACKAGE]

Nothing of the machine but `build/kernels` is changed: the guest sees its files, and writes to memory.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from ripstop.lab.signals import raising
from tests.qemu import initramfs, packages

ROOT = Path(__file__).parents[2]
BUSYBOX = Path("/bin/busybox")
LIMIT = 3600.0  # seconds for all of it; emulation is some twenty times slower than the machine

_EXIT = re.compile(rb"^guest exit code: (\d+)", re.MULTILINE)
_SCRIPT = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mkdir -p /lib/modules
ln -s {modules} /lib/modules/$(uname -r)
ln -sf /bin/busybox /sbin/modprobe
ip link set lo up
cd {directory}
{python} -m tests.qemu.guest {words}
echo "guest exit code: $?"
poweroff -f
"""


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.qemu.run", description=__doc__)
    parser.add_argument("--kernel", default=packages.CURRENT, metavar="PACKAGE", help="default: %(default)s")
    parser.add_argument("words", nargs="*", metavar="CHECK", help="what the guest is to check (default: everything)")
    options = parser.parse_args()
    with raising():
        return check(packages.fetch(options.kernel), options.words)


def check(kernel: packages.Kernel, words: Sequence[str]) -> int:
    """Boot a kernel, make the checks that are named in it, all without any, and return the exit code."""
    print(f"{kernel.package} {kernel.version}", flush=True)
    script = _SCRIPT.format(
        modules=kernel.modules, directory=ROOT, python=ROOT / ".venv/bin/python", words=" ".join(words)
    )
    with tempfile.TemporaryDirectory() as scratch:
        initrd = Path(scratch, "initramfs")
        initrd.write_bytes(initramfs.build(BUSYBOX, kernel.modules, script))
        return boot(kernel.image, initrd)


def boot(image: Path, initrd: Path) -> int:
    """Boot a kernel, show what the guest prints, and return its exit code; 1 if it died without any."""
    command = [
        "qemu-system-x86_64", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot", "-nic", "none",
        "-accel", "tcg", "-smp", "1", "-m", "2G",
        "-kernel", str(image), "-initrd", str(initrd), "-append", "console=ttyS0 quiet panic=-1",
        "-virtfs", "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap",
    ]  # fmt: skip
    said = b""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as qemu:
        clock = threading.Timer(LIMIT, qemu.kill)
        clock.start()
        try:
            assert qemu.stdout is not None
            while chunk := os.read(qemu.stdout.fileno(), 1 << 16):
                said += chunk
                sys.stdout.buffer.write(chunk.replace(b"\r", b""))
                sys.stdout.buffer.flush()
        finally:
            clock.cancel()
            qemu.kill()
    found = _EXIT.search(said)
    return int(found[1]) if found else 1


if __name__ == "__main__":
    sys.exit(main())
