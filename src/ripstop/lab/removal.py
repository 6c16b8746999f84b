"""Taking a lab apart, whole or half-made, from what is found on the machine rather than from what is recorded."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ripstop.lab import namespaces, state
from ripstop.lab.host import Host
from ripstop.lab.plan import Plan
from ripstop.lab.signals import held

WORKERS = 8  # daemons that are stopped at a time


def remove(lab: str) -> bool:
    """Stop its daemons, end what runs in its namespaces, delete namespaces and files; return whether there was any.

    Signals that would end us are held back: half a removal is worth nothing.
    """
    with held():
        names = namespaces.of_lab(lab)
        directory = state.directory(lab)
        existed = bool(names) or directory.exists()
        hosts = [host for path in sorted(directory.glob("h*")) if (host := _host(lab, path)).netns in names]
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(Host.stop_daemon, hosts))
        namespaces.remove(names)
        state.forget(lab)
    return existed


def _host(lab: str, directory: Path) -> Host:
    plan = Plan(lab, hosts=1)  # names depend on nothing else
    return Host(directory.name, plan.netns(directory.name), plan.address(directory.name), directory, ())
