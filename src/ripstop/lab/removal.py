"""Taking a lab apart, whole or half-made, from what is found on the machine rather than from what is recorded."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ripstop.lab import namespaces, state
from ripstop.lab.host import Host
from ripstop.lab.plan import LabError, Plan
from ripstop.lab.signals import held

WORKERS = 8  # daemons that are stopped at a time


def remove(lab: str) -> bool:
    """Stop its daemons, end what runs in its namespaces, delete namespaces and files; return whether there was any.

    Signals that would end us are held back: half a removal is worth nothing.

    Raises:
        LabError: everything is gone but what a daemon, dead now, has left in the kernel; and why.
    """
    with held():
        names = namespaces.of_lab(lab)
        directory = state.directory(lab)
        existed = bool(names) or directory.exists()
        hosts = [host for path in sorted(directory.glob("h*")) if (host := _host(lab, path)).netns in names]
        with ThreadPoolExecutor(WORKERS) as pool:
            troubles = [trouble for trouble in pool.map(_stop, hosts) if trouble]
        namespaces.remove(names)
        state.forget(lab)
    if troubles:
        raise LabError(f"lab {lab} is down, but maps may be left in /sys/fs/bpf/ripstop: {'; '.join(troubles)}")
    return existed


def _stop(host: Host) -> str:
    """Stop a daemon, by force if it takes too long; return what came in the way, or nothing."""
    try:
        host.stop_daemon()
    except LabError:
        try:
            if host.daemon_pid() is not None:
                host.kill_daemon()
            host.stop_daemon()  # takes away what the dead one left
        except LabError as error:
            return str(error)
    return ""


def _host(lab: str, directory: Path) -> Host:
    plan = Plan(lab, hosts=1)  # names depend on nothing else
    return Host(directory.name, plan.netns(directory.name), plan.address(directory.name), directory, ())
