"""Asking other peers for space: whom next, how long to wait, and when everyone has said no."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from random import Random

from ripstop.core.address import Range
from ripstop.core.ipam.messages import SpaceAnswer
from ripstop.core.names import PeerName

ASK_TIMEOUT = 1.0  # seconds a peer has to answer
REST = 1.0  # seconds between two rounds of asking everyone
MAX_REST = 30.0  # seconds; each fruitless round rests half as long again as the one before


@dataclass(slots=True)
class Ask:
    """What became of asking for one range, round by round."""

    want: Range
    peer: PeerName | None = None  # who is being asked
    due: float = inf  # when that peer counts as silent, or when the rest ends; in seconds
    resting: bool = False
    rounds: int = 0
    refused: dict[PeerName, str] = field(default_factory=dict)  # who said no in this round, and who holds the address
    silent: dict[PeerName, None] = field(default_factory=dict)  # who did not answer in this round
    tried: dict[PeerName, bool] = field(default_factory=dict)  # whoever was asked in any round, and whether it answered
    nonces: dict[PeerName, int] = field(default_factory=dict)  # of questions that are not answered yet


class Asks:
    """One question at a time for each range wanted, however many requests wait for it."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._asks: dict[Range, Ask] = {}

    @property
    def deadline(self) -> float:
        """When the next of them needs another `advance`, in seconds."""
        return min([ask.due for ask in self._asks.values()], default=inf)

    def get(self, want: Range) -> Ask:
        """Return what became of asking for a range."""
        return self._asks.setdefault(want, Ask(want))

    def keep(self, wants: Iterable[Range], now: float) -> None:
        """Forget all asks but these; one that rests is kept until its end, so that a no is not asked for again."""
        wanted = dict.fromkeys(wants)
        self._asks = {
            want: ask for want, ask in self._asks.items() if want in wanted or (ask.resting and now < ask.due)
        }

    def advance(self, ask: Ask, owners: Mapping[PeerName, float], now: float) -> tuple[PeerName, int] | None:
        """Go on with asking.

        Args:
            ask: what to go on with.
            owners: the reachable owners in the range, and how much each is believed to have free there.
            now: in seconds.

        Returns:
            whom to ask now and the question's nonce; None if somebody is being asked already or nobody is left.
        """
        if ask.peer is not None:
            if ask.peer in owners and now < ask.due:
                return None
            ask.silent[ask.peer] = None
            ask.tried[ask.peer] = False
            ask.peer = None
        if ask.resting and now >= ask.due:
            ask.resting, ask.refused, ask.silent = False, {}, {}
        left = [peer for peer in owners if peer not in ask.refused and peer not in ask.silent]
        if left:
            return self._ask(ask, max(left, key=lambda peer: (owners[peer] * self._rng.random(), peer)), now)
        if not ask.resting:
            ask.resting, ask.due = True, now + min(REST * 1.5**ask.rounds, MAX_REST)
            ask.rounds += 1
        return None

    def hear(self, peer: PeerName, answer: SpaceAnswer) -> None:
        """Take an answer, also a late one; one to no question of ours changes nothing."""
        ask = self._asks.get(Range(answer.start, answer.end))
        if ask is None or ask.nonces.get(peer) != answer.nonce:
            return
        del ask.nonces[peer]
        ask.silent.pop(peer, None)
        ask.tried[peer] = True
        if answer.granted:
            ask.rounds = 0
        else:
            ask.refused[peer] = answer.holder
        if ask.peer == peer:
            ask.peer, ask.due = None, inf

    def _ask(self, ask: Ask, peer: PeerName, now: float) -> tuple[PeerName, int]:
        ask.peer, ask.due, ask.resting = peer, now + ASK_TIMEOUT, False
        return peer, ask.nonces.setdefault(peer, self._rng.getrandbits(63))
