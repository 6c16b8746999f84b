"""One peer's allocator: takes requests and news, and routes them to the parts that know."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from random import Random
from typing import assert_never

from msgspec.structs import replace

from ripstop.core.address import Range
from ripstop.core.effects import Effect, Internal
from ripstop.core.errors import ConflictError, RequestError
from ripstop.core.ipam.council import Council
from ripstop.core.ipam.donor import Donor
from ripstop.core.ipam.estate import Estate
from ripstop.core.ipam.messages import (
    Ballot,
    IpamMessage,
    RingStart,
    SpaceAnswer,
    SpaceWanted,
    Token,
    Word,
    WordWanted,
)
from ripstop.core.ipam.orders import Orders
from ripstop.core.ipam.paxos import Consensus, Init, Observer, Seed
from ripstop.core.ipam.probate import Probate, identity
from ripstop.core.ipam.requests import Pending, taken
from ripstop.core.ipam.ring import Ring, Stamped, ring_id
from ripstop.core.ipam.saved import Disk, Outbox, Saved
from ripstop.core.ipam.search import Search
from ripstop.core.ipam.space import usable
from ripstop.core.ipam.status import AllocatorStatus, Waiting, shares
from ripstop.core.ipam.succession import Succession
from ripstop.core.mesh.messages import Entry
from ripstop.core.names import ContainerId, PeerName, RequestId, is_peer_name

JOIN_AFTER = 10.0  # seconds of quiet before neighbouring tokens of ours become one
HAND_OVER_AFTER = (10.0, 30.0)  # seconds after that, drawn evenly, until spare ranges go to those next to them

Effects = list[Effect | Internal]


def parse_init(text: str, targets: int) -> Init:
    """Read how the first ring comes about: `consensus`, `consensus=N`, `seed=NAME,…` or `observer`.

    Args:
        text: what the user wrote.
        targets: how many initial peers there are; with ourselves, that many are expected.

    Raises:
        RequestError: it is none of these.
    """
    mode, has_value, value = text.partition("=")
    if mode == "consensus" and not has_value:
        return Consensus(targets + 1)
    if mode == "consensus" and value.isascii() and value.isdigit() and 0 < int(value) <= 65535:
        return Consensus(int(value))
    if text == "observer":
        return Observer()
    names = sorted({name.strip() for name in value.split(",")})
    if mode == "seed" and all(map(is_peer_name, names)):
        return Seed(tuple(PeerName(name) for name in names))
    raise RequestError(
        f"init {text!r}: write consensus, consensus=N (N peers expected), seed=NAME,NAME,… (16 hex digits each,"
        " see --name), or observer"
    )


class Allocator:
    """Gives addresses to containers, alone where it can, with other peers' help where it must."""

    def __init__(
        self, own: PeerName, universe: Range, init: Init, saved: Mapping[str, bytes], now: float, rng: Random,
        disk: Disk = Disk.CURRENT,
    ) -> None:  # fmt: skip
        """Restore what was saved; everything held stays held.

        Args:
            own: our name.
            universe: all addresses that the peers share out.
            init: how the first ring comes about, if there is none yet.
            saved: everything on disk; keys that do not start with `ipam/` are ignored.
            now: in seconds.
            rng: draws identities, back-off and whom to ask.
            disk: whether `saved` is what this peer knew last.

        Raises:
            StartError: something on disk cannot be read.
        """
        self.deadline = now  # when `tick` next has something to do, in seconds
        self._own, self._universe = own, universe
        self._people_say: Callable[[PeerName], str] = str
        restored = Saved(saved)
        self._saved: Saved | None = restored  # until the first call has said what follows from it
        self._rng = rng
        self._council = Council(own, universe, init, restored, disk, self._name, rng)
        self._succession = Succession(own, restored, disk, self._name, rng)
        self._estate = Estate(identity(self._council, self._succession), universe, restored)
        self._estate.frozen = self._succession.doubt
        self._search = Search(self._estate, self._council, self._succession, self._name, rng)
        self._orders = Orders(self._estate, self._council, self._succession, self._name)
        self._probate = Probate(self._estate, self._council, self._succession, self._search, self._orders)
        self._donor = Donor(self._estate)
        self._pending: list[Pending] = []  # oldest first
        self._disputed: dict[int, None] = {}  # addresses held here and elsewhere, of which people were told
        self._join_at, self._hand_over_at = now + JOIN_AFTER, inf

    @property
    def ready(self) -> bool:
        """Whether there is a ring."""
        return self._estate.ring is not None

    @property
    def in_doubt(self) -> bool:
        """Whether nothing of ours is used until others have given their word."""
        return self._succession.doubt

    @property
    def ring(self) -> Ring | None:
        """The ring as it is known here; not to be changed by anybody else."""
        return self._estate.ring

    @property
    def owned(self) -> tuple[Range, ...]:
        """All addresses that only we may give out, in order."""
        return self._estate.owned

    @property
    def held(self) -> tuple[tuple[int, ContainerId], ...]:
        """All addresses that containers here hold, in order, and who holds them."""
        return tuple(self._estate.holdings)

    @property
    def strays(self) -> tuple[int, ...]:
        """Addresses that containers here hold and that are not ours to give, in order."""
        return tuple(sorted(self._estate.strays))

    def holder(self, address: int) -> ContainerId | None:
        """Return which container here holds an address."""
        return self._estate.holdings.holder(address)

    def holders(self) -> tuple[ContainerId, ...]:
        """Return every container here that holds an address, sorted."""
        return self._estate.holdings.containers

    def use_names(self, name: Callable[[PeerName], str]) -> None:
        """Take what gives the names under which people know the peers; they appear in texts only."""
        self._people_say = name

    def allocate(self, request: RequestId, container: ContainerId, subnet: Range, wait: float, now: float) -> Effects:
        """Give a container the lowest free address of a subnet; the same one again if it has one there."""
        out = self._begin()
        want, waits = usable(subnet), False
        if not self._universe.covers(subnet):
            out.answer(request, RequestError(f"subnet {subnet} is not within the range {self._universe}"))
        elif not want:
            out.answer(
                request, RequestError(f"subnet {subnet} is too small: it has no address besides its first and last")
            )
        else:
            waits = self._request(Pending(request, container, subnet, want, now + wait), now, out)
        return self._end(now, out) if waits else self._close(out)

    def claim(self, request: RequestId, container: ContainerId, address: int, wait: float, now: float) -> Effects:
        """Record that a container has a certain address; outside the universe nobody else is asked."""
        out = self._begin()
        one = Range(address, address + 1)
        waits = self._request(Pending(request, container, one, one, now + wait), now, out)
        return self._end(now, out) if waits else self._close(out)

    def reconcile(self, living: Mapping[ContainerId, Sequence[int]], now: float) -> Effects:
        """Believe what was found: the containers there are, and their addresses, whoever owns them.

        What others hold according to us is free again; a container whose request is not answered yet keeps waiting.
        """
        out = self._begin()
        if self._estate.reconcile(living, out):
            self._settle(now, out)
        return self._end(now, out)

    def prime(self, request: RequestId, wait: float, now: float) -> Effects:
        """Have a first ring made though no container waits for one; answers when there is one."""
        out = self._begin()
        self._orders.prime(request, now + wait)
        self._settle(now, out)
        return self._end(now, out)

    def remove(
        self, request: RequestId, names: Sequence[PeerName], wait: float, now: float, *, force: bool = False
    ) -> Effects:
        """Take over what peers owned that are dead for good; answers with the number of addresses."""
        out = self._begin()
        keys = self._orders.remove(request, names, now + wait, self._search.reachable, out, force=force)
        self._probate.write_off(keys, out, {key: self._succession.roster.life(key) for key in keys})
        self._settle(now, out)
        return self._end(now, out)

    def reset(self, request: RequestId, wait: float, now: float) -> Effects:
        """Leave the ring: all that is ours goes to a peer that stays; answers with the number of addresses."""
        out = self._begin()
        self._orders.reset(request, now + wait, self._search.reachable, out)
        self._settle(now, out)
        return self._end(now, out)

    def release(self, container: ContainerId, now: float) -> Effects:
        """Free all addresses of a container, and stop getting it more."""
        out = self._begin()
        for pending in self._pending:
            if pending.container == container:
                out.answer(pending.request, ConflictError(f"container {container} was released while it waited"))
        self._pending = [pending for pending in self._pending if pending.container != container]
        if self._estate.release(container, out):
            self._settle(now, out)
        return self._end(now, out)

    def cancel(self, request: RequestId, now: float) -> Effects:
        """Drop a request whose caller has gone."""
        out = self._begin()
        self._pending = [pending for pending in self._pending if pending.request != request]
        self._orders.cancel(request)
        return self._end(now, out)

    def learn(self, entries: Iterable[Entry], now: float) -> Effects:
        """Take news from the mesh: entries of the channels ring, ring-start and paxos; others are ignored."""
        out = self._begin()
        tokens: list[Stamped] = []
        for entry in entries:
            match entry.value:
                case RingStart():
                    self._council.sightings.hear_start(entry.key.removeprefix("ring-start/"), entry.value)
                case Token():
                    ring = entry.key.removeprefix("ring/").rpartition("/")[0]
                    if self._estate.ring is not None and ring == self._estate.ring.id:
                        tokens.append(Stamped(entry.version, entry.value))
                    else:
                        self._council.sightings.stash(ring, Stamped(entry.version, entry.value))
                case Ballot():
                    peer = PeerName(entry.key.removeprefix("paxos/"))
                    self._council.hear_ballot(peer, entry.version, entry.value, out)
                    ring = self._estate.ring.id if self._estate.ring is not None else ""
                    is_ours = ring != "" and entry.value.ring == ring and peer != self._own
                    if is_ours and not self._succession.is_gone(peer, entry.value.birth):
                        self._succession.meet(peer, entry.value.birth, out, new=entry.value.new)
                case _:
                    pass  # of another channel
        self._merge(tokens, now, out)
        self._settle(now, out)
        return self._end(now, out)

    def hear(self, peer: PeerName, message: IpamMessage, now: float) -> Effects:
        """Take what a peer told us."""
        out = self._begin()
        match message:
            case SpaceWanted():
                if self._donor.answer(peer, message, out):
                    self._join_at = now + JOIN_AFTER
            case SpaceAnswer():
                if self._estate.ring is None or message.ring != self._estate.ring.id:
                    message = replace(message, granted=0, tokens=())
                self._take_told(message.tokens, now, out)
                self._search.hear(peer, message)
                self._settle(now, out)
            case WordWanted():
                self._probate.give_word(peer, message, out)
                self._settle(now, out)
            case Word():
                if self._estate.ring is not None and message.ring == self._estate.ring.id:
                    self._take_told(message.tokens, now, out)
                    self._probate.take_word(peer, message, out)
                self._settle(now, out)
            case _:
                assert_never(message)
        return self._end(now, out)

    def set_reachable(self, peers: Iterable[PeerName], now: float) -> Effects:
        """Take which other peers can be reached."""
        out = self._begin()
        before = self._search.reachable
        self._search.reachable = dict.fromkeys(sorted(peer for peer in peers if peer != self._own))
        back = [peer for peer in self._search.reachable if peer not in before]
        if back:
            self._succession.hurry()
        self._settle(now, out)
        return self._end(now, out)

    def tick(self, now: float) -> Effects:
        """Do what is due: time-outs, the next peer to ask, the next round of the election."""
        out = self._begin()
        self._settle(now, out)
        if now >= self._join_at:
            self._estate.join(out)
            self._join_at, self._hand_over_at = inf, now + self._rng.uniform(*HAND_OVER_AFTER)
        if now >= self._hand_over_at:
            self._hand_over_at = inf
            if not self._pending and self._estate.hand_over(self._search.takes, out):
                self._join_at = now + JOIN_AFTER
        return self._end(now, out)

    def status(self) -> AllocatorStatus:
        """Return all there is to see."""
        ring, estate = self._estate.ring, self._estate
        free = estate.free(usable(self._universe))
        return AllocatorStatus(
            universe=self._universe,
            ring=ring.id if ring else "",
            why="" if ring else str(self._search.no_ring()),
            members=ring.members if ring else (),
            shares=shares(ring, self._own, free, self._search.reachable, self._search.is_lost),
            free=free,
            held=self.held,
            waiting=tuple(
                Waiting(one.request, one.container, one.subnet, str(self._search.why(one)), one.deadline)
                for one in self._pending
            ),
            contested=tuple(sorted(estate.contested)),
            strays=tuple(sorted(estate.strays)),
            foreign=self._council.foreign(ring.id if ring else ""),
            doubt=self._succession.doubtful() if ring and self._succession.doubt else "",
            taking=self._succession.awaited(self._search.reachable) if ring else "",
        )

    # Requests

    def _request(self, pending: Pending, now: float, out: Outbox) -> bool:
        """Answer a request; return whether it waits instead."""
        result = self._attempt(pending, out)
        if result is not None:
            out.answer(pending.request, result)
            return False
        is_known = any(one.want == pending.want for one in self._pending)
        self._pending.append(pending)
        if not is_known:  # of thousands that wait for the same, each would look at all
            self._settle(now, out)
        return True

    def _attempt(self, pending: Pending, out: Outbox) -> int | RequestError | None:
        """Answer a request if what is here is enough for that; None if it must wait."""
        estate = self._estate
        has = estate.holdings.of(pending.container, pending.subnet)
        if has is not None:
            return has
        if not pending.is_claim:
            return estate.allocate(pending.container, pending.want, out)
        address = pending.want.start
        holder = estate.holdings.holder(address)
        if holder is not None:
            return taken(address, holder)
        if address in self._universe and (estate.frozen or not any(address in owned for owned in estate.owned)):
            return None
        if estate.is_contested(address):
            return self._search.why(pending)
        estate.take(address, pending.container, out)
        return address

    def _settle(self, now: float, out: Outbox) -> None:
        """Bring everything as far as it goes with what is known now."""
        self._enter_ring(now, out)
        if self._probate.step(now, out):
            self._join_at = now + JOIN_AFTER
        self._estate.forget_settled(out)
        self._search.forget()
        self._answer_pending(lambda pending: self._attempt(pending, out), out)
        if self._estate.ring is not None and not self._estate.frozen:
            strays = [self._reclaim(address) for address in self._estate.strays]
            self._search.go_on([*self._pending, *strays], now, out)
            self._answer_pending(
                lambda pending: self._search.why(pending) if self._search.is_over(pending) else None, out
            )
            self._report_disputes([stray for stray in strays if self._search.is_over(stray)], out)
        self._answer_pending(lambda pending: self._search.why(pending) if now >= pending.deadline else None, out)
        self._orders.settle(self._search.reachable, self._search.no_ring, now, out)

    def _answer_pending(self, result_of: Callable[[Pending], int | RequestError | None], out: Outbox) -> None:
        waiting = []
        for pending in self._pending:
            result = result_of(pending)
            if result is None:
                waiting.append(pending)
            else:
                out.answer(pending.request, result)
        self._pending = waiting

    def _reclaim(self, address: int) -> Pending:
        """Return our own wish to own what a container here holds."""
        one = Range(address, address + 1)
        return Pending(None, self._estate.strays[address], one, one, inf)

    def _report_disputes(self, disputed: list[Pending], out: Outbox) -> None:
        """Say once of each address that a container here and somebody else's hold it."""
        for claim in disputed:
            if claim.want.start not in self._disputed:
                self._disputed[claim.want.start] = None
                out.notice("error", f"container {claim.container} here is in conflict: {self._search.why(claim)}")

    # Ring

    def _enter_ring(self, now: float, out: Outbox) -> None:
        """Enter the ring that is best for us, if that is not where we are."""
        estate, council, reachable = self._estate, self._council, self._search.reachable
        self._probate.identify(out)
        while True:
            ring = estate.ring
            start = council.step(ring.id if ring else "", self._holds(), reachable, self._wants_ring(), now, out)
            if start is None:
                return
            if ring is not None:
                out.notice("info", f"leaving ring {ring.id}, in which nobody holds an address, for {ring_id(start)}")
                estate.leave(council.heir(ring.id, reachable), out)
                for stamped in ring.tokens:
                    council.sightings.stash(ring.id, stamped)
                council.leave()
            self._succession.enter(start, council.owner, out)
            for peer in council.sightings.users(ring_id(start)):
                ballot = council.sightings.ballots[peer]
                self._succession.meet(peer, ballot.birth, out, new=ballot.new)
            self._probate.identify(out)
            estate.adopt(start, council.sightings.take(ring_id(start)), out)
            out.announce(f"ring-start/{ring_id(start)}", 1, start)
            births = dict(zip(start.members, start.births, strict=False))
            if births.get(self._own, estate.owner.birth) != estate.owner.birth:
                out.notice("warning", "this peer's former share of the ring is not given out: its state is gone")

    def _wants_ring(self) -> bool:
        return bool(self._pending) or self._orders.priming

    def _take_told(self, tokens: Iterable[tuple[int, Token]], now: float, out: Outbox) -> None:
        """Take tokens that a peer told us alone, and pass them on: it may die before anybody else hears of them."""
        ring = self._estate.ring
        if ring is not None:
            for one in self._merge([Stamped(version, token) for version, token in tokens], now, out):
                out.announce_token(ring.id, one)

    def _merge(self, tokens: list[Stamped], now: float, out: Outbox) -> tuple[Stamped, ...]:
        """Take tokens of our ring; return those that were news."""
        ring = self._estate.ring
        if ring is None:
            return ()
        for malformed in (token for token in tokens if not ring.fits(token)):
            out.notice("warning", f"token for {malformed.range} ignored: it is not within {self._universe}")
        change = self._estate.merge([token for token in tokens if ring.fits(token)], out)
        if change.written:
            self._join_at, self._hand_over_at = now + JOIN_AFTER, inf
        return change.written

    # Beginning and end of each call

    def _begin(self) -> Outbox:
        out = Outbox()
        if self._saved is None:
            return out
        saved, self._saved = self._saved, None
        if saved.universe is not None and saved.universe != self._universe:
            out.notice("warning", f"the range was {saved.universe} and is {self._universe} now: its ring is forgotten")
            out.drop_start()
            for stamped in saved.tokens:
                out.drop_token(stamped.token.start)
            for contested in saved.contested:
                out.drop_contested(contested)
        out.drop_disk()
        if self._succession.doubt:
            out.save_doubt(True, new=self._succession.is_new)
        owner = self._estate.owner
        if (owner.name, owner.birth) in self._succession.gone:  # we were leaving when we stopped
            self._probate.be_reborn(out)
        if self._estate.ring is not None and self._estate.start is not None:
            out.announce(f"ring-start/{self._estate.ring.id}", 1, self._estate.start)
            for stamped in self._estate.changed_tokens:  # a crash may have come between saving and telling
                out.announce_token(self._estate.ring.id, stamped)
        self._publish_ballot(out, always=True)
        return out

    def _end(self, now: float, out: Outbox) -> Effects:
        """Close a call after which something else may be due than before."""
        self._disputed = {address: None for address in self._disputed if address in self._estate.strays}
        due = [pending.deadline for pending in self._pending]
        due += (self._council.deadline, self._orders.deadline, self._join_at, self._hand_over_at)
        if self._estate.ring is not None:
            due += (self._search.deadline, self._succession.deadline)
        self.deadline = max(now, min(due))
        return self._close(out)

    def _close(self, out: Outbox) -> Effects:
        self._publish_ballot(out)
        return out.effects()

    def _publish_ballot(self, out: Outbox, *, always: bool = False) -> None:
        ring, new = self._estate.ring.id if self._estate.ring else "", self._succession.is_new
        self._council.publish(ring, self._holds(), self._wants_ring(), new, out, always=always)

    def _holds(self) -> bool:
        """Return whether a container here holds an address that other peers must not give out."""
        return self._estate.holdings.any_within(self._universe)

    def _name(self, peer: PeerName) -> str:
        return self._people_say(peer)
