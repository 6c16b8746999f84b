"""Traffic generators: starting their two ends in the right order, and reading what they print."""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ripstop.lab.node import Node
from ripstop.lab.plan import LabError

BUILD = Path(__file__).parent / "build"
END_TIMEOUT = 30.0  # seconds for a tool to end after its peer has


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
    sum_received: _Sum


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
        process.kill()
        process.communicate()


def result(process: "subprocess.Popen[str]", node: Node) -> Received:
    """Wait for a `udp_recv` to end and return what it counted."""
    try:
        printed, said = process.communicate(timeout=END_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise LabError(f"{node.name}: the receiver did not end") from None
    if not printed.strip():
        raise LabError(f"{node.name}: the receiver printed nothing: {said.strip()}")
    return msgspec.json.decode(printed, type=Received)


def iperf(source: Node, target: Node, address: str, *, streams: int, seconds: int) -> float:
    """Send TCP from one node to another for whole seconds and return the Gbit/s that arrived."""
    with serving(target, ["iperf3", "--server", "--one-off", "--forceflush"], "listening"):
        command = ["iperf3", "--client", address, "--parallel", str(streams), "--time", str(seconds), "--json"]
        done = source.run(command, check=False, timeout=seconds + END_TIMEOUT)
    answer = msgspec.json.decode(done.stdout, type=_Iperf)
    if answer.end is None or answer.error:
        raise LabError(f"iperf3 from {source.name} to {target.name}: {answer.error or done.stderr.strip()}")
    return answer.end.sum_received.bits_per_second / 1e9


def round_trips(source: Node, target: Node, address: str, protocol: str, seconds: float, cpu: int) -> RoundTrips:
    """Send small messages back and forth, one at a time, over `tcp`, `udp` or `icmp`."""
    port = "7701"
    run = [program("latency"), "run", protocol, address, f"--seconds={seconds:g}", f"--cpu={cpu}"]
    if protocol == "icmp":
        return _round_trips(source, run, seconds)
    with serving(target, [program("latency"), "serve", protocol, port, f"--cpu={cpu}"]):
        return _round_trips(source, [*run, port], seconds)


def _round_trips(source: Node, command: Sequence[str], seconds: float) -> RoundTrips:
    return msgspec.json.decode(source.run(command, timeout=seconds + END_TIMEOUT).stdout, type=RoundTrips)


def stream(
    source: Node, targets: Sequence[Node], address: str, *, group: bool, seconds: float, rate: float = 0.0
) -> tuple[Sent, list[Received]]:
    """Send numbered 1300-byte UDP packets to one address and return what was sent, and got by each target.

    Args:
        source: where the sender is.
        targets: where receivers are.
        address: unicast address of the only target, or a multicast group.
        group: whether it is a group, to be joined on `eth0`.
        seconds: how long.
        rate: packets a second, 0 = as many as possible.
    """
    port = "7702"
    listen = [
        program("udp_recv"),
        "--truncate",
        "--wait=5",
        *(["--group", address] if group else []),
        "--interface=eth0",
        port,
    ]
    send = [
        program("udp_send"),
        "--size=1300",
        f"--seconds={seconds:g}",
        f"--rate={rate:g}",
        "--interface=eth0",
        address,
        port,
    ]
    with contextlib.ExitStack() as stack:
        receivers = [stack.enter_context(serving(target, listen)) for target in targets]
        sent = msgspec.json.decode(source.run(send, timeout=seconds + END_TIMEOUT).stdout, type=Sent)
        return sent, [result(receiver, target) for receiver, target in zip(receivers, targets, strict=True)]
