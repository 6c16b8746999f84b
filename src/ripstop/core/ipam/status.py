"""What the allocator shows of itself: values for status pages, metrics and tests."""

from dataclasses import dataclass

from ripstop.core.address import Range
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
