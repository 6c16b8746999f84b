"""The underlay of a simulated world: how long things take, what is lost, and which hosts cannot hear each other."""

from dataclasses import dataclass, field
from random import Random

from ripstop.core.names import PeerName

RETRANSMIT = 0.2  # seconds that a lost segment costs a stream


@dataclass(slots=True)
class Underlay:
    """Conditions between hosts; all may be changed while the world runs."""

    loss: float = 0.0  # share of datagrams lost, and of stream segments sent again
    duplicate: float = 0.0  # share of datagrams that come twice
    delay: tuple[float, float] = (0.0002, 0.002)  # seconds, drawn evenly, so that datagrams overtake each other
    cuts: dict[tuple[PeerName, PeerName], None] = field(default_factory=dict)  # one way each: from, to
    mtus: dict[tuple[PeerName, PeerName], int] = field(default_factory=dict)  # bytes, where smaller than the links'

    def cut(self, one: PeerName, other: PeerName) -> None:
        """Let nothing pass between two hosts, either way."""
        self.cuts |= {(one, other): None, (other, one): None}

    def heal(self, one: PeerName, other: PeerName) -> None:
        """Undo `cut`."""
        self.cuts.pop((one, other), None)
        self.cuts.pop((other, one), None)

    def divide(self, *groups: tuple[PeerName, ...]) -> None:
        """Cut every pair of hosts that are in different groups."""
        for i, group in enumerate(groups):
            for other in groups[i + 1 :]:
                for a in group:
                    for b in other:
                        self.cut(a, b)

    def heal_all(self) -> None:
        """Undo every cut."""
        self.cuts.clear()

    def is_cut(self, source: PeerName, target: PeerName) -> bool:
        """Return whether nothing gets from one host to another."""
        return (source, target) in self.cuts

    def draw_delay(self, rng: Random) -> float:
        """Return how long the next datagram or segment takes, in seconds."""
        return rng.uniform(*self.delay)

    def copies(self, rng: Random) -> int:
        """Return how often the next datagram arrives."""
        if self.loss and rng.random() < self.loss:
            return 0
        return 2 if self.duplicate and rng.random() < self.duplicate else 1

    def stall(self, rng: Random) -> float:
        """Return for how long losses hold the next segment of a stream up, in seconds."""
        held = 0.0
        while self.loss and rng.random() < self.loss:
            held += RETRANSMIT
        return held
