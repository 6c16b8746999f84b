"""What follows for our own estate from who is gone: who we are, what we inherit, and what our word costs us."""

from collections.abc import Iterable, Mapping

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

MAX_TOLD = 16384  # tokens in one message, which may have 1 MiB; neighbours become one in quiet times


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
        if succession.is_forsaken:
            out.notice(
                "warning", "this host has restarted, and too few others have their state: what it owned is sorted out"
            )
            self.be_reborn(out)
        self._look_after_former(now, out)
        self._orders.refuse(succession.give_up(now, out), out)
        doubted = succession.doubt
        succession.step(ring.id, estate.owner, self._search.reachable, now, out)
        if doubted and not succession.doubt:
            self._look_after_former(now, out)
            succession.step(ring.id, estate.owner, self._search.reachable, now, out)
        if self._orders.gave_up_leaving:
            self.be_reborn(out)  # some may know already that we left
        estate.frozen = succession.doubt or succession.is_leaving
        gained = 0
        if succession.inherited and not succession.is_leaving:
            gained = estate.inherit(succession.is_left, succession.fence, succession.strays, out)
        self._orders.gained += gained
        return gained > 0

    def write_off(self, keys: Iterable[Key], out: Outbox, lives: Mapping[Key, int] | None = None) -> None:
        """Begin to take over what owners had that are gone.

        Args:
            keys: the owners.
            out: takes what is to be kept, written and told.
            lives: how often their machines had restarted when people said that they are dead, if somebody else knows.
        """
        keys = list(keys)
        if not keys:
            return
        self._estate.confirm(frozenset(birth for _, birth in keys if birth), out)
        for key in keys:
            self._succession.write_off(key, self._succession.own, out, life=lives[key] if lives else None)
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
        verdict = succession.judge(peer, wanted, self._search.reachable)
        if verdict.refusal:
            self.write_off(verdict.ours, out, verdict.ours)
            out.tell(peer, succession.word(ring.id, wanted.nonce, verdict.refusal, verdict.refused))
            return
        if wanted.gone and len(ring.tokens) > MAX_TOLD:
            text = f"the ring has {len(ring.tokens)} ranges, too many to tell of; it is asked again"
            out.tell(peer, succession.word(ring.id, wanted.nonce, text))
            return
        self._estate.confirm(frozenset(birth for _, birth, _ in wanted.gone if birth), out)
        succession.promise(peer, wanted, out)
        self.identify(out)
        dead = {*succession.gone, *wanted.dead}
        births = {birth for _, birth in dead if birth}
        tokens = tuple(
            (one.version, one.token)
            for one in ring.tokens
            if wanted.gone  # all of it: what we gave away to one that has been asked before us, that one has not told
            or self._estate.owner.owns(one.token)
            or (one.token.owner, one.token.birth) in dead  # nobody else speaks for them, and the heir goes beyond them
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

    def _look_after_former(self, now: float, out: Outbox) -> None:
        """Begin to take over what former selves of ours have, unless somebody else is known to."""
        ring, owner, succession = self._estate.ring, self._estate.owner, self._succession
        if ring is None or succession.doubt or succession.is_leaving:
            return
        births: dict[int, None] = {}
        for part in ring.segments:
            token = part.stamped.token
            if token.owner == owner.name and token.birth != owner.birth:
                births[token.birth] = None
            if (owner.name, token.giver) in succession.gone:
                births[token.giver] = None
        if not owner.reborn:
            births.pop(0, None)  # the first tokens of a ring whose members were given are our own
        self.write_off(succession.former(births, now), out)


def identity(council: Council, succession: Succession) -> Owner:
    """Return ourselves, as the ring knows us."""
    owner = council.owner
    return Owner(owner.name, owner.birth, owner.reborn, succession.births)
