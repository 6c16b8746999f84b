"""A sequence-numbered feed between nodes of a lab, made and counted by the C programs of `bench/`."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import Popen

from ripstop.lab.node import Node

BUILD = Path(__file__).parents[2] / "bench/build"
GROUP = "239.1.2.3"
PORT = 5000


class Feed:
    """One sender, any number of receivers; `counts` after the block has what arrived."""

    def __init__(self) -> None:
        self.sent = 0
        self.counts: list[dict[str, int]] = []

    @property
    def lost(self) -> list[int]:
        """Packets that each receiver missed."""
        return [count["lost"] for count in self.counts]


@contextlib.contextmanager
def feed(
    sender: Node, receivers: Sequence[Node], to: str, *, rate: int, count: int, size: int = 1300
) -> Iterator[Feed]:
    """Send `count` packets from one node to `to` while the block runs; wait for the end of the feed after it."""
    group = ["--group", to, "--interface", "eth0"] if to.startswith(("224.", "239.", "ff")) else []
    listening = [node.start([str(BUILD / "udp_recv"), *group, "--idle", "5", str(PORT)]) for node in receivers]
    result = Feed()
    sending: Popen[str] | None = None
    try:
        for process in listening:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready"
        sending = sender.start(
            [str(BUILD / "udp_send"), "--rate", str(rate), "--count", str(count), "--size", str(size),
             *(["--interface", "eth0"] if group else []), to, str(PORT)]
        )  # fmt: skip
        yield result
        out, error = sending.communicate(timeout=60)
        assert sending.returncode == 0, error
        result.sent = json.loads(out)["sent"]
        for process in listening:
            out, error = process.communicate(timeout=60)
            assert process.returncode == 0, error
            result.counts.append(json.loads(out.splitlines()[-1]))
    finally:
        for process in [*listening, *([sending] if sending else [])]:
            process.kill()
            process.communicate()
