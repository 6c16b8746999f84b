"""Services of Kubernetes by kube-proxy's ipvs mode, on a kernel that has it: the tests of the other modes."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ripstop.core.errors import RipstopError
from ripstop.lab.lab import Lab
from tests.e2e import test_services
from tests.e2e.proxies import IPVS
from tests.e2e.test_services import PODS, PORT, Town, load, services
from tests.qemu.checks import PATIENCE

ANSWERING = Path(test_services.__file__).with_name("answering.py")
CHECKS: tuple[Callable[[Town], None], ...] = (
    test_services.test_a_pod_reaches_members_here_and_there_and_is_seen_as_itself,
    test_services.test_large_answers_come_whole_be_they_segmented_or_fragmented,
    test_services.test_a_pod_reaches_itself_through_its_service,
    test_services.test_a_refusal_comes_back_though_it_quotes_the_member,
    test_services.test_a_host_reaches_services_and_pods,
    test_services.test_outside_a_node_port_is_open_on_every_node,
    test_services.test_with_the_policy_local_the_client_is_seen_as_itself,
    test_services.test_pods_reach_node_ports_of_their_own_node_and_of_others,
)


def run() -> bool:
    """Build the lab, make all checks, print a line for each, and return whether all are well."""
    with Lab(hosts=3, name="services", containers=2, daemons=False) as lab:
        town = Town(lab)
        answering = _start(town)
        try:
            passed = [_passes(check, town) for check in CHECKS]
            return all(passed)
        finally:
            for process in answering:
                process.kill()
                process.wait()


def _start(town: Town) -> list["subprocess.Popen[str]"]:
    """Have two nodes with two pods each that answer, kube-proxy's work on them, and somebody outside."""
    nodes = [town.lab.host("h1"), town.lab.host("h2")]
    for host in nodes:
        host.start_daemon(["--init=consensus=2"])
    for host in nodes:
        host.wait(reachable=1, timeout=PATIENCE)
        host.ripstop("expose")
        host.run(["ip", "route", "add", "default", "via", str(town.lab.host("h3").interface.ip)])
        for number in (1, 2):
            host.attach(town.lab.container(f"{host.name}c{number}"), gateway=True)
    for host in nodes:
        load(host, IPVS.command, IPVS.rules(services(town, host), PODS))
    answering = [
        town.lab.container(name).start([sys.executable, str(ANSWERING), name, str(PORT)])
        for name in ("h1c1", "h1c2", "h2c1", "h2c2")
    ]
    for process in answering:
        assert process.stdout is not None
        process.stdout.readline()  # it listens
    return answering


def _passes(check: Callable[[Town], None], town: Town) -> bool:
    name, started = check.__name__.removeprefix("test_").replace("_", " "), time.monotonic()
    try:
        check(town)
    except (RipstopError, AssertionError) as error:
        print(f"FAIL ipvs: {name}: {error}", flush=True)
        return False
    print(f"ok   ipvs: {name} ({time.monotonic() - started:.0f} s)", flush=True)
    return True
