"""How much the hosts behind one port may make us remember and do; whatever is refused has a name and is counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Refusal(Enum):
    """Why something that a host said had no effect, or not all of it."""

    MALFORMED = "malformed"  # no packet that a host may send
    RATE = "rate"  # more than the port may say
    GROUPS = "groups"  # a group too many on the port
    SOURCES = "sources"  # sources too many in one group: the rest of the record counts
    REPORTERS = "reporters"  # hosts too many in one group: it is joined all the same, but a leave takes a query


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one port."""

    groups: int = 1024
    sources: int = 64  # of one group; as many as Linux lets a socket ask for over MLD
    reporters: int = 64  # of one group that are known one by one
    records_per_second: float = 1000.0  # what a report says of one group is a record; any other message counts as one
    burst: int = 4096  # at once; all groups of a port fit in several times


class TokenBucket:
    """Lets pass what comes at a rate, and bursts up to a size."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def take(self, count: int, now: float) -> int:
        """Return how many of `count` may pass now."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        granted = min(count, int(self._tokens))
        self._tokens -= granted
        return granted


class Refusals:
    """Counts."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(Refusal, 0)

    def count(self, refusal: Refusal, times: int = 1) -> None:
        """Something was refused."""
        self._counts[refusal] += times

    def add(self, others: "Refusals") -> None:
        """Count what others have counted, too."""
        for refusal, times in others.all().items():
            self._counts[refusal] += times

    def all(self) -> Mapping[Refusal, int]:
        """Return how often each has happened; those that never did are left out."""
        return {refusal: times for refusal, times in self._counts.items() if times}
