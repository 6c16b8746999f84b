"""Traffic generators: starting their two ends in the right order, and reading what they print."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ripstop.lab.node import Node
from ripstop.lab.plan import LabError

BUILD = Path(__file__).parents[3] / "bench/build"  # in a checkout; an installed package has no generators
PORT = "7700"
END_TIMEOUT = 30.0  # seconds for a tool to end after its peer has
JOIN_TIMEOUT = 10.0  # seconds for a packet to a group to reach all who joined it


class Sent(msgspec.Struct):
    """What `udp_send` prints."""

    sent: int
    seconds: float
    pps: float
    refused: int


class Received(msgspec.Struct):
    """What `udp_recv` prints; `udp_recv --help` has the meanings."""

    received: int
    sent: int | None
    lost: int
    duplicated: int
    reordered: int
    foreign: int
    overflow: int
    seconds: float
    pps: float
    max_gap_ms: float


class RoundTrips(msgspec.Struct):
    """What `latency run` prints, times in microseconds."""

    round_trips: int
    lost: int
    p50_us: float
    p99_us: float
    p999_us: float


class _Sum(msgspec.Struct):
    bits_per_second: float


class _End(msgspec.Struct):
    sum_received: _Sum | None = None


class _Iperf(msgspec.Struct):
    end: _End | None = None
    error: str = ""


def program(name: str) -> str:
    """Return the path of one of our generators.

    Raises:
        LabError: it has not been compiled.
    """
    path = BUILD / name
    if not path.exists():
        raise LabError(f"{path} is missing; compile it with `make -C bench`")
    return str(path)


@contextlib.contextmanager
def serving(node: Node, command: Sequence[str], ready: str = "ready") -> Iterator["subprocess.Popen[str]"]:
    """Run a receiver or server, from when it has printed a line with `ready` in it to the end of the block."""
    process = node.start(command)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if ready in line:
                break
        else:
            _, said = process.communicate(timeout=END_TIMEOUT)
            raise LabError(f"{node.name}: {' '.join(command)}: {said.strip() or 'ended at once'}")
        yield process
    finally:
        _finish(process)


def _result(node: Node, process: "subprocess.Popen[str]") -> Received:
    """Wait for a `udp_recv` to end, which it does soon after its sender, and return what it counted."""
    assert process.stdout is not None
    printed = process.stdout.read().splitlines()
    _, said = process.communicate()
    if not printed:
        raise LabError(f"{node.name}: the receiver printed nothing: {said.strip()}")
    return msgspec.json.decode(printed[-1], type=Received)


def iperf(
    source: Node,
    target: Node,
    address: str,
    *,
    streams: int = 1,
    seconds: int = 1,
    volume: str = "",
    server: bool = True,
) -> float:
    """Send TCP from one node to another and return the Gbit/s that arrived.

    Args:
        source: where the sender is.
        target: where the receiver is.
        address: of the receiver.
        streams: connections at a time.
        seconds: how long; or else
        volume: how much, as iperf3 writes it: `16M`.
        server: False if one runs already, made with `iperf_server`.
    """
    amount = ["--bytes", volume] if volume else ["--time", str(seconds)]
    command = ["iperf3", "--client", address, "--parallel", str(streams), *amount, "--json"]
    with iperf_server(target, "--one-off") if server else contextlib.nullcontext():
        done = source.run(command, check=False, timeout=seconds + END_TIMEOUT)
    answer = msgspec.json.decode(done.stdout or "{}", type=_Iperf)
    if answer.end is None or answer.end.sum_received is None or answer.error:
        raise LabError(f"iperf3 from {source.name} to {target.name}: {answer.error or done.stderr.strip()}")
    return answer.end.sum_received.bits_per_second / 1e9


def iperf_server(node: Node, *flags: str) -> AbstractContextManager["subprocess.Popen[str]"]:
    """Run an iperf3 server for the length of a block; it serves one client after another."""
    return serving(node, ["iperf3", "--server", "--forceflush", *flags], "listening")


def round_trips(source: Node, target: Node, address: str, protocol: str, seconds: float, cpu: int) -> RoundTrips:
    """Send small messages back and forth, one at a time, over `tcp`, `udp` or `icmp`, both ends on one processor."""
    run = [program("latency"), "run", protocol, address, f"--seconds={seconds:g}", f"--cpu={cpu}"]
    if protocol == "icmp":
        return _round_trips(source, run, seconds)
    with serving(target, [program("latency"), "serve", protocol, PORT, f"--cpu={cpu}"]):
        return _round_trips(source, [*run, PORT], seconds)


def _round_trips(source: Node, command: Sequence[str], seconds: float) -> RoundTrips:
    return msgspec.json.decode(source.run(command, timeout=seconds + END_TIMEOUT).stdout, type=RoundTrips)


@dataclass(frozen=True, slots=True)
class Feed:
    """A running stream of numbered packets, and who listens to it."""

    sender: "subprocess.Popen[str]"
    source: Node
    receivers: tuple[tuple[Node, "subprocess.Popen[str]"], ...]

    def wait_until_heard(self) -> None:
        """Wait until every receiver has got a packet.

        Raises:
            LabError: one has given up.
        """
        for node, process in self.receivers:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "started":
                raise LabError(f"{node.name} gets nothing from {self.source.name}")

    def running(self) -> bool:
        """Whether packets are still being sent."""
        return self.sender.poll() is None

    def stop(self) -> tuple[Sent, list[Received]]:
        """Stop sending and return what was sent, and got by each receiver."""
        self.sender.terminate()
        return self.finish()

    def finish(self) -> tuple[Sent, list[Received]]:
        """Wait for the end of the stream and return what was sent, and got by each receiver."""
        printed, said = self.sender.communicate()
        if not printed.strip():
            raise LabError(f"{self.source.name}: the sender printed nothing: {said.strip()}")
        return msgspec.json.decode(printed, type=Sent), [_result(node, process) for node, process in self.receivers]


@contextlib.contextmanager
def feeding(
    source: Node,
    targets: Sequence[Node],
    address: str,
    *,
    group: bool = False,
    size: int = 1300,
    rate: float = 0.0,
    seconds: float = 0.0,
    count: int = 0,
    groups: int = 1,
    segments: int = 1,
    every: int = 0,
    apart: bool = False,
    wait: float = 5.0,
    idle: float = 2.0,
    port: str = PORT,
) -> Iterator[Feed]:
    """Send numbered UDP packets from one node to one address while the block runs, or until it is enough.

    Args:
        source: where the sender is.
        targets: where receivers are.
        address: unicast, broadcast or multicast; link-local ones with %eth0.
        group: whether it is a multicast group, to be joined on `eth0`.
        size: of the payload, bytes.
        rate: packets a second, 0 = as many as possible.
        seconds: how long; or else
        count: how many packets.
        groups: how many groups, consecutive ones from `address` on, get packets in turn; more than 20 on one socket
            take a larger net.ipv4.igmp_max_memberships.
        segments: packets that the sender hands to the kernel as one (UDP_SEGMENT).
        apart: keep the sender on the first processor and receivers on the others, instead of leaving it to the kernel.
        every: microseconds between two looks of the receivers; 0 = they sleep until a packet wakes them.
        wait: seconds without a first packet after which receivers give up.
        idle: seconds of silence after which they give up later.
        port: of the receivers.
    """
    join = ["--group", address, f"--groups={groups}"] if group else ["--ipv6"] if ":" in address else []
    first, others = _processors() if apart else ([], [])
    listen = [
        *others,
        program("udp_recv"),
        "--truncate",
        f"--wait={wait:g}",
        f"--idle={idle:g}",
        f"--every={every}",
        "--interface=eth0",
        *join,
        port,
    ]
    amount = f"--count={count}" if count else f"--seconds={seconds:g}"
    send = [
        *first,
        program("udp_send"),
        f"--size={size * segments}",
        *([f"--gso={size}"] if segments > 1 else []),
        f"--groups={groups}",
        amount,
        f"--rate={rate:g}",
        "--interface=eth0",
        address,
        port,
    ]
    with contextlib.ExitStack() as stack:
        receivers = tuple((target, stack.enter_context(serving(target, listen))) for target in targets)
        if group:
            _wait_until_joined(source, receivers, address, groups, port)
        sender = source.start(send)
        stack.callback(_finish, sender)
        yield Feed(sender, source, receivers)


def _processors() -> tuple[list[str], list[str]]:
    """Return what to put before a command to have it on the first processor, and on the others; one does for both."""
    numbers = sorted(os.sched_getaffinity(0))
    one, rest = numbers[0], numbers[1:] or numbers
    return ["taskset", "--cpu-list", str(one)], ["taskset", "--cpu-list", ",".join(map(str, rest))]


def _wait_until_joined(
    source: Node, receivers: Sequence[tuple[Node, "subprocess.Popen[str]"]], address: str, groups: int, port: str
) -> None:
    """Send something until every receiver has got it: a join takes a moment to get to the source's host."""
    seconds, every = f"--seconds={JOIN_TIMEOUT:g}", f"--groups={groups}"
    hello = [program("udp_send"), "--hello", seconds, every, "--interface=eth0", address, port]
    sender = source.start(hello)
    try:
        for node, process in receivers:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "reached":
                raise LabError(f"{node.name} joined {address}, but gets nothing from {source.name}")
    finally:
        sender.terminate()
        sender.communicate()


def _finish(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()
