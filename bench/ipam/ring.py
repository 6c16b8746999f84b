"""A ring of many peers under uneven load, until all is quiet.

Only an owner writes its tokens, so one process can play all peers: each has an `Estate` of its own, donors and
receivers hear of each other at once, everybody else when all is over, as gossip would have it at the latest.
"""

import time
from collections.abc import Iterable
from random import Random

import msgspec

from ripstop.core.address import Range
from ripstop.core.ipam.estate import Estate
from ripstop.core.ipam.messages import RingStart, Token
from ripstop.core.ipam.ring import Owner, Ring, Stamped
from ripstop.core.ipam.saved import Outbox, Saved
from ripstop.core.mesh.messages import Entry
from ripstop.core.names import ContainerId, PeerName

UNIVERSE = Range.parse("10.32.0.0/12")
QUIET_ROUNDS = 12  # of joining and handing over; each takes half a minute in real life


def measure(peers: int, addresses: int) -> dict[str, float]:
    """Return what the ring weighs after `addresses` were allocated and freed in random order."""
    rng = Random(1)
    owners = [Owner(PeerName(f"{number:016x}"), number + 1) for number in range(peers)]
    start = RingStart(
        UNIVERSE.start, UNIVERSE.end, tuple(owner.name for owner in owners), 1, tuple(owner.birth for owner in owners)
    )
    estates = [_enter(Estate(owner, UNIVERSE, Saved({})), start) for owner in owners]
    weights = [1.0 / (1 + rank) for rank in range(peers)]  # a few peers want most of it
    rng.shuffle(weights)
    held: list[tuple[Estate, ContainerId]] = []
    donations, number = 0, 0
    for estate in rng.choices(estates, weights, k=addresses):
        container = ContainerId(str(number))
        number += 1
        if estate.allocate(container, UNIVERSE, Outbox()) is None:
            donor = max(rng.sample(estates, 8), key=lambda other: other.free(UNIVERSE))
            _, given = donor.donate(UNIVERSE, estate.owner, Outbox())
            estate.merge(given, Outbox())
            donations += 1
            if estate.allocate(container, UNIVERSE, Outbox()) is None:
                continue
        held.append((estate, container))
        if rng.random() < 0.3:  # some go while others come
            _free(held, rng)
    peak = _all_tokens(estates)
    while held:
        _free(held, rng)
    tokens = _all_tokens(estates)
    for _ in range(QUIET_ROUNDS):
        before = tokens
        for estate in estates:  # one hears of what the one before did, as their timers are apart
            estate.merge(tokens.values(), Outbox())
            estate.join(Outbox())
            estate.hand_over(lambda _token: True, Outbox())
            for one in estate.changed_tokens:
                _take(tokens, one)
        tokens = _counting(start, tokens)
        if tokens == before:
            break
    return {
        "peers": peers,
        "addresses": addresses,
        "donations": donations,
        "tokens_busy": len(_counting(start, peak)),
        "tokens_quiet": len(tokens),
        "tokens_per_peer": len(tokens) / peers,
        "state_kb_busy": _size(_counting(start, peak)) / 1024,
        "state_kb": _size(tokens) / 1024,
        "merge_ms_busy": _merge_ms(start, _counting(start, peak)),
        "merge_ms": _merge_ms(start, tokens),
    }


def _enter(estate: Estate, start: RingStart) -> Estate:
    estate.adopt(start, (), Outbox())
    return estate


def _free(held: list[tuple[Estate, ContainerId]], rng: Random) -> None:
    index = rng.randrange(len(held))
    held[index], held[-1] = held[-1], held[index]
    estate, container = held.pop()
    estate.release(container, Outbox())


def _take(tokens: dict[int, Stamped], one: Stamped) -> None:
    known = tokens.get(one.token.start)
    if known is None or one.rank > known.rank:
        tokens[one.token.start] = one


def _all_tokens(estates: Iterable[Estate]) -> dict[int, Stamped]:
    tokens: dict[int, Stamped] = {}
    for estate in estates:
        for one in estate.changed_tokens:
            _take(tokens, one)
    return tokens


def _counting(start: RingStart, tokens: dict[int, Stamped]) -> dict[int, Stamped]:
    """Return the tokens that count somewhere, those of the beginning among them."""
    ring = Ring(start)
    ring.merge(tokens.values())
    return {one.token.start: one for one in ring.tokens}


def _size(tokens: dict[int, Stamped]) -> int:
    """Return the bytes of all entries as they are gossiped."""
    return sum(len(msgspec.msgpack.encode(_entry(one.version, one.token))) for one in tokens.values())


def _entry(version: int, token: Token) -> Entry:
    return Entry(f"ring/0123456789abcdef/{token.start}", version, token)


def _merge_ms(start: RingStart, tokens: dict[int, Stamped]) -> float:
    """Return how long a peer takes that knew nothing but the beginning; the best of three."""
    took = []
    for _ in range(3):
        estate = _enter(Estate(Owner(start.members[0], start.births[0]), UNIVERSE, Saved({})), start)
        begin = time.perf_counter()
        estate.merge(tokens.values(), Outbox())
        took.append(time.perf_counter() - begin)
    return min(took) * 1000
