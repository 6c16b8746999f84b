"""The ring: which peer owns which addresses, as a replicated value that any order of news brings to the same end.

Theory of operation.  Think of every address as a register that holds (version, owner).  Only the owner writes it, each
time with the next version; so its history is one line, and whoever knows more of it knows better.  A token is a run of
such registers written together.  The ring is what the tokens that are known say when, at each address, the highest
version counts.  From this follows all that matters:

- A peer that gave an address away knows so (it wrote it, on disk before anybody heard), so nobody ever takes an address
  for its own that is not, however late, doubled, lost or out of order the news comes.
- Merging is taking the maximum at every address: commutative, associative, idempotent.
- Tokens may be split and joined freely, for a new token's version is above all that its addresses ever had.
- Part of a token is as true as the whole.  Where a shorter one replaces a token, the rest of that stays (`_beyond`), so
  no address is ever without an owner, and nobody takes what merely has not been heard of for what nobody has.

What two writers wrote at one version (a disk restored from an old copy, a cloned host) is settled by the order of the
owners' names, the same everywhere, and reported by `rivals`: the allocator then keeps its hands off that range.
"""

import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2s
from itertools import pairwise

from msgspec.structs import replace

from ripstop.core.address import Range
from ripstop.core.ipam.messages import RingStart, Token
from ripstop.core.ipam.space import subtract
from ripstop.core.names import PeerName

FIRST_VERSION = 1  # of the tokens that every peer derives from the ring's start
FENCE = 1 << 20  # versions: more than any owner ever writes of its own accord


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns addresses: a peer for as long as its disk lives.

    A peer that comes back with an empty disk has a new birth: what its former self owned, and may have given to
    containers or to peers without any trace left here, is not its own.
    """

    name: PeerName
    birth: int
    reborn: bool = False  # known to have lived before: tokens without a birth are its former self's
    gone: frozenset[int] = frozenset()  # births of owners written off: what they gave and we had not is not ours, nor
    # is anything once we are among them

    def owns(self, token: Token) -> bool:
        """Return whether a token is this owner's."""
        is_own = token.birth == self.birth or (token.birth == 0 and not self.reborn)
        return token.owner == self.name and is_own and token.giver not in self.gone and self.birth not in self.gone


