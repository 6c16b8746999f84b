"""Who may own addresses of our ring, whose word it takes to be sure of our own, and who inherits from the dead.

Theory of operation.  A ring has a roster: every peer that may own addresses.  Three questions are settled by asking
its peers for their word, which each writes to disk before it gives it:

- *Am I still an owner?*  After its machine restarted, a peer may have been written off; a newcomer may not be known to
  those who could write off the peer that gives it space.  Both are in doubt, and use nothing, until a majority of the
  roster has given its word that it knows them.  Whoever has lost its disk since, or is being written off itself, cannot
  say whether a restarted one was; if too few others are left for a majority, that one begins anew.  Nor can a newcomer
  vouch for anybody before a majority knows it (`Word.new`): whoever writes off need not have asked it.
- *Is that owner gone?*  People say so (`rmpeer`), or its own new self does, which has lost the disk.  Whoever gives
  its word takes no address any more that the dead gave and that has not come yet, and writes what did come anew in its
  own name.  With the word of everybody, the heir knows who owns what, and the rest of what the dead owned is its own.
- *I am leaving* (`reset`): the same, said by the owner itself.

Fewer than a majority can be written off together; so whoever writes off asks at least one of any majority, and hears of
every newcomer.  In doubt, only those count for this that have vouched for us: of the others some may be new.  Those
whose heir is written off before it has everybody's word count as well: one after the other is together.  Two that would
be heirs of one owner need each other's word, so at most one of them gets it.

An heir may have given addresses to its containers, told nobody, and lost its disk while they live.  So a word names
*strays*: addresses that containers of its giver hold and that no token it knows makes its own.  Whoever is the heir
next gives what it inherits of them to the peer whose containers hold them, and has the rest.

The dead cannot be asked, and may have been heirs of each other.  So whoever is asked names all that it knows of any of
them, those included that only the asker knows to be dead; and when an heir hears of one more, it asks everybody anew.

A word is given for all that was asked or not at all.  A refusal names the owners that are not the asker's to inherit,
which leaves them to somebody else and asks everybody anew for the rest; so nobody acts on a word that was given for
something else.  To whom it leaves them depends on why:

- *Settled*: the refuser has everybody's word for them already.
- *Alive*: the peer is there.  Once it has been told that it is written off it is another owner, and looks after
  whatever it sees of what it was; nobody but an heir that is settled comes before it.
- *Rivalry*: the refuser is about to have one of them.  The lower name wins, and takes up all that the other asked for:
  what an owner had and what its heir had should not go to two.  Only what a peer was itself it leaves to that peer.

This ends: what is refused leaves the question, and comes back to the asker neither at once (`ASK_HEIR_AGAIN`) nor by
way of a rival, for among rivals everything moves to lower names only.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from random import Random

from ripstop.core.ipam.messages import RingStart, Token, Word, WordWanted
from ripstop.core.ipam.poll import Poll
from ripstop.core.ipam.ring import FENCE, Owner
from ripstop.core.ipam.roster import Roster
from ripstop.core.ipam.saved import Disk, Key, Outbox, Saved, WrittenOff
from ripstop.core.names import PeerName

LOOK_ROUND = 5  # rounds of asking, 8 s, until one that knows nobody else believes that there is nobody
ASK_HEIR_AGAIN = 60.0  # seconds; the heir of our former self may have lost its disk, and with it what it had


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a peer gets our word."""

    refusal: str = ""  # why not; "" if it does
    refused: tuple[Key, ...] = ()  # what it cannot have; nothing: it may ask again
    ours: Mapping[Key, int] = field(default_factory=dict)  # of that, what we look after now, and their lives


