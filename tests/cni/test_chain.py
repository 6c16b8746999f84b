"""Plugins that come after ours, and services: what a cluster does with an interface that we made."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from ripstop.kernel import netns
from ripstop.lab.lab import Lab
from tests.cni.conftest import DEBIAN, runtime_of
from tests.cni.suite import Json, Runtime, Sandbox, settled

SERVICE = "10.96.0.10"
PORTS = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}
LIMITS = {"bandwidth": {"ingressRate": 10**9, "ingressBurst": 10**7, "egressRate": 10**9, "egressBurst": 10**7}}
CHAIN: tuple[Json, ...] = (
    {"type": "portmap", "runtimeConfig": PORTS},
    {"type": "bandwidth", "runtimeConfig": LIMITS},
    {"type": "tuning", "sysctl": {"net.ipv4.ip_default_ttl": "33"}},
)


@contextmanager
def listening(sandbox: Sandbox) -> Iterator[socket.socket]:
    """Listen on TCP port 80 in a container."""
    with netns.opened(sandbox.path) as descriptor, netns.entered(descriptor):
        server = socket.create_server(("0.0.0.0", 80))
    server.settimeout(10.0)
    with server:
        yield server


def connects(path: str, server: socket.socket, address: tuple[str, int]) -> str:
    """Connect from a namespace, and return from what address the server sees it."""
    with netns.opened(path) as descriptor, netns.entered(descriptor):
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with client:
        client.settimeout(10.0)
        client.connect(address)
        accepted, (seen, _) = server.accept()
        with accepted:
            accepted.sendall(b"here")
            assert client.recv(4) == b"here"
    return str(seen)


def chained(runtime: Runtime, sandbox: Sandbox, verb: str, result: Json) -> Json:
    """Run the plugins after ours, as libcni does: each gets the result of the one before it, DEL goes backwards."""
    for config in CHAIN if verb != "DEL" else reversed(CHAIN):
        if (verb, config["type"]) == ("CHECK", "portmap"):
            continue  # Debian's looks for rules of IPv6 where it made none
        next_one = Runtime(DEBIAN / config["type"], {"name": "overlay", **config}, runtime.netns)
        answer = next_one.call(verb, next_one.of("1.0.0", prevResult=result), containerid=sandbox.container,
                               netns=sandbox.path, ifname="eth0").done()  # fmt: skip
        if verb == "ADD":
            result = answer.json
    return result


def test_portmap_bandwidth_and_tuning_follow_ours(lab: Lab) -> None:
    runtime = runtime_of(lab.host("h1"), runtimeConfig=LIMITS)
    with runtime.sandbox() as sandbox:
        result = chained(runtime, sandbox, "ADD", sandbox.add("1.0.0"))
        try:
            sandbox.call("CHECK", runtime.of("1.0.0", prevResult=result)).done()
            chained(runtime, sandbox, "CHECK", result)
            assert sandbox.run("cat", "/proc/sys/net/ipv4/ip_default_ttl").strip() == "33"
            with listening(sandbox) as server:
                other = lab.host("h2")
                seen = connects(str(other.netns_path), server, (str(lab.host("h1").interface.ip), 8080))
                assert seen == str(other.interface.ip)  # the client's own address
        finally:
            chained(runtime, sandbox, "DEL", result)
        sandbox.call("DEL", runtime.of("1.0.0", prevResult=result)).done()
    rules = lab.host("h1").run(["iptables-save"]).stdout
    assert "8080" not in rules


def test_a_pod_reaches_itself_through_its_service(lab: Lab) -> None:
    """Hairpin: the host turns the packet around, and the pod must not see its own address as the sender."""
    host = lab.host("h1")
    runtime = runtime_of(host)
    with runtime.sandbox() as sandbox:
        result = sandbox.add()
        pod = result["ips"][0]["address"].partition("/")[0]
        rules = f"""
            table ip services {{
                chain prerouting {{
                    type nat hook prerouting priority dstnat;
                    ip daddr {SERVICE} tcp dport 80 dnat to {pod}:80
                }}
                chain postrouting {{
                    type nat hook postrouting priority srcnat;
                    ip saddr {pod} ip daddr {pod} masquerade
                }}
            }}
        """
        subprocess.run(host.command(["nft", "-f", "-"]), input=rules, text=True, check=True)
        try:
            with listening(sandbox) as server:
                assert connects(sandbox.path, server, (SERVICE, 80)) == result["ips"][0]["gateway"]
        finally:
            host.run(["nft", "delete", "table", "ip", "services"])


WRONG: tuple[Json, ...] = (
    {"ipam": {"type": "host-local"}}, {"mtu": 9000}, {"mtu": 12}, {"mtu": "big"}, {"subnet": "10.64.0.0/16"},
    {"subnet": "banana"},
)  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_options_that_cannot_be_are_refused_and_leave_nothing(lab: Lab, wrong: Json) -> None:
    runtime = runtime_of(lab.host("h1"), **wrong)
    before = lab.host("h1").client.call("ipam").allocations
    with runtime.leaving_nothing(), runtime.sandbox() as sandbox:
        error = sandbox.call("ADD", runtime.of("1.1.0")).refused(2, 6, 7)
        assert next(iter(wrong)) in json.dumps(error)
        assert sandbox.is_empty()
    assert lab.host("h1").client.call("ipam").allocations == before


def test_options_are_heeded(lab: Lab) -> None:
    options: Json = {"mtu": 1300, "subnet": "10.33.0.0/16", "defaultRoute": False, "multicastRoute": False,
                     "dns": {"nameservers": ["192.0.2.53"], "search": ["example.org"]}}  # fmt: skip
    runtime = runtime_of(lab.host("h1"), **options)
    with runtime.sandbox() as sandbox:
        result = sandbox.add("1.1.0")
        assert result["interfaces"][1]["mtu"] == 1300 and (sandbox.link() or {})["mtu"] == 1300
        assert result["ips"][0]["address"].startswith("10.33.") and result["ips"][0]["address"].endswith("/16")
        assert "routes" not in result and "gateway" not in result["ips"][0]
        assert "default" not in sandbox.run("ip", "route") and "224.0.0.0" not in sandbox.run("ip", "route")
        assert result["dns"] == options["dns"]


def test_no_address_left_is_told_and_leaves_nothing(lab: Lab) -> None:
    host = lab.host("h1")
    runtime = runtime_of(host, subnet="10.47.255.0/30", defaultRoute=False)
    with runtime.sandbox() as first, runtime.sandbox() as second, runtime.sandbox() as third:
        first.add()
        second.add()
        third.call("ADD", runtime.of("1.1.0")).refused(11)
        assert third.is_empty()


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_a_limit_holds(lab: Lab, direction: str) -> None:
    """Two megabytes at 16 Mbit/s take a second at least; without a limit it is a matter of milliseconds."""
    rate, amount = 16_000_000, 2_000_000
    limits = {"bandwidth": {f"{direction}Rate": rate, f"{direction}Burst": 512_000}}
    runtime = runtime_of(lab.host("h1"), runtimeConfig=limits)
    other = runtime_of(lab.host("h2"))
    with runtime.sandbox() as limited, other.sandbox() as free:
        sender, receiver = (limited, free) if direction == "egress" else (free, limited)
        limited.add()
        free.add()
        target = min(a for a in receiver.addresses() if ":" not in a).partition("/")[0]
        with listening(receiver) as server:
            with netns.opened(sender.path) as descriptor, netns.entered(descriptor):
                client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            with client:
                client.settimeout(30.0)
                client.connect((target, 80))
                accepted, _ = server.accept()
                begin = time.monotonic()
                with accepted, ThreadPoolExecutor(1) as pool:
                    pool.submit(client.sendall, bytes(amount))
                    got = 0
                    while got < amount:
                        got += len(accepted.recv(1 << 16))
                assert time.monotonic() - begin > (amount * 8 - 512_000) / rate * 0.9
        runtime.call(
            "DEL", runtime.of("1.1.0"), containerid=limited.container, netns=limited.path, ifname="eth0"
        ).done()
        settled(limited.is_empty, lambda: limited.run("ip", "link"))