@dataclass(frozen=True, slots=True)
class Stamped:
    """A token with its version."""

    version: int
    token: Token

    @property
    def range(self) -> Range:
        """The addresses it speaks of."""
        return Range(self.token.start, self.token.end)

    @property
    def rank(self) -> tuple[int, PeerName, int, int, int]:
        """Where two tokens speak of one address, the higher rank counts."""
        return self.version, self.token.owner, self.token.birth, self.token.start, self.token.end


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of addresses for which one and the same token counts."""

    start: int
    end: int
    stamped: Stamped

    @property
    def owner(self) -> PeerName:
        """Whose addresses these are."""
        return self.stamped.token.owner

    @property
    def range(self) -> Range:
        """The addresses."""
        return Range(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Change:
    """What an operation did to the set of tokens."""

    written: tuple[Stamped, ...] = ()  # without what follows from the ring's start
    dropped: tuple[int, ...] = ()  # starts of tokens that no address needs any more


class Ring:
    """All tokens of one ring as far as they are known here."""

    def __init__(self, start: RingStart) -> None:
        self.id = ring_id(start)
        self.universe = Range(start.start, start.end)
        self.members = start.members
        self._first = first_tokens(start)
        self._tokens = {one.token.start: one for one in self._first}
        self._segments: list[Segment] | None = None
        self._check()

    @property
    def tokens(self) -> tuple[Stamped, ...]:
        """All tokens that count somewhere, in order."""
        return tuple(self._tokens[start] for start in sorted(self._tokens))

    @property
    def segments(self) -> list[Segment]:
        """Who owns what, in order, as far as is known here; no address is in none."""
        if self._segments is None:
            self._segments = resolve(self._tokens.values())
        return self._segments

    def segment(self, address: int) -> Segment | None:
        """Return the segment that an address is in."""
        index = bisect_right(self.segments, address, key=lambda segment: segment.start) - 1
        if index < 0 or address >= self.segments[index].end:
            return None
        return self.segments[index]

    def owner(self, address: int) -> PeerName | None:
        """Return who owns an address; None if that is not known yet."""
        segment = self.segment(address)
        return segment.owner if segment else None

    def within(self, within: Range) -> list[Segment]:
        """Return the segments that overlap a range."""
        first = bisect_right(self.segments, within.start, key=lambda segment: segment.end)
        last = bisect_right(self.segments, within.end - 1, key=lambda segment: segment.start)
        return self.segments[first:last]

    def ranges(self, owner: Owner) -> list[Range]:
        """Return all that a peer owns, neighbours joined."""
        ranges: list[Range] = []
        for segment in self.segments:
            if not owner.owns(segment.stamped.token):
                continue
            if ranges and ranges[-1].end == segment.start:
                ranges[-1] = Range(ranges[-1].start, segment.end)
            else:
                ranges.append(segment.range)
        return ranges

    def rivals(self, news: Stamped, owner: Owner) -> list[Range]:
        """Return the addresses of `owner` that the news gives to somebody else at the very same version."""
        if owner.owns(news.token):
            return []
        return [
            segment.range.intersection(news.range)
            for segment in self.within(news.range)
            if owner.owns(segment.stamped.token) and segment.stamped.version == news.version
        ]

    def fits(self, news: Stamped) -> bool:
        """Return whether a token speaks of addresses of the universe; nothing else is ever merged."""
        return news.token.start < news.token.end and self.universe.covers(news.range)

    def merge(self, news: Iterable[Stamped]) -> Change:
        """Take in tokens from elsewhere; what is known better here stays.

        Raises:
            ValueError: a token reaches beyond the universe; nothing of the news was taken.
        """
        news = list(news)
        for one in news:
            if not self.fits(one):
                raise ValueError(f"token {one.token.start}-{one.token.end} is not within {self.universe}")
        return self._write(news)

    def grant(self, given: Range, to: Owner, owner: Owner, free: Callable[[Range], int]) -> Change:
        """Give addresses of `owner` to another peer.

        Args:
            given: what to give; all of it must belong to `owner`.
            to: who gets it.
            owner: who gives; the caller, for only an owner may do this.
            free: how many addresses of a range are free, for the hints in the tokens.
        """
        parts = self.within(given)
        _must(all(owner.owns(part.stamped.token) for part in parts), f"{given} is not all owned by {owner.name}")
        _must(sum(len(part.range.intersection(given)) for part in parts) == len(given), f"{given} has gaps")
        touched = {part.stamped.token.start for part in parts}
        written: list[Stamped] = []
        for part in self.segments:  # all that the tokens to be replaced stand for, also outside `given`
            if part.stamped.token.start not in touched:
                continue
            middle, version = part.range.intersection(given), part.stamped.version + 1
            if not middle:
                written.append(self._stamp(version, part.range, owner, owner, free(part.range)))
                continue
            before, after = Range(part.start, middle.start), Range(middle.end, part.end)
            written += [self._stamp(version, rest, owner, owner, free(rest)) for rest in (before, after) if rest]
            written.append(self._stamp(version, middle, to, owner, len(middle)))
        kept = subtract(self.ranges(owner), [given])
        change = self._write(written)
        _must(self.ranges(owner) == kept, f"giving {given} changed more than that")
        return change

    def inherit(
        self,
        heir: Owner,
        is_left: Callable[[Token], bool],
        fence: int,
        strays: Mapping[int, Owner],
        free: Callable[[Range], int],
    ) -> Change:
        """Take over the addresses of owners that are gone.

        Only their one heir may do so, once everybody who may have had addresses from them has said what it has.

        Args:
            heir: the new owner.
            is_left: whether a token's owner is gone and `heir` is its heir.
            fence: how far to go beyond the versions known.
            strays: addresses that go to somebody else, because containers there hold them.
            free: how many addresses of a range are free, for the hints in the tokens.
        """
        left = [(part.range, part.stamped.version) for part in self.segments if is_left(part.stamped.token)]
        written: list[Stamped] = []
        for run, version in left:
            astray = [Range(one, one + 1) for one in sorted(strays) if one in run]
            written += [self._stamp(version + fence, one, strays[one.start], heir, 0) for one in astray]
            rest = subtract([run], astray)
            written += [self._stamp(version + fence, one, heir, heir, free(one)) for one in rest]
        return self._write(written)

    def confirm(self, owner: Owner, was_given: Callable[[Token], bool]) -> Change:
        """Write tokens of `owner` anew that another peer wrote, so that they count whatever becomes of that peer."""
        return self._write(
            [
                self._stamp(part.stamped.version + 1, part.range, owner, owner, part.stamped.token.free)
                for part in self.segments
                if owner.owns(part.stamped.token) and was_given(part.stamped.token)
            ]
        )

    def knows(self, news: Stamped) -> bool:
        """Return whether exactly this token counts here."""
        return self._tokens.get(news.token.start) == news

    def join(self, owner: Owner, free: Callable[[Range], int]) -> Change:
        """Write one token where `owner` has several side by side, so that the ring stays small."""
        owned = self.ranges(owner)
        written: list[Stamped] = []
        for one in owned:
            parts = self.within(one)
            whole = all(part.range == part.stamped.range for part in parts)  # no part stands for addresses elsewhere
            if len(parts) > 1 and whole:
                version = max(part.stamped.version for part in parts) + 1
                written.append(self._stamp(version, one, owner, owner, free(one)))
        change = self._write(written)
        _must(self.ranges(owner) == owned, "joining tokens changed who owns what")
        return change

    def _stamp(self, version: int, run: Range, owner: Owner, giver: Owner, free: int) -> Stamped:
        known = self._tokens.get(run.start)
        token = Token(run.start, owner.name, free, run.end, owner.birth, giver.birth)
        return Stamped(max(version, known.version + 1) if known else version, token)

    def _write(self, tokens: Iterable[Stamped]) -> Change:
        """Take in tokens; where another has the same start, the one of higher rank counts, and beyond it the other."""
        written: dict[int, Stamped] = {}
        for one in tokens:
            rest: Stamped | None = one
            while rest is not None:
                known = self._tokens.get(rest.token.start)
                if known is None or rest.rank > known.rank:
                    self._tokens[rest.token.start] = written[rest.token.start] = rest
                    rest = known and _beyond(known, rest)
                else:
                    rest = _beyond(rest, known)
        if not written:
            return Change()
        self._segments = None
        used = {segment.stamped.token.start for segment in self.segments}
        dropped = tuple(start for start in sorted(self._tokens) if start not in used)
        for start in dropped:
            del self._tokens[start]
        self._check()
        news = (written[start] for start in sorted(written) if start in used)
        return Change(tuple(one for one in news if one.version > FIRST_VERSION), dropped)

    def _check(self) -> None:
        at = self.universe.start
        for segment in self.segments:
            _must(at == segment.start < segment.end, f"segment {segment} is out of order")
            at = segment.end
        _must(at == self.universe.end, f"the ring ends at {at}")


def ring_id(start: RingStart) -> str:
    """Return what tells rings apart: 16 hex digits made of all that the ring began with."""
    text = f"{start.start}-{start.end} {','.join(start.members)} {start.nonce} {start.births}"
    return blake2s(text.encode(), digest_size=8).hexdigest()


def first_tokens(start: RingStart) -> list[Stamped]:
    """Divide the universe evenly among the members, in the order of their names: the same on every peer."""
    births = dict(zip(start.members, start.births, strict=False))
    names, size = sorted(set(start.members)), start.end - start.start
    bounds = [start.start + size * index // len(names) for index in range(len(names))] + [start.end]
    return [
        Stamped(FIRST_VERSION, Token(low, name, high - low, high, births.get(name, 0)))
        for name, low, high in zip(names, bounds, bounds[1:], strict=False)
        if low < high
    ]


def resolve(tokens: Iterable[Stamped]) -> list[Segment]:
    """Return for each address the token of highest rank, as segments in order."""
    ordered = sorted(tokens, key=lambda one: one.token.start)
    if all(one.token.end <= after.token.start for one, after in pairwise(ordered)):
        return [Segment(one.token.start, one.token.end, one) for one in ordered if one.range]
    rank = {one.token.start: place for place, one in enumerate(sorted(ordered, key=lambda one: one.rank, reverse=True))}
    bounds = sorted({one.token.start for one in ordered} | {one.token.end for one in ordered})
    segments: list[Segment] = []
    here: list[tuple[int, int]] = []  # a heap of (rank, index into `ordered`) of the tokens over `low`
    coming = 0
    for low, high in pairwise(bounds):
        while coming < len(ordered) and ordered[coming].token.start <= low:
            heapq.heappush(here, (rank[ordered[coming].token.start], coming))
            coming += 1
        while here and ordered[here[0][1]].token.end <= low:
            heapq.heappop(here)
        if not here:
            continue
        best = ordered[here[0][1]]
        if segments and segments[-1].stamped is best and segments[-1].end == low:
            segments[-1] = Segment(segments[-1].start, high, best)
        else:
            segments.append(Segment(low, high, best))
    return segments


def _beyond(one: Stamped, other: Stamped) -> Stamped | None:
    """Return what a token says of the addresses after another one's; it stays true, whoever has these by now."""
    end = other.token.end
    if one.token.end <= end:
        return None
    return Stamped(one.version, replace(one.token, start=end, free=min(one.token.free, one.token.end - end)))


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)
