"""What the peers tell each other about addresses: replicated values, and questions from peer to peer."""

import msgspec

from ripstop.core.names import PeerName


class Token(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The value of entry `ring/<ring id>/<start>`: who owns the addresses from `start` up to but without `end`.

    A token says where it ends, so that an owner that missed its neighbours' news never takes theirs for its own.
    """

    start: int  # first address, host order
    owner: PeerName  # the only peer that may change this token; giving it away changes the owner
    free: int  # addresses free in the range when the token was last written: a hint, never a promise
    end: int = 0  # the address after the last
    birth: int = 0  # the owner's, see `Ballot.birth`; 0 in a ring whose members were given
    giver: int = 0  # birth of the peer that wrote this token; 0 for those that follow from the ring's start


class Ballot(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The value of entry `paxos/<peer>`: what one acceptor has promised and accepted (Lamport, Paxos made simple)."""

    promised: tuple[int, PeerName]  # round, proposer; rounds start at 1, (0, "") is none
    accepted: tuple[int, PeerName]  # the proposal accepted last, (0, "") for none
    members: tuple[PeerName, ...]  # its value: the peers among whom the ring is divided
    nonce: int = 0  # the rest of its value: tells apart two rings of the same peers
    universe: tuple[int, int] = (0, 0)  # the acceptor's, start and end: votes count among equals only
    ring: str = ""  # id of the ring the peer has, "" while it has none; with a ring it votes no more
    holds: bool = False  # whether containers of the peer hold addresses of that ring
    birth: int = 0  # drawn with an empty disk: a peer that lost its state is not the owner that it was
    births: tuple[int, ...] = ()  # the rest of the value: of the members, in their order
    votes: bool = True  # False: an observer, which neither promises nor accepts
    waits: bool = False  # whether containers of the peer wait for a first ring
    new: bool = False  # whether a majority of the ring has yet to know the peer


class RingStart(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The value of entry `ring-start/<ring id>`: the universe and the peers the first ring was divided among."""

    start: int  # of the universe
    end: int
    members: tuple[PeerName, ...]
    nonce: int = 0  # drawn when the ring was agreed on; 0 if its members were given
    births: tuple[int, ...] = ()  # of the members, in their order; empty if they were given


class SpaceWanted(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Asks one peer for space within [start, end); for a single address, for exactly that one."""

    start: int
    end: int
    ring: str = ""  # id of the asker's ring
    nonce: int = 0  # the same when the same question is repeated, so that it is not answered with space twice
    birth: int = 0  # the asker's, for the tokens that it gets


class SpaceAnswer(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Answers `SpaceWanted`; the changed tokens come along and by gossip, in any order."""

    start: int
    end: int
    granted: int  # addresses given; 0 = none to give
    ring: str = ""  # id of the answerer's ring
    nonce: int = 0  # of the question
    holder: str = ""  # the container that holds the single address asked for
    tokens: tuple[tuple[int, Token], ...] = ()  # with versions: the space given, or who has it as far as known


class WordWanted(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Asks one peer for its word: that it knows the asker, and that it takes nothing more from owners that are gone."""

    ring: str  # id of the asker's ring
    nonce: int
    birth: int  # the asker's
    life: int = 0  # how often the asker's machine has restarted
    gone: tuple[tuple[PeerName, int, int], ...] = ()  # owners (name, birth, life) to be written off; often none
    heir: PeerName = PeerName("")  # who gets what they owned; "" = the asker
    dead: tuple[tuple[PeerName, int], ...] = ()  # all others written off, as far as the asker knows
    new: bool = False  # whether a majority has yet to know the asker


class Word(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Answers `WordWanted`; what it promises is on disk."""

    ring: str  # id of the answerer's ring, "" for none
    nonce: int  # of the question
    refusal: str = ""  # why no word is given, "" when it is
    peers: tuple[tuple[PeerName, int, int], ...] = ()  # (name, birth, life) of all that may own addresses
    gone: tuple[tuple[PeerName, int, int, PeerName], ...] = ()  # owners written off, and their heirs; the asker maybe
    tokens: tuple[tuple[int, Token], ...] = ()  # with versions: what is the answerer's, or was of anybody written off
    strays: tuple[int, ...] = ()  # addresses that its containers hold and that are not its own, as far as it knows
    settled: tuple[tuple[PeerName, int], ...] = ()  # those of `gone` whose heir has everybody's word
    refused: tuple[tuple[PeerName, int], ...] = ()  # those that are not the asker's to inherit; none: it may ask again
    new: bool = False  # whether a majority has yet to know the answerer: it vouches for nobody


IpamMessage = SpaceWanted | SpaceAnswer | WordWanted | Word
