"""A table of very many names: the time until a host that starts knows and serves them, and the memory they take."""

import gc
import time
from collections.abc import Iterator
from pathlib import Path

from ripstop.core.dns.dns import Dns
from ripstop.core.dns.messages import Binding
from ripstop.core.dns.ours import Ours
from ripstop.core.effects import Effect, Internal, Serve
from ripstop.core.mesh.messages import Gossip
from ripstop.core.mesh.replica import Replica
from ripstop.core.names import Holder, PeerName
from ripstop.wire.control import decode_body, encode

PEERS = 50
CROWD = 32_000  # names on one host, about as many as it may have
_BATCH = 500  # entries of one message
_LENGTH = 4  # bytes before a message's body
_PAGE = 4096  # bytes


def measure(names: int) -> dict[str, float]:
    """Have one host learn the names of all others, as gossip brings them, and render them for its name server."""
    peers = [PeerName(f"{number:016x}") for number in range(1, PEERS + 1)]
    bodies = [body for number, peer in enumerate(peers) for body in _gossip(peer, number, names // PEERS)]
    gc.collect()
    resident, cpu, begin = _resident(), time.process_time(), time.perf_counter()
    dns, replica, rows, longest = Dns(PeerName("f" * 16)), Replica(), 0, 0.0
    dns.use_ways(peers, 0.0)
    dns.restore({}, 0.0)
    for body in bodies:
        step = time.perf_counter()
        message = decode_body(body)
        assert isinstance(message, Gossip), "as it was encoded"
        rows += _rows(dns.learn(replica.merge(message.entries), 0.0))
        longest = max(longest, time.perf_counter() - step)
    while dns.deadline <= 0.0:
        rows += _rows(dns.tick(0.0))
    took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    assert rows == len(dns.table) == names, "each name once"
    return {
        "learn_s": took,
        "learn_cpu_s": cpu,
        "longest_step_ms": longest * 1000,
        "table_mb": (_resident() - resident) / 1e6,
        "gossip_mb": sum(map(len, bodies)) / 1e6,
        "change_bytes": float(_change(CROWD)),
    }


def _gossip(peer: PeerName, number: int, names: int) -> Iterator[bytes]:
    """Yield all names of one peer as it sends them."""
    ours = Ours(peer)
    entries = [ours.write(shard) for shard in ours.replace_all(_names(number, names))]
    for start in range(0, len(entries), _BATCH):
        yield encode(Gossip(tuple(entries[start : start + _BATCH])))[_LENGTH:]


def _names(number: int, names: int) -> dict[Holder, tuple[Binding, ...]]:
    return {
        Holder(f"c{i}/eth0"): (
            Binding(f"svc-{number}-{i}.prod", f"c-{number}-{i}", bytes([10, number, i >> 8, i % 256])),
        )
        for i in range(names)
    }


def _change(names: int) -> int:
    """Return how many bytes one more name is to each neighbor of a host that has so many."""
    ours = Ours(PeerName("e" * 16))
    ours.replace_all(_names(0, names))
    (shard,) = ours.replace({Holder("one/eth0"): (Binding("one-more", "one", bytes([10, 0, 0, 1])),)})
    return len(encode(Gossip((ours.write(shard),))))


def _rows(effects: list[Effect | Internal]) -> int:
    return sum(len(effect.rows) for effect in effects if isinstance(effect, Serve))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
