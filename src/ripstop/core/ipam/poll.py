"""A question that a peer puts to all others, again and again until it has their word."""

from dataclasses import dataclass, field
from math import inf

from ripstop.core.ipam.saved import Key, WrittenOff
from ripstop.core.names import PeerName

ASK_AGAIN = 1.0  # seconds; each round waits half as long again as the one before
MAX_ASK_AGAIN = 15.0  # seconds
NO_HEIR = PeerName("")  # of its own accord: whoever asks


@dataclass(slots=True)
class Poll:
    """One question to the roster, and whose word we have."""

    nonce: int
    gone: tuple[Key, ...] = ()
    heir: PeerName = NO_HEIR
    dead: tuple[Key, ...] = ()  # all others that are known to be gone: nobody else speaks for them
    words: dict[PeerName, tuple[int, ...]] = field(default_factory=dict)  # and what its containers hold astray
    new: dict[PeerName, None] = field(default_factory=dict)  # who knows us, but cannot vouch for us: it is new itself
    refused: dict[Key, tuple[WrittenOff, str]] = field(default_factory=dict)  # what is not ours, whose it is, and why
    due: float = -inf  # when those who have not answered are asked again, in seconds
    rounds: int = 0

    def next_round(self, now: float) -> bool:
        """Return whether it is time to ask (again)."""
        if now < self.due:
            return False
        self.due = now + min(ASK_AGAIN * 1.5**self.rounds, MAX_ASK_AGAIN)
        self.rounds += 1
        return True
