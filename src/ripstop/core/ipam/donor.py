"""Giving space to peers that ask for it."""

from msgspec.structs import replace

from ripstop.core.address import Range
from ripstop.core.ipam.estate import Estate
from ripstop.core.ipam.messages import SpaceAnswer, SpaceWanted, Token
from ripstop.core.ipam.ring import Owner, Ring, Stamped
from ripstop.core.ipam.saved import Outbox
from ripstop.core.names import PeerName

REMEMBERED = 256  # answers with space in them, kept in case the question is repeated
SHOWN = 16  # tokens that come with a refusal, at most


class Donor:
    """Answers questions for space; each once, however often it arrives."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._given: dict[tuple[PeerName, int], SpaceAnswer] = {}

    def answer(self, peer: PeerName, wanted: SpaceWanted, out: Outbox) -> bool:
        """Give what we can and say so; return whether anything was given now.

        A refusal comes with what we know of the range, so that the asker knows better whom to ask.
        """
        ring = self._estate.ring
        repeated = self._given.get((peer, wanted.nonce))
        if repeated is not None and ring is not None and repeated.ring == ring.id:
            out.tell(peer, repeated)
            return False
        no = SpaceAnswer(wanted.start, wanted.end, 0, ring.id if ring else "", wanted.nonce)
        if ring is None or ring.id != wanted.ring or not wanted.birth or wanted.birth in self._estate.owner.gone:
            out.tell(peer, no)
            return False
        want = Range(wanted.start, wanted.end)
        given, tokens = self._estate.donate(want, Owner(peer, wanted.birth), out)
        if not given:
            out.tell(peer, replace(no, holder=self._holder(want), tokens=_known(ring, want)))
            return False
        answer = replace(no, granted=len(given), tokens=_pairs(tokens))
        self._given[peer, wanted.nonce] = answer
        if len(self._given) > REMEMBERED:
            del self._given[next(iter(self._given))]
        out.tell(peer, answer)
        return True

    def _holder(self, want: Range) -> str:
        return (self._estate.holdings.holder(want.start) or "") if len(want) == 1 else ""


def _known(ring: Ring, want: Range) -> tuple[tuple[int, Token], ...]:
    return _pairs(tuple(segment.stamped for segment in ring.within(want)[:SHOWN]))


def _pairs(tokens: tuple[Stamped, ...]) -> tuple[tuple[int, Token], ...]:
    return tuple((one.version, one.token) for one in tokens)
