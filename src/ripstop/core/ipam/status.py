"""What the allocator shows of itself: values for status pages, metrics and tests."""

from collections.abc import Callable, Container
from dataclasses import dataclass

from ripstop.core.address import Range
from ripstop.core.ipam.messages import Token
from ripstop.core.ipam.ring import Ring
from ripstop.core.names import ContainerId, PeerName, RequestId


@dataclass(frozen=True, slots=True)
class Share:
    """One owner's part of the ring."""

    peer: PeerName
    addresses: int  # owned
    fraction: float  # of the universe, 0..1
    free: int  # for ourselves, now; for others, as they said when they last wrote their tokens
    reachable: bool  # true for ourselves
    lost: bool = False  # owned by a former self of a peer whose state is gone: nobody can give it out


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that is not answered yet."""

    request: RequestId | None  # None: a wish of the allocator itself
    container: ContainerId
    wants: Range
    why: str  # one line
    deadline: float  # when it is answered whatever happens, in the clock's seconds


@dataclass(frozen=True, slots=True)
class AllocatorStatus:
    """All of one allocator at one time."""

    universe: Range
    ring: str  # its id, "" while there is none
    why: str  # why there is no ring, "" when there is
    members: tuple[PeerName, ...]  # among whom it was first divided
    shares: tuple[Share, ...]  # by peer name
    free: int  # addresses that can be given out here without asking anybody
    held: tuple[tuple[int, ContainerId], ...]  # by address
    waiting: tuple[Waiting, ...]  # oldest first
    contested: tuple[Range, ...]  # ours, but somebody else believes the same: not given out
    strays: tuple[int, ...]  # held here, owned by another peer
    foreign: tuple[str, ...]  # one line each: other rings and universes that were heard of
    doubt: str = ""  # whose word we need before we use what is ours, "" when we do
    taking: str = ""  # whose word we need before we are the heir of dead peers, "" when we do not wait to be


def shares(
    ring: Ring | None,
    own: PeerName,
    free: int,
    reachable: Container[PeerName],
    is_lost: Callable[[Token], bool],
) -> tuple[Share, ...]:
    """Return every owner's part of a ring.

    Args:
        ring: the ring, if there is one.
        own: our name.
        free: addresses free here.
        reachable: the peers that can be reached.
        is_lost: whether the owner of a token has lost its state.
    """
    sums: dict[tuple[PeerName, bool], tuple[int, int]] = {}
    for segment in ring.segments if ring else ():
        token = segment.stamped.token
        key = (token.owner, is_lost(token))
        addresses, hint = sums.get(key, (0, 0))
        sums[key] = addresses + len(segment.range), hint + min(token.free, len(segment.range))
    size = len(ring.universe) if ring else 1
    return tuple(
        Share(
            peer,
            addresses,
            addresses / size,
            0 if lost else free if peer == own else hint,
            peer == own or peer in reachable,
            lost,
        )
        for (peer, lost), (addresses, hint) in sorted(sums.items())
    )
