"""What this peer has: its part of the ring, what of it is free, and who holds the rest."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from ripstop.core.address import Range, format_address
from ripstop.core.ipam.holdings import Holdings
from ripstop.core.ipam.messages import RingStart, Token
from ripstop.core.ipam.ring import FIRST_VERSION, Change, Owner, Ring, Stamped
from ripstop.core.ipam.saved import Outbox, Saved
from ripstop.core.ipam.space import Space, subtract
from ripstop.core.names import ContainerId


class Estate:
    """Ring, free space and holdings of one peer, always in step with each other and with what is to be on disk.

    An address is free here if we own it, nobody holds it, and it is not contested.  Whoever calls something that takes
    an `Outbox` must perform all that is in it, in one transaction, before the result is known to anybody.
    """

    def __init__(self, owner: Owner, universe: Range, saved: Saved) -> None:
        self.owner = owner
        self.universe = universe
        self.ring: Ring | None = None
        self.start: RingStart | None = None
        self.holdings = Holdings(saved.held)
        self.contested: list[Range] = list(saved.contested)
        self.strays: dict[int, ContainerId] = {}  # held here although they belong to somebody else, as far as is known
        self.frozen = False  # whether nothing of ours may be given out for now, neither to containers nor to peers
        self._owned: list[Range] = []
        self._settled: list[Range] = []  # contested once, and somebody else's now
        self._space = Space()
        if saved.start is not None and saved.universe == universe:
            self.start, self.ring = saved.start, Ring(saved.start)
            self.ring.merge(saved.tokens)
            self._refresh()

    @property
    def owned(self) -> tuple[Range, ...]:
        """All that is ours, in order."""
        return tuple(self._owned)

    @property
    def changed_tokens(self) -> list[Stamped]:
        """The tokens that do not follow from how the ring began."""
        return [one for one in self.ring.tokens if one.version > FIRST_VERSION] if self.ring else []

    def free(self, within: Range) -> int:
        """Return how many addresses of a range could be given out here."""
        return self._space.count(within)

    def is_contested(self, address: int) -> bool:
        """Return whether an address is ours, but not only ours."""
        return any(address in contested for contested in self.contested)

    def adopt(self, start: RingStart, tokens: Iterable[Stamped], out: Outbox) -> None:
        """Enter a ring; the one we had, if any, is forgotten."""
        self._forget(out)
        self.start, self.ring = start, Ring(start)
        out.save_universe(self.universe)
        out.save_start(start)
        self._save(self.ring.merge(tokens), out)
        self._refresh()

    def merge(self, news: Iterable[Stamped], out: Outbox) -> Change:
        """Take in what became known of the ring; only tokens that fit it."""
        if self.ring is None:
            return Change()
        tokens = list(news)
        rivals = [rival for one in tokens for rival in self.ring.rivals(one, self.owner)]
        before = list(self._owned)
        change = self.ring.merge(tokens)
        if not change.written and not rivals:
            return change
        self._save(change, out)
        for rival in rivals:
            self._contest(rival, out)
        self._refresh()
        for lost in subtract(before, self._owned):
            self._report_loss(lost, out)
        return change

    def become(self, owner: Owner, out: Outbox) -> None:
        """Be another owner from now on: with a new birth, or without what only a former self of ours knew of."""
        if owner == self.owner:
            return
        self.owner, before = owner, self._owned
        self._refresh()
        for lost in subtract(before, self._owned):
            self._report_loss(lost, out)

    def donate(self, wanted: Range, to: Owner, out: Outbox) -> tuple[Range, tuple[Stamped, ...]]:
        """Give about half of what is free in a range, or one address if just that is wanted.

        Returns:
            what was given, empty if nothing is free, and the tokens that say so.
        """
        given = self._space.donation(wanted)
        if self.ring is None or self.frozen or not given:
            return Range(wanted.start, wanted.start), ()
        self._space.remove(given)
        change = self.ring.grant(given, to, self.owner, self.free)
        self._publish(change, out)
        self._owned = self.ring.ranges(self.owner)
        return given, change.written

    def join(self, out: Outbox) -> None:
        """Make one token of neighbouring ones of ours."""
        if self.ring is not None:
            self._publish(self.ring.join(self.owner, self.free), out)

    def confirm(self, gone: frozenset[int], out: Outbox) -> None:
        """Write anew in our own name what owners gave us that are about to be written off."""
        if self.ring is not None:
            self._publish(self.ring.confirm(self.owner, lambda token: token.giver in gone), out)

    def inherit(self, is_left: Callable[[Token], bool], fence: int, strays: Mapping[int, Owner], out: Outbox) -> int:
        """Take over what owners left that are gone; return how many addresses that is.

        Args:
            is_left: whether what a token speaks of is left to us.
            fence: how far to go beyond the versions known.
            strays: addresses that containers of others hold, who shall own them.
            out: takes what is to be written and told.
        """
        if self.ring is None:
            return 0
        before = sum(map(len, self._owned))
        strays = {one: owner for one, owner in strays.items() if self.holdings.holder(one) is None}
        change = self.ring.inherit(self.owner, is_left, fence, strays, len)
        if change.written:
            self._publish(change, out)
            self._refresh()
        return sum(map(len, self._owned)) - before

    def hand_over(self, takes: Callable[[Token], bool], out: Outbox) -> int:
        """Give ranges that are wholly free to whoever owns what is next to them, so that the ring stays small.

        The largest stays, and at no time is more given than kept.

        Args:
            takes: whether the owner of a token may be given anything.
            out: takes what is to be written and told.

        Returns:
            how many ranges were given.
        """
        if self.ring is None or self.frozen:
            return 0
        given = 0
        spare = sorted((len(one), one) for one in self._owned if self.free(one) == len(one))
        left = self.free(self.universe)
        for size, one in spare if len(self._owned) > 1 else ():
            if left - size < size:
                break
            beside = (self.ring.segment(one.start - 1), self.ring.segment(one.end))
            to = next((part.stamped.token for part in beside if part and takes(part.stamped.token)), None)
            if to is not None:
                self.give(one, Owner(to.owner, to.birth), out)
                left -= size
                given += 1
        return given

    def give(self, given: Range, to: Owner, out: Outbox) -> tuple[Stamped, ...]:
        """Give a range that is ours, whether it is free or not."""
        if self.ring is None:
            return ()
        change = self.ring.grant(given, to, self.owner, self.free)
        self._publish(change, out)
        self._refresh()
        return change.written

    def leave(self, heir: Owner | None, out: Outbox) -> None:
        """Give all that is ours to a peer that stays in the ring, and forget the ring."""
        if self.ring is not None and heir is not None:
            for owned in self._owned:
                self._publish(self.ring.grant(owned, heir, self.owner, self.free), out)
        self._forget(out)

    def allocate(self, container: ContainerId, within: Range, out: Outbox) -> int | None:
        """Give the lowest free address of a range to a container."""
        address = None if self.frozen else self._space.lowest(within)
        if address is not None:
            self.take(address, container, out)
        return address

    def take(self, address: int, container: ContainerId, out: Outbox) -> None:
        """Give a certain address, which nobody may hold, to a container."""
        self.holdings.hold(address, container)
        self._space.remove(Range(address, address + 1))
        out.save_held(address, container)

    def reconcile(self, living: Mapping[ContainerId, Sequence[int]], out: Outbox) -> bool:
        """Believe what was found: which containers there are, and their addresses; return whether that is news."""
        there = {address: container for container, addresses in living.items() for address in addresses}
        held = dict(self.holdings)
        for address, container in held.items():
            if there.get(address) != container:
                self.holdings.drop(address)
                out.save_held(address, None)
                if any(address in owned for owned in self._owned) and not self.is_contested(address):
                    self._space.add(Range(address, address + 1))
        for address, container in there.items():
            if held.get(address) != container:
                self.take(address, container, out)
        if held != there:
            self._refresh()
        return held != there

    def forget_settled(self, out: Outbox) -> None:
        """Forget contests over what is not ours any more."""
        for one in self._settled:
            self.contested.remove(one)
            out.drop_contested(one)
        self._settled = []

    def release(self, container: ContainerId, out: Outbox) -> list[int]:
        """Take everything a container holds."""
        addresses = self.holdings.release(container)
        for address in addresses:
            out.save_held(address, None)
            self.strays.pop(address, None)
            if any(address in owned for owned in self._owned) and not self.is_contested(address):
                self._space.add(Range(address, address + 1))
        return addresses

    def _refresh(self) -> None:
        """Bring owned and free addresses in step with the ring, touching only what changed hands."""
        owned = self.ring.ranges(self.owner) if self.ring else []
        for lost in subtract(self._owned, owned):
            self._space.remove(lost)
        for gained in subtract(owned, self._owned):
            self._space.add(gained)
            for address in self.holdings.within(gained):
                self._space.remove(Range(address, address + 1))
        for contested in self.contested:
            self._space.remove(contested)
        self._owned = owned
        self._settled = [one for one in self.contested if not any(one.overlaps(own) for own in owned)]
        outside = subtract([self.universe], owned) if self.ring else []
        stray = [address for run in outside for address in self.holdings.within(run)]
        self.strays = {address: container for address in stray if (container := self.holdings.holder(address))}

    def _contest(self, rival: Range, out: Outbox) -> None:
        """Stop giving out a range that another peer believes to own as well, for one of us is wrong."""
        if any(known.covers(rival) for known in self.contested):
            return
        self.contested.append(rival)
        out.save_contested(rival)
        out.notice("error", f"{rival} is owned by another peer as well: no address of it is given out from now on")

    def _report_loss(self, lost: Range, out: Outbox) -> None:
        held = [format_address(address) for address in self.holdings.within(lost)]
        if held:
            out.notice("error", f"{lost} was taken from us, but containers here hold {', '.join(held[:8])}")
        else:
            out.notice("warning", f"{lost} was taken from us")

    def _forget(self, out: Outbox) -> None:
        if self.ring is not None:
            out.drop_start()
        for token in self.changed_tokens:
            out.drop_token(token.token.start)
        for contested in self.contested:
            out.drop_contested(contested)
        self.ring, self.start, self.contested = None, None, []
        self.strays, self._owned, self._space = {}, [], Space()

    def _publish(self, change: Change, out: Outbox) -> None:
        if self.ring is not None:
            self._save(change, out)
            for one in change.written:
                out.announce_token(self.ring.id, one)

    def _save(self, change: Change, out: Outbox) -> None:
        for start in change.dropped:
            out.drop_token(start)
        for one in change.written:
            out.save_token(one)
