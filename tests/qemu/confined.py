"""A daemon as Kubernetes' runtimes confine it: the AppArmor profile that containers get, the manifest's capabilities.

Debian's and Ubuntu's kernels enforce AppArmor; the tests' own machine may have none.
"""

import subprocess
import time
from pathlib import Path
from typing import IO

from ripstop.core.errors import RipstopError
from ripstop.kernel import bpffs
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from tests.kubernetes.conftest import is_up
from tests.qemu.checks import PATIENCE

NAME = "cri-containerd.apparmor.d"
# What of the profile could be in a daemon's way.  Source: containerd, contrib/apparmor/template.go.
PROFILE = f"""
profile {NAME} flags=(attach_disconnected,mediate_deleted) {{
  network,
  capability,
  file,
  umount,
  signal (receive) peer=unconfined,
  signal (send,receive) peer={NAME},
  deny /proc/* w,
  deny /proc/{{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9]*}}/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/kernel/{{?,??,[^s][^h][^m]**}} w,
  deny mount,
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  ptrace (trace,read,tracedby,readby) peer={NAME},
}}
"""
CAPABILITIES = "-all,+net_bind_service,+net_admin,+net_raw,+sys_admin"
# The mounts of a container, and the words that follow under the profile.
CONTAINER = f"""
set -e
mount --make-rprivate /
mkdir -p /mnt/proc/sys/net /mnt/sys/fs/bpf
mount --bind /proc/sys/net /mnt/proc/sys/net
mount --bind {{bpffs}} /mnt/sys/fs/bpf
umount {{bpffs}}
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
exec setpriv --bounding-set={CAPABILITIES} aa-exec --profile={NAME} -- "$@"
"""


def run() -> bool:
    """Run a daemon like that, have two containers reach each other, print a line, and return whether all is well."""
    started = time.monotonic()
    try:
        said = _check()
    except RipstopError as error:
        print(f"FAIL confined: {error}", flush=True)
        return False
    print(f"ok   confined: {said} ({time.monotonic() - started:.0f} s)", flush=True)
    return True


def _check() -> str:
    subprocess.run(["mount", "-t", "securityfs", "security", "/sys/kernel/security"], check=False)
    subprocess.run(["apparmor_parser", "--replace", "--skip-cache"], input=PROFILE, text=True, check=True)
    with Lab(hosts=1, name="confined", containers=2, daemons=False) as lab:
        (host,) = lab.hosts
        host.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = host.directory / "daemon.log"
        with log.open("wb") as file, _start(host, file) as daemon:
            try:
                return _ping(lab, host, daemon)
            except RipstopError:
                print(log.read_text(), flush=True)
                raise
            finally:
                daemon.kill()


def _start(host: Host, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    daemon = ["daemon", f"--run-dir={host.run_dir}", f"--state-dir={host.state_dir}", "--init=consensus=1"]
    script = CONTAINER.format(bpffs=bpffs.MOUNTS[0])
    command = host.command(["unshare", "--mount", "sh", "-c", script, "sh", "ripstop", *daemon])
    return subprocess.Popen(command, stdout=log, stderr=log, env=host.environment)


def _ping(lab: Lab, host: Host, daemon: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + PATIENCE
    while not is_up(host):
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise RipstopError("the daemon does not start")
        time.sleep(1.0)
    host.ripstop("expose")
    one, two = (lab.container(f"{host.name}c{number}") for number in (1, 2))
    for container in (one, two):
        host.attach(container, gateway=True)
    profile = Path(f"/proc/{daemon.pid}/attr/current").read_text().strip()
    if profile != f"{NAME} (enforce)":
        raise RipstopError(f"it runs as {profile}")
    if one.ping(two.address(), seconds=10.0) is None:
        raise RipstopError("a container does not reach the other")
    return f"profile {profile}, problems: {', '.join(host.status().problems) or 'none'}"
