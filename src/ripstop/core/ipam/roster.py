"""The roster of our ring: every peer that may own addresses, and whom one can count on.

A newcomer is *new* until a majority knows it.  Whoever counts majorities must not count it before: those that it has
not heard may have let in somebody else.  A peer that lost its disk comes back *blank*: new, and what it knew before,
nobody may know now.  Whether a peer is new is said by its ballot; until that is heard, it is.
"""

from collections.abc import Container, Iterator, Mapping

from ripstop.core.ipam.messages import RingStart
from ripstop.core.ipam.saved import Key, Member, Outbox, Standing
from ripstop.core.names import PeerName


class Roster:
    """Every peer that may own addresses, or ever might; who of them is gone is not known here."""

    def __init__(self, members: Mapping[PeerName, Member], start: RingStart | None) -> None:
        """Go on with what was saved, or with the peers among which a ring was divided."""
        self._members = dict(members)
        if start is not None and not members:
            births = zip(start.members, start.births, strict=False)
            self._members = {name: Member(birth, standing=Standing.KNOWN) for name, birth in births}
        self._lives = {(name, member.birth): member.life for name, member in self._members.items()}

    def __iter__(self) -> Iterator[Key]:
        """Go through all as they are now, by name."""
        return iter(sorted((name, member.birth) for name, member in self._members.items()))

    def birth(self, peer: PeerName) -> int | None:
        """Return the birth of a peer as it is now; None if it is not known."""
        member = self._members.get(peer)
        return member.birth if member else None

    def life(self, key: Key) -> int:
        """Return how often the machine of an owner has restarted, as far as is known here."""
        return self._lives.get(key, 0)

    def is_known(self, peer: PeerName) -> bool:
        """Return whether a majority knows a peer."""
        return peer in self._members and self._members[peer].standing is Standing.KNOWN

    @property
    def blanks(self) -> set[PeerName]:
        """The peers of which nobody may know what they knew."""
        return {name for name, member in self._members.items() if member.standing is Standing.BLANK}

    def enter(self, start: RingStart, out: Outbox) -> None:
        """Begin with the roster of another ring."""
        for name in self._members:
            out.drop_peer(name)
        self._members, self._lives = {}, {}
        births = dict(zip(start.members, start.births, strict=False))
        for name in start.members:
            self._put(name, Member(births.get(name, 0), standing=Standing.KNOWN), out)

    def note(self, peer: PeerName, birth: int, life: int, settled: Container[Key], out: Outbox) -> bool:
        """Take note of a peer, and how often its machine has restarted; return whether the peer is news.

        Args:
            peer: its name.
            birth: 0 if that is not known, which is news of strangers only.
            life: 0 if that is not known.
            settled: owners that somebody has inherited from, with the word of everybody.
            out: takes what is to be kept.
        """
        before = self._members.get(peer)
        if before is not None and (before.birth == birth or not birth):
            if before.birth == birth and life > before.life:
                self._put(peer, Member(birth, life, before.standing), out)
            return False
        was_counted = before is not None and before.standing is not Standing.NEW
        is_blank = was_counted and (peer, self.birth(peer)) not in settled
        standing = Standing.BLANK if is_blank else Standing.NEW
        self._put(peer, Member(birth, max(life, self.life((peer, birth))), standing), out)
        return True

    def know(self, peer: PeerName, birth: int, out: Outbox) -> None:
        """Take note that a majority knows a peer."""
        member = self._members.get(peer)
        if member is not None and member.birth == birth and member.standing is not Standing.KNOWN:
            self._put(peer, Member(birth, member.life, Standing.KNOWN), out)

    def _put(self, peer: PeerName, member: Member, out: Outbox) -> None:
        self._members[peer] = member
        self._lives[peer, member.birth] = member.life
        out.save_peer(peer, member)
