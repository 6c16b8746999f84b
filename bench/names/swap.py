"""Hot swap over three hosts of a lab: from the order to take an address out, or put it in, until all hosts do so."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

from ripstop.api.types import NameRequest
from ripstop.lab.lab import Lab
from ripstop.lab.node import Container

HOSTS = 3
NAME = "pool"
# Asks one name again and again, and says when the answer changes: the time, which all namespaces share, and how many
# addresses there are.  Standard library only: what is started in a namespace of the lab need not find ours.
_ASK = """
import socket, struct, sys, time
server, name = sys.argv[1:]
labels = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\\0"
ask = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ask.settimeout(0.5)
ask.connect((server, 53))
known = None
while True:
    try:
        ask.send(struct.pack("!6H", 7, 256, 1, 0, 0, 0) + labels + struct.pack("!2H", 1, 1))
        count = struct.unpack("!4H", ask.recv(4096)[:8])[3]
    except OSError:
        continue
    if count != known:
        known = count
        print(time.monotonic(), count, flush=True)
    time.sleep(0.001)
"""


def measure(rounds: int) -> dict[str, float]:
    """Return medians and worst of the time until the last of all hosts answers by an order, in ms."""
    with Lab(hosts=HOSTS, name=f"bn{os.getpid() % 100000}", containers=2) as lab:
        askers: list[subprocess.Popen[str]] = []
        try:
            for host in lab.hosts:
                (address,) = host.ripstop("expose").stdout.split()
                host.client.call("add_name", NameRequest(NAME, _ident(lab, f"{host.name}c1")))
                server = address.partition("/")[0]
                asker = lab.container(f"{host.name}c2")
                askers.append(asker.start([sys.executable, "-c", _ASK, server, f"{NAME}.ripstop.local"]))
            for asked in askers:
                _seen(asked, HOSTS)
            out, back = _swap(lab, askers, rounds)
        finally:
            for asked in askers:
                asked.kill()
                asked.communicate()
    return {
        "swap_out_ms": median(out), "swap_out_worst_ms": max(out),
        "swap_in_ms": median(back), "swap_in_worst_ms": max(back),
    }  # fmt: skip


def _swap(lab: Lab, askers: Sequence["subprocess.Popen[str]"], rounds: int) -> tuple[list[float], list[float]]:
    client, container = lab.host("h3").client, _ident(lab, "h3c1")
    out: list[float] = []
    back: list[float] = []
    for _ in range(rounds):
        for call, count, taken in (("remove_name", HOSTS - 1, out), ("add_name", HOSTS, back)):
            begin = time.monotonic()
            if call == "add_name":
                client.call("add_name", NameRequest(NAME, container))
            else:
                client.call("remove_name", NameRequest(NAME, container))
            taken.append((max(_seen(asked, count) for asked in askers) - begin) * 1000)
    return out, back


def _seen(asked: "subprocess.Popen[str]", count: int) -> float:
    """Return when an asker was first answered with so many addresses."""
    assert asked.stdout is not None, "a pipe"
    for line in asked.stdout:
        when, addresses = line.split()
        if int(addresses) == count:
            return float(when)
    raise AssertionError("the asker has ended")


def _ident(lab: Lab, name: str) -> str:
    at: Container = lab.container(name)
    ports = lab.host(at.host).client.call("ports")
    return next(port.container for port in ports if port.netns == str(at.netns_path))
