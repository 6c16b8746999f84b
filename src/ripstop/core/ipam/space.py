"""Which addresses of our own are free: sorted runs, the lowest address first."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from ripstop.core.address import Range


class Space:
    """A set of free addresses, kept as maximal runs in order.

    Every operation costs the logarithm of the number of runs (and a short memory move), but `largest_run` and `count`
    look at each run in the range they are asked about.
    """

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for one in ranges:
            self.add(one)

    def __iter__(self) -> Iterator[Range]:
        return (Range(start, end) for start, end in zip(self._starts, self._ends, strict=True))

    def __contains__(self, address: int) -> bool:
        index = bisect_right(self._starts, address) - 1
        return index >= 0 and address < self._ends[index]

    def add(self, run: Range) -> None:
        """Make addresses free; those that are already so stay so."""
        if not run:
            return
        first = bisect_left(self._ends, run.start)  # the first run that touches ours
        last = bisect_right(self._starts, run.end)  # the first run beyond
        start, end = run.start, run.end
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def remove(self, run: Range) -> None:
        """Make addresses no longer free, whether they were or not."""
        if not run:
            return
        first = bisect_right(self._ends, run.start)  # the first run with an address at or after our start
        last = bisect_left(self._starts, run.end)
        if first >= last:
            return
        left, right = self._starts[first], self._ends[last - 1]
        rest = [Range(left, run.start), Range(run.end, right)]
        kept = [piece for piece in rest if piece.start < piece.end]
        self._starts[first:last] = [piece.start for piece in kept]
        self._ends[first:last] = [piece.end for piece in kept]

    def lowest(self, within: Range) -> int | None:
        """Return the lowest free address in a range."""
        index = bisect_right(self._ends, within.start)
        if index == len(self._starts):
            return None
        address = max(self._starts[index], within.start)
        return address if address < within.end else None

    def count(self, within: Range) -> int:
        """Return how many addresses of a range are free."""
        return sum(len(run) for run in self._runs(within))

    def donation(self, within: Range) -> Range:
        """Return what to give to a peer that asks for space in a range: about the upper half of the largest free run.

        Splits where the addresses are rounder, within the middle half of the run, so that tokens stay block-like.
        Empty if nothing is free.
        """
        largest = Range(within.start, within.start)
        for run in self._runs(within):
            if len(run) > len(largest):
                largest = run
        if len(largest) < 2:
            return largest
        return Range(
            _roundest(largest.start + -(-len(largest) // 4), largest.start + 3 * len(largest) // 4), largest.end
        )

    def _runs(self, within: Range) -> Iterator[Range]:
        for index in range(bisect_right(self._ends, within.start), bisect_left(self._starts, within.end)):
            yield Range(max(self._starts[index], within.start), min(self._ends[index], within.end))


def usable(subnet: Range) -> Range:
    """Return what of a subnet may be given to containers: all but its network and broadcast address."""
    return Range(subnet.start + 1, max(subnet.start + 1, subnet.end - 1))


def subtract(ranges: Sequence[Range], others: Sequence[Range]) -> list[Range]:
    """Return the addresses of `ranges` that are not in `others`; both sorted and without overlap."""
    rest = Space(ranges)
    for other in others:
        rest.remove(other)
    return list(rest)


def _roundest(low: int, high: int) -> int:
    """Return the number in [low, high] that the highest power of two divides."""
    step = 1
    while (high // (2 * step)) * 2 * step >= low:
        step *= 2
    return high // step * step