class Succession:
    """The roster of our ring, our doubt, and the owners that are written off."""

    def __init__(self, own: PeerName, saved: Saved, disk: Disk, name: Callable[[PeerName], str], rng: Random) -> None:
        self._own, self._name, self._rng = own, name, rng
        self.roster = Roster(saved.members, saved.start)
        self.gone = dict(saved.gone)
        self.births = frozenset(birth for _, birth in self.gone if birth)  # of all owners written off
        self.doubt = saved.doubt or disk is not Disk.CURRENT  # without a ring too: one may have been made with us
        self._newcomer = saved.doubt or disk is Disk.OLD
        self.is_new = saved.new or disk is Disk.OLD  # whether a majority has yet to know us
        self._has_restarted = disk is Disk.UNSURE
        self._vouching: Poll | None = None
        self._taking: Poll | None = None
        self._leaving: Poll | None = None
        self._telling: Poll | None = None
        self.strays: dict[int, Owner] = {}  # of what we inherit: addresses that living containers of others hold
        self._strangers: dict[PeerName, None] = {}  # met in doubt after a restart; nobody of ours has vouched for them
        self._with_others: dict[Key, float] = {}  # owners whose heir has refused us its word, and until when we heed it

    @property
    def own(self) -> PeerName:
        """Our name."""
        return self._own

    @property
    def is_newcomer(self) -> bool:
        """Whether we are in doubt because most of the roster does not know us yet."""
        return self.doubt and self._newcomer

    @property
    def is_forsaken(self) -> bool:
        """Whether we are in doubt, and too few are left who could end it."""
        return self.doubt and not self._newcomer and len(self._witnesses()) < self._needed()

    @property
    def others(self) -> list[PeerName]:
        """All others that may own addresses, sorted."""
        return [key[0] for key in self.roster if key[0] != self._own and key not in self.gone]

    @property
    def deadline(self) -> float:
        """When somebody must be asked again, in seconds."""
        polls = (self._vouching, self._taking, self._leaving, self._telling)
        return min([poll.due for poll in polls if poll is not None], default=inf)

    @property
    def taking(self) -> tuple[Key, ...]:
        """The owners whose addresses we shall get, once everybody has given his word."""
        return tuple(sorted(key for key, off in self.gone.items() if off.heir == self._own and not off.done))

    @property
    def inherited(self) -> dict[Key, None]:
        """The owners whose addresses are ours to take."""
        return dict.fromkeys(key for key, off in sorted(self.gone.items()) if off.heir == self._own and off.done)

    @property
    def is_leaving(self) -> bool:
        """Whether we have begun to leave: what is given to us now is not ours."""
        return self._leaving is not None

    @property
    def has_left(self) -> bool:
        """Whether the heir of a peer that leaves knows of it, and everybody else who could be asked."""
        return self._leaving is not None and self._leaving.heir in self._leaving.words

    def enter(self, start: RingStart, owner: Owner, out: Outbox) -> None:
        """Begin with the roster of another ring."""
        for key in self.gone:
            out.save_gone(key, None)
        self.gone, self.births = {}, frozenset()
        self._vouching = self._taking = self._leaving = None
        self.roster.enter(start, out)
        births = dict(zip(start.members, start.births, strict=False))
        known = births.get(owner.name, owner.birth) if owner.name in start.members else None
        self._newcomer = known != owner.birth or owner.reborn
        self.note(owner.name, owner.birth, out)
        self.is_new = self._newcomer
        if self._newcomer:
            self._doubt(True, out)

    def note(self, peer: PeerName, birth: int, out: Outbox, life: int = 0) -> None:
        """Take note that a peer is in our ring, and how often its machine has restarted, if that is known."""
        settled = {key for key, off in self.gone.items() if off.done}
        if self.roster.note(peer, birth, life, settled, out) and self._taking is not None:
            self._taking.words.pop(peer, None)

    def meet(self, peer: PeerName, birth: int, out: Outbox, *, new: bool) -> None:
        """Take note that a peer says it is in our ring, and whether a majority has yet to know it."""
        if self.roster.birth(peer) != birth and self.doubt and not self._newcomer:
            self._strangers[peer] = None
        self.note(peer, birth, out)
        if not new:
            self.roster.know(peer, birth, out)

    def is_gone(self, peer: PeerName, birth: int) -> bool:
        """Return whether an owner is written off; without a birth, whether any self of that peer is."""
        if birth:
            return (peer, birth) in self.gone
        return any(name == peer for name, _ in self.gone)

    @property
    def fence(self) -> int:
        """How far beyond what is known an heir's versions go: further than those of any heir that it inherits from."""
        return FENCE * (len(self.gone) + 1)

    def is_written_off(self, token: Token) -> bool:
        """Return whether nobody may give out the addresses of a token until the heir has taken them."""
        return token.giver in self.births or (token.owner, token.birth) in self.gone

    def is_left(self, token: Token) -> bool:
        """Return whether the addresses of a token are ours to take."""
        ours = self.inherited
        owner = (token.owner, token.birth)
        if owner in self.gone:  # its heir's, whoever inherits from the giver
            return owner in ours
        return any(birth == token.giver for _, birth in ours if birth)

    def write_off(self, key: Key, heir: PeerName, out: Outbox, *, done: bool = False, life: int | None = None) -> None:
        """Take an owner for gone from now on.

        Args:
            key: the owner.
            heir: who gets what it owned.
            out: takes what is to be kept.
            done: whether the heir has everybody's word.
            life: how often its machine had restarted when people said that it is dead; None: as often as we know of.
        """
        known = self.gone.get(key)
        if life is None:
            life = known.life if known else self.roster.life(key)
        written_off = WrittenOff(heir, done, life)
        if known != written_off:
            self.gone[key] = written_off
            self.births = frozenset(birth for _, birth in self.gone if birth)
            out.save_gone(key, written_off)

    def give_up(self, now: float, out: Outbox) -> dict[Key, str]:
        """Leave to others what was refused us; return that, and why.  For the rest everybody is asked anew."""
        if self._taking is None or not self._taking.refused:
            return {}
        refused, self._taking = self._taking.refused, None
        for key, (other, _) in refused.items():
            self.write_off(key, other.heir, out, done=other.done)
            self._with_others[key] = now + ASK_HEIR_AGAIN
        return {key: why for key, (_, why) in refused.items()}

    def begin_anew(self, owner: Owner, out: Outbox) -> None:
        """Be a newcomer: we have been written off, and are another owner now."""
        self._newcomer, self.is_new, self._vouching, self._taking = True, True, None, None
        self._strangers = {}
        self.note(owner.name, owner.birth, out)
        self._doubt(True, out)

    def too_many(self, names: Iterable[PeerName]) -> bool:
        """Return whether so many cannot be written off at once without guessing what they did meanwhile."""
        living, unsettled = self.counted(names)
        dying = {name for name in names if name in self.others} | unsettled
        most = (living - 1) // 2 if self.doubt else living // 2  # in doubt, we may be written off ourselves
        return len(dying) > most

    def counted(self, names: Iterable[PeerName]) -> tuple[int, set[PeerName]]:
        """Return how many peers there are, and which dead ones among them count if these are written off as well.

        Of the living only those are counted that a majority knows; in doubt, only those that have vouched for us.
        """
        unsettled = self._unsettled({*names, self._own}) | (self.roster.blanks - {self._own})
        dead = {name for name in names if name in self.others} | unsettled
        living = self._vouchers() if self.doubt else [peer for peer in self.others if self.roster.is_known(peer)]
        return len({*living, *dead}) + 1, unsettled

    def leave(self, heir: PeerName, owner: Owner, out: Outbox) -> None:
        """Begin to say that we are leaving; whatever comes, this owner is no more."""
        key = (owner.name, owner.birth)
        self._leaving = Poll(self._draw(), (key,), heir)
        self._taking = None  # whoever is our heir inherits from others in our stead
        self.write_off(key, heir, out)

    def stay(self) -> None:
        """Say so no more."""
        self._leaving = None

    def judge(self, peer: PeerName, wanted: WordWanted, reachable: Mapping[PeerName, None]) -> Verdict:
        """Return whether we give a peer our word."""
        own = self._name(self._own)
        is_news = wanted.new or peer in self._strangers or self.roster.birth(peer) != wanted.birth
        if is_news and self.doubt and not self._newcomer:
            text = f"{own} has restarted and must hear from others itself before it gives its word to a newcomer"
            return Verdict(text)
        refused: dict[Key, str] = {}
        rivalry = ""
        for dead, birth, life in wanted.gone:
            key, name, known = (dead, birth), self._name(dead), self.gone.get((dead, birth))
            is_ours = known is not None and known.heir == self._own and wanted.heir != self._own
            if known is not None and is_ours and known.done:
                refused[key] = f"{own} has what {name} owned"
            elif dead == peer:
                pass  # nobody is closer to what it was
            elif dead == self._own:
                self._with_others.pop(key, None)  # whoever asks for what we were has lost what it had of it
                refused[key] = f"{name} is alive"
            elif dead in reachable:
                refused[key] = f"{name} is alive: {own} can reach it"
            elif self.roster.life(key) > life:
                refused[key] = f"{name} is alive: it has restarted since, and {own} has heard of it"
            elif is_ours and self._own < peer and not self.is_leaving:
                rivalry = f"{own} is about to have what {name} owned"
        ours = {}
        if rivalry:
            others = [(dead, birth, life) for dead, birth, life in wanted.gone if dead != peer]
            ours = {(dead, birth): life for dead, birth, life in others if (dead, birth) not in refused}
            refused |= dict.fromkeys(ours, rivalry)
        return Verdict(next(iter(refused.values()), ""), tuple(refused), ours)

    def promise(self, peer: PeerName, wanted: WordWanted, out: Outbox) -> None:
        """Keep what our word to a peer means."""
        heir = wanted.heir or peer
        for name, birth, life in wanted.gone:
            key = (name, birth)
            if key not in self.gone or self.gone[key].heir != heir:
                self.write_off(key, heir, out, life=life)
        if not self.is_gone(peer, wanted.birth):
            self.note(peer, wanted.birth, out, wanted.life)

    def word(self, ring: str, nonce: int, refusal: str = "", refused: tuple[Key, ...] = ()) -> Word:
        """Return what we know, without tokens."""
        gone = tuple((name, birth, off.life, off.heir) for (name, birth), off in sorted(self.gone.items()))
        settled = tuple(key for key, off in sorted(self.gone.items()) if off.done)
        peers = tuple((*key, self.roster.life(key)) for key in self.roster)
        return Word(ring, nonce, refusal, peers, gone, settled=settled, refused=refused, new=self.is_new)

    def hear(self, peer: PeerName, word: Word, owner: Owner, out: Outbox) -> bool:
        """Take a peer's word; return whether it says that we ourselves are written off."""
        for name, birth, life, heir in word.gone:
            key = (name, birth)
            done = key in word.settled and heir != self._own  # what a former self of ours had settled is lost
            known = self.gone.get(key)
            is_settled_now = known is not None and known.heir != self._own and done and not known.done
            if key != (owner.name, owner.birth) and (known is None or is_settled_now):
                self.write_off(key, heir, out, done=done, life=life)
        for name, birth, _ in word.peers:
            if name == peer and self.doubt and not self._newcomer and not self.is_gone(name, birth or -1):
                self.meet(name, birth, out, new=word.new)  # its word may be faster than its ballot
        for name, birth, life in word.peers if peer not in self._strangers else ():
            before = self.roster.birth(name)
            is_same = before == birth
            if is_same:
                self._strangers.pop(name, None)
            stale = self.is_gone(name, before) if before else True
            is_back = stale and not (birth and self.is_gone(name, birth))
            if name != self._own and (is_same or is_back):
                self.note(name, birth, out, life)
        if self._is_told(word, owner):
            return True
        for poll in (self._vouching, self._taking, self._leaving):
            if poll is not None and poll.nonce == word.nonce:
                if not word.refusal and word.new and poll is self._vouching:
                    poll.new[peer] = None  # it is asked again, until it is known itself
                elif not word.refusal:
                    poll.words[peer] = word.strays
                    poll.new.pop(peer, None)
                for key in (key for key in word.refused if key in poll.gone):
                    is_theirs = any(key == (name, birth) and heir == peer for name, birth, _, heir in word.gone)
                    other = WrittenOff(peer, key in word.settled) if is_theirs else WrittenOff(key[0])
                    poll.refused.setdefault(key, (other, word.refusal))
        return False

    def step(self, ring: str, owner: Owner, reachable: Mapping[PeerName, None], now: float, out: Outbox) -> None:
        """Ask whoever is to be asked, and conclude what can be concluded."""
        if self.roster.birth(self._own) != owner.birth:
            self.note(self._own, owner.birth, out)
        if self._has_restarted:
            self._has_restarted = False
            self.note(owner.name, owner.birth, out, self.roster.life((owner.name, owner.birth)) + 1)
        if self.doubt:
            self._vouching = self._vouching or Poll(self._draw())
            if self.missing() <= 0 and (self.others or self._vouching.rounds >= LOOK_ROUND):
                self._doubt(False, out)
                self._vouching = None
        dead = {name for name, _ in self.taking}
        for key, off in sorted(self.gone.items()):  # whom we inherit from may have been an heir itself
            if off.heir in dead and off.heir != self._own and now >= self._with_others.get(key, -inf):
                self.write_off(key, self._own, out)
        keys = () if self.is_leaving else self.taking  # a word that was given before we said so gives us nothing
        if not keys:
            self._taking = None
        else:
            dead_too = tuple(key for key in sorted(self.gone) if key not in keys)
            if self._taking is None or (self._taking.gone, self._taking.dead) != (keys, dead_too):
                self._taking = Poll(self._draw(), keys, dead=dead_too)
        if self._taking is not None and all(peer in self._taking.words for peer in self.others):
            self.strays = {
                address: Owner(peer, self.roster.birth(peer) or 0)
                for peer, strays in sorted(self._taking.words.items())
                for address in strays
            }
            for key in keys:
                self.write_off(key, self._own, out, done=True)
            self._taking = None
            for peer in self.others:
                if peer in reachable:
                    out.tell(peer, self.word(ring, 0))
            if self.doubt and not self._strangers:  # everybody knows us
                self._doubt(False, out)
                self._vouching = None
        unaware = self._unaware(reachable)
        self._telling = (self._telling or Poll(0)) if unaware else None
        if self._telling is not None and self._telling.next_round(now):
            for peer in unaware:
                out.tell(peer, self.word(ring, 0))
        for poll in (self._vouching, self._taking, self._leaving):
            if poll is not None and poll.next_round(now):
                for peer in self.others:
                    if peer in reachable and peer not in poll.words:
                        gone = tuple((*key, self.gone[key].life if key in self.gone else 0) for key in poll.gone)
                        life, new = self.roster.life((owner.name, owner.birth)), self.is_new
                        out.tell(peer, WordWanted(ring, poll.nonce, owner.birth, life, gone, poll.heir, poll.dead, new))

    def former(self, births: Iterable[int], now: float) -> list[Key]:
        """Return which former selves of ours nobody is known to inherit from; these are ours to look after.

        Args:
            births: of our former selves that own something.
            now: in seconds.
        """
        keys = [(self._own, birth) for birth in births]
        return [
            key
            for key in keys
            if key not in self.gone or (self.gone[key].heir != self._own and now >= self._with_others.get(key, -inf))
        ]

    def hurry(self) -> None:
        """Ask again now: somebody can be reached who could not."""
        for poll in (self._vouching, self._taking, self._leaving, self._telling):
            if poll is not None:
                poll.due, poll.rounds = -inf, 0

    def missing(self) -> int:
        """Return how many more must give us their word before we use what is ours."""
        return self._needed() - len(self._vouchers())

    def doubtful(self) -> str:
        """Return what we wait for while in doubt, for people."""
        if not self.others:
            return "this host looks first for others of its ring, of whom it knows nobody; if there are none, for 8 s"
        vouchers = self._vouchers()
        names = [self._name(peer) for peer in self._witnesses() if peer not in vouchers]
        why = "is new in the ring" if self._newcomer else "has restarted"
        where = " on another host, or here with --force if there is none" if self._newcomer else ""
        return (
            f"this host {why} and must first hear from {self.missing()} of {', '.join(names)};"
            f" if they are dead, say so with `ripstop rmpeer`{where}"
        )

    def awaited(self, reachable: Mapping[PeerName, None]) -> str:
        """Return whose word is missing until we are heir, for people; "" if we are not about to be."""
        if self._taking is None or not self.taking:
            return ""
        dead = ", ".join(sorted({self._name(name) for name, _ in self.taking}))
        missing = [peer for peer in self.others if peer not in self._taking.words]
        names = ", ".join(self._name(peer) + ("" if peer in reachable else " (cannot be reached)") for peer in missing)
        return f"taking over what {dead} owned: waiting for the word of {names}, who may have been given some of it"

    def _witnesses(self) -> list[PeerName]:
        """Return whose word can end our doubt."""
        return [peer for peer in self.others if peer not in self._strangers and peer not in self._new()]

    def _new(self) -> Collection[PeerName]:
        """Return who says that it is new, since we are in doubt: nobody writes us off with its help any more."""
        return self._vouching.new if self._vouching else ()

    def _vouchers(self) -> list[PeerName]:
        """Return who of these has given it."""
        return [peer for peer in self._witnesses() if self._vouching and peer in self._vouching.words]

    def _needed(self) -> int:
        """Return how many of them it takes."""
        others, witnesses = self.others, len(self._witnesses())
        # Those who cannot say any more what they gave their word for count as well.
        unsettled = {name for (name, _), off in self.gone.items() if not off.done} - {*others, self._own}
        if self._newcomer:  # its own word does not count: those it has not asked would not know of it
            return min((witnesses + len(unsettled)) // 2 + 1, witnesses)
        counted = [peer for peer in others if peer not in self._new()]
        return (len(counted) + len(unsettled) + 1) // 2

    def _is_told(self, word: Word, owner: Owner) -> bool:
        """Return whether a word says that we are written off, and not because we said so."""
        is_leaving = self._leaving is not None and self._leaving.nonce == word.nonce
        return not is_leaving and any((name, birth) == (owner.name, owner.birth) for name, birth, _, _ in word.gone)

    def _unsettled(self, heirs: set[PeerName]) -> set[PeerName]:
        """Return which of the dead peers one of these was to inherit from, or their heirs, and may not have yet."""
        heirs, dead = set(heirs), set[PeerName]()
        while True:
            more = {name for (name, _), off in self.gone.items() if off.heir in heirs and not off.done}
            more -= {*dead, self._own}
            if not more:
                return dead - {*self.others}
            dead |= more
            heirs |= more

    def _unaware(self, reachable: Mapping[PeerName, None]) -> list[PeerName]:
        """Return who is here and seems not to know that it is written off."""
        return [name for name, birth in self.roster if name in reachable and (name, birth) in self.gone]

    def _doubt(self, doubt: bool, out: Outbox) -> None:
        self._strangers = {}
        self.doubt, self.is_new = doubt, self.is_new and doubt
        out.save_doubt(doubt, new=self.is_new)

    def _draw(self) -> int:
        return self._rng.getrandbits(63) | 1
