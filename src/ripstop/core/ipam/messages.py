"""What the peers tell each other about addresses: replicated values, and questions from peer to peer."""

import msgspec

from ripstop.core.names import PeerName


class Token(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The value of entry `ring/<start>`: who owns the addresses from `start` up to the next token."""

    start: int  # first address, host order
    owner: PeerName  # the only peer that may change this token; giving it away changes the owner
    free: int  # addresses free in the range when the token was last written: a hint, never a promise


class Ballot(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The value of entry `paxos/<peer>`: what one acceptor has promised and accepted (Lamport, Paxos made simple)."""

    promised: tuple[int, PeerName]  # round, proposer; rounds start at 1, (0, "") is none
    accepted: tuple[int, PeerName]  # the proposal accepted last, (0, "") for none
    members: tuple[PeerName, ...]  # its value: the peers among whom the ring is divided


class RingStart(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The value of entry `ring-start/<universe>`: the universe and the peers the first ring was divided among."""

    start: int  # of the universe
    end: int
    members: tuple[PeerName, ...]


class SpaceWanted(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Asks one peer for space within [start, end)."""

    start: int
    end: int


class SpaceAnswer(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Answers `SpaceWanted`; the space itself comes as changed tokens, which may arrive before or after."""

    start: int
    end: int
    granted: int  # addresses given; 0 = none to give


IpamMessage = SpaceWanted | SpaceAnswer
