"""What follows for our own estate from who is gone: who we are, what we inherit, and what our word costs us."""

from collections.abc import Iterable

from msgspec.structs import replace

from ripstop.core.ipam.council import Council
from ripstop.core.ipam.estate import Estate
from ripstop.core.ipam.messages import Word, WordWanted
from ripstop.core.ipam.orders import Orders
from ripstop.core.ipam.ring import Owner
from ripstop.core.ipam.saved import Key, Outbox
from ripstop.core.ipam.search import Search
from ripstop.core.ipam.succession import Succession
from ripstop.core.names import PeerName


class Probate:
    """Keeps the estate in step with the succession, so that what a word promises is true when it leaves."""

    def __init__(
        self, estate: Estate, council: Council, succession: Succession, search: Search, orders: Orders
    ) -> None:
        self._estate, self._council, self._succession = estate, council, succession
        self._search, self._orders = search, orders

    def step(self, now: float, out: Outbox) -> bool:
        """Settle who we are in the ring, and what is ours by inheritance; return whether anything was inherited."""
        ring, estate, succession = self._estate.ring, self._estate, self._succession
        if ring is None:
            return False
        if not succession.doubt and not succession.is_leaving:
            owner = estate.owner
            tokens = [part.stamped.token for part in ring.segments]
            births = {token.birth: None for token in tokens if token.owner == owner.name and token.birth != owner.birth}
            births |= {token.giver: None for token in tokens if (owner.name, token.giver) in succession.gone}
            self.write_off(succession.former([birth for birth in births if birth or owner.reborn], now), out)
        refusal = succession.refused()
        if refusal:
            self._orders.refuse(refusal, out)
            succession.give_up(now, out)
        succession.step(ring.id, estate.owner, self._search.reachable, now, out)
        if self._orders.gave_up_leaving:
            self.be_reborn(out)  # some may know already that we left
        estate.frozen = succession.doubt or succession.is_leaving
        gained = 0
        if succession.inherited and not succession.is_leaving:
            gained = estate.inherit(succession.is_left, succession.fence, succession.strays, out)
        self._orders.gained += gained
        return gained > 0

    def write_off(self, keys: Iterable[Key], out: Outbox) -> None:
        """Begin to take over what owners had that are gone."""
        keys = list(keys)
        self._estate.confirm(frozenset(birth for _, birth in keys if birth), out)
        for key in keys:
            self._succession.write_off(key, self._succession.own, out)
        self.identify(out)

    def give_word(self, peer: PeerName, wanted: WordWanted, out: Outbox) -> None:
        """Give a peer our word, or say why not."""
        ring, succession = self._estate.ring, self._succession
        if ring is None or wanted.ring != ring.id:
            return
        leaves = any(key[:2] == (peer, wanted.birth) for key in wanted.gone)
        if succession.is_gone(peer, wanted.birth) and not leaves:
            out.tell(peer, succession.word(ring.id, wanted.nonce, "written off"))
            return
        refusal = succession.judge(peer, wanted, self._search.reachable)
        if refusal:
            out.tell(peer, succession.word(ring.id, wanted.nonce, refusal))
            return
        births = frozenset(birth for _, birth, _ in wanted.gone if birth)
        self._estate.confirm(births, out)
        succession.promise(peer, wanted, out)
        self.identify(out)
        dead = {key[:2] for key in wanted.gone}
        known = [part.stamped for part in ring.segments]
        tokens = tuple(
            (one.version, one.token)
            for one in known
            if self._estate.owner.owns(one.token)
            or (one.token.owner, one.token.birth) in dead  # so that the heir goes beyond all that they wrote
            or one.token.giver in births
        )
        strays = tuple(sorted(self._estate.strays))
        out.tell(peer, replace(succession.word(ring.id, wanted.nonce), tokens=tokens, strays=strays))

    def take_word(self, peer: PeerName, word: Word, out: Outbox) -> None:
        """Take a peer's word, whose tokens are merged already; it may be that we are written off ourselves."""
        before = self._estate.owner
        is_written_off = self._succession.hear(peer, word, before, out)
        if is_written_off:
            out.notice("error", "this peer was written off while it was away; what it owned goes to its heir")
            self.be_reborn(out)
        self._estate.confirm(self._succession.births - before.gone, out)
        self.identify(out)

    def be_reborn(self, out: Outbox) -> None:
        """Be another owner: the one that we were is written off."""
        before = self._estate.owner
        self._orders.gave_up_leaving = False
        self._council.leave()
        self._succession.begin_anew(self._council.owner, out)
        self.write_off([(before.name, before.birth)], out)  # we are back: nobody is closer to what we had

    def identify(self, out: Outbox) -> None:
        """Let the estate be that of whoever we are now."""
        self._estate.become(identity(self._council, self._succession), out)


def identity(council: Council, succession: Succession) -> Owner:
    """Return ourselves, as the ring knows us."""
    owner = council.owner
    return Owner(owner.name, owner.birth, owner.reborn, succession.births)
