"""Limits of how much a container sends and gets, on its own interface, inside.

On the host's side there is nothing that could hold packets back: the switch takes them before any queue there, and
hands them over behind it.  Inside, what is sent waits in a token bucket, and what comes in takes a turn through one
behind a device of its own, for only what leaves a device can wait.
"""

import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass

from ripstop.core.errors import KernelError
from ripstop.kernel import netns, rtnl

_LATENCY = "25ms"  # how long a packet waits before it is dropped


@dataclass(frozen=True, slots=True)
class Limit:
    """One direction; a rate of 0 is no limit."""

    rate: int  # bits per second
    burst: int  # bits


def limit(namespace: int, ifname: str, turn: str, sent: Limit, received: Limit) -> None:
    """Limit an interface inside a container; for the kernel thread.

    Args:
        namespace: open descriptor of the container's network namespace.
        ifname: name inside.
        turn: name of the device through which goes what comes in, if that is limited.
        sent: what the container sends.
        received: what it gets.

    Raises:
        KernelError: tc is missing or the kernel refused.
    """
    commands = []
    if sent.rate:
        commands.append(f"qdisc add dev {ifname} root {_bucket(sent)}")
    with netns.entered(namespace):
        if received.rate:
            _make(turn)
            every = "protocol all u32 match u32 0 0"
            commands += (
                f"qdisc add dev {turn} root {_bucket(received)}",
                f"qdisc add dev {ifname} handle ffff: ingress",
                f"filter add dev {ifname} parent ffff: {every} action mirred egress redirect dev {turn}",
            )
        _tc(ifname, commands)


def unlimit(namespace: int, turn: str) -> None:
    """Remove the device that `limit` made, if it did; the rest goes with the interface."""
    with netns.entered(namespace), suppress(OSError):
        index = socket.if_nametoindex(turn)
        requests = rtnl.RouteSocket()
        try:
            requests.send((rtnl.delete_link(index),))
        finally:
            requests.close()


def _make(turn: str) -> None:
    requests = rtnl.RouteSocket()
    try:
        (number,) = requests.send((rtnl.make_ifb(turn),))
        if number:
            raise KernelError("create", turn, number, "limits need the module ifb")
        (number,) = requests.send((rtnl.set_up(socket.if_nametoindex(turn)),))
        if number:  # what is down passes nothing
            raise KernelError("set up", turn, number)
    finally:
        requests.close()


def _bucket(limited: Limit) -> str:
    return f"tbf rate {limited.rate}bit burst {limited.burst // 8} latency {_LATENCY}"


def _tc(ifname: str, commands: list[str]) -> None:
    try:
        done = subprocess.run(
            ["tc", "-batch", "-"], input="".join(f"{command}\n" for command in commands), capture_output=True,
            text=True, check=False, timeout=10,
        )  # fmt: skip
    except FileNotFoundError:
        raise KernelError("run", "tc", 2, "not found; install the package iproute2") from None
    except subprocess.TimeoutExpired:
        raise KernelError("run", "tc", 110, "no answer for 10 s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise KernelError("limit", ifname, done.returncode, said[0] if said else "")
