"""What people order: a first ring, to take over what the dead owned, to leave; answered when done, or in time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from ripstop.core.errors import ConflictError, NotFoundError, NotReadyError, RequestError
from ripstop.core.ipam.council import Council
from ripstop.core.ipam.estate import Estate
from ripstop.core.ipam.messages import SpaceAnswer
from ripstop.core.ipam.ring import Owner
from ripstop.core.ipam.saved import Key, Outbox
from ripstop.core.ipam.succession import Succession
from ripstop.core.names import PeerName, RequestId


@dataclass(frozen=True, slots=True)
class Order:
    """One that is not carried out yet."""

    request: RequestId
    deadline: float  # when it is answered whatever happens, in seconds
    keys: tuple[Key, ...] = ()  # of `remove`: the owners that are dead
    addresses: int = 0  # of `reset`: how many were given away


class Orders:
    """Everything ordered and not answered yet."""

    def __init__(
        self, estate: Estate, council: Council, succession: Succession, name: Callable[[PeerName], str]
    ) -> None:
        self.gave_up_leaving = False  # whether we began to leave and cannot
        self.gained = 0  # addresses inherited that no answer has told of yet
        self._estate, self._council, self._succession, self._name = estate, council, succession, name
        self._primes: list[Order] = []
        self._removals: list[Order] = []
        self._reset: Order | None = None

    @property
    def priming(self) -> bool:
        """Whether somebody waits for a first ring."""
        return bool(self._primes)

    @property
    def deadline(self) -> float:
        """When the next of them must be answered, in seconds."""
        orders = [*self._primes, *self._removals, *([self._reset] if self._reset else [])]
        return min([order.deadline for order in orders], default=inf)

    def prime(self, request: RequestId, deadline: float) -> None:
        """Wait for a first ring."""
        self._primes.append(Order(request, deadline))

    def cancel(self, request: RequestId) -> None:
        """Answer an order no more; what it began goes on."""
        self._primes = [order for order in self._primes if order.request != request]
        self._removals = [order for order in self._removals if order.request != request]

    def remove(
        self, request: RequestId, names: Sequence[PeerName], deadline: float, reachable: Mapping[PeerName, None],
        out: Outbox, *, force: bool,
    ) -> tuple[Key, ...]:  # fmt: skip
        """Return the owners to be written off; none if there is nothing to do or it is refused."""
        keys = self._keys(names)
        refusal = self._refusal(names, keys, reachable, force=force)
        if refusal is not None:
            out.answer(request, refusal)
            return ()
        gone = self._succession.gone
        if not self._removals:
            self.gained = 0  # what came by itself is nobody's answer
        self._removals.append(Order(request, deadline, tuple(keys)))
        # Who is believed to be the heir may have given up or died; if it has what they owned, it says so.
        return tuple(key for key in keys if key not in gone or gone[key].heir != self._succession.own)

    def reset(self, request: RequestId, deadline: float, reachable: Mapping[PeerName, None], out: Outbox) -> None:
        """Begin to leave the ring."""
        estate, ring = self._estate, self._estate.ring
        held = sorted({container for address, container in estate.holdings if address in estate.universe})
        if held:
            text = f"{len(held)} containers hold addresses here ({', '.join(held[:4])}); detach them first"
            out.answer(request, ConflictError(text))
            return
        if self._succession.is_leaving and not self._succession.has_left:
            out.answer(request, ConflictError("this peer is leaving already"))
            return
        if ring is None or not self._succession.others or self._succession.has_left:
            out.answer(request, 0)
            return
        staying = [peer for peer in self._council.sightings.users(ring.id) if peer in reachable]
        heir = next((peer for peer in staying if peer in self._succession.others), None)
        if heir is None:
            names = ", ".join(map(self._name, self._succession.others))
            text = f"nobody is here to take what this peer owns: {names} cannot be reached; connect one of them"
            out.answer(request, NotReadyError(text))
            return
        owned, tokens = estate.owned, []
        for one in owned:
            tokens += [*estate.give(one, Owner(heir, self._council.sightings.ballots[heir].birth), out)]
        if tokens:
            count, pairs = sum(map(len, owned)), tuple((token.version, token.token) for token in tokens)
            universe = estate.universe
            out.tell(heir, SpaceAnswer(universe.start, universe.end, count, ring.id, 0, tokens=pairs))
        self._succession.leave(heir, estate.owner, out)
        self._reset = Order(request, deadline, addresses=sum(map(len, owned)))

    def refuse(self, refused: Mapping[Key, str], out: Outbox) -> None:
        """Answer the removals of owners that somebody does not let us inherit from."""
        removals, self._removals = self._removals, []
        for order in removals:
            why = next((refused[key] for key in order.keys if key in refused), "")
            if not why:
                self._removals.append(order)
            elif any(key in self._succession.taking for key in order.keys):
                out.answer(order.request, ConflictError(f"not all is taken over: {why}; the rest goes on by itself"))
            elif all(map(self._is_anothers, order.keys)):
                out.answer(order.request, NotFoundError(f"nothing was taken over: {why}"))
            else:
                out.answer(order.request, ConflictError(f"nothing was taken over: {why}"))

    def settle(
        self, reachable: Mapping[PeerName, None], no_ring: Callable[[], NotReadyError], now: float, out: Outbox
    ) -> None:
        """Answer what is done, and what is due."""
        primes, self._primes = self._primes, []
        for order in primes:
            if self._estate.ring is not None:
                out.answer(order.request, 0)
            elif now >= order.deadline:
                out.answer(order.request, no_ring())
            else:
                self._primes.append(order)
        removals, self._removals = self._removals, []
        for order in removals:
            if not any(key in self._succession.taking for key in order.keys):
                out.answer(order.request, self.gained)
                self.gained = 0
            elif now >= order.deadline:
                awaited = self._succession.awaited(reachable)
                out.answer(order.request, NotReadyError(f"not yet; it goes on by itself: {awaited}"))
            else:
                self._removals.append(order)
        if self._reset is not None and self._succession.has_left:
            out.answer(self._reset.request, self._reset.addresses)  # now the state may be deleted, and must be
            self._reset = None
        elif self._reset is not None and now >= self._reset.deadline:
            out.answer(self._reset.request, NotReadyError("the peer that takes over has not confirmed; try again"))
            self._succession.stay()
            self._reset, self.gave_up_leaving = None, True

    def _is_anothers(self, key: Key) -> bool:
        """Return whether somebody else is known to have what an owner had."""
        off = self._succession.gone.get(key)
        return off is not None and off.done and off.heir != self._succession.own

    def _keys(self, names: Sequence[PeerName]) -> list[Key]:
        """Return every owner that these peers are or have been."""
        keys = {key: None for key in self._succession.roster if key[0] in names}
        for segment in self._estate.ring.segments if self._estate.ring else ():
            if segment.owner in names:
                keys[segment.owner, segment.stamped.token.birth] = None
        keys |= {key: None for key in self._succession.gone if key[0] in names}
        return sorted(keys)

    def _refusal(
        self, names: Sequence[PeerName], keys: Sequence[Key], reachable: Mapping[PeerName, None], *, force: bool
    ) -> RequestError | None:
        succession = self._succession
        if self._estate.ring is None:
            return NotReadyError("there is no ring yet, so nobody owns anything")
        for name in names:
            if not any(key[0] == name for key in keys):
                return NotFoundError(f"peer {self._name(name)} is not known here to own addresses")
            if name == succession.own:
                return RequestError("this is the peer itself; `ripstop reset` gives away what it owns")
            if name in reachable:
                text = f"peer {self._name(name)} can be reached, so it is not dead; `ripstop reset` there gives away"
                return ConflictError(f"{text} what it owns")
        if succession.is_leaving:
            return ConflictError("this peer is leaving; run it on another")
        if succession.is_newcomer and not force:
            return NotReadyError(succession.doubtful())
        if succession.too_many(names) and not force:
            known, unsettled = succession.counted(names)
            others = " and those not taken over yet" if unsettled else ""
            return ConflictError(
                f"{len(names)} of the {known} peers known here{others} are too many to write off at once: together they"
                " may have given addresses to a peer never heard of here; if you are sure there is none, use --force"
            )
        return None
