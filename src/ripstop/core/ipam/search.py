"""Looking for addresses at other peers, and saying why none came."""

from collections.abc import Callable, Iterable
from random import Random

from ripstop.core.address import Range
from ripstop.core.errors import NotReadyError, RequestError
from ripstop.core.ipam.asks import Asks
from ripstop.core.ipam.council import Council
from ripstop.core.ipam.estate import Estate
from ripstop.core.ipam.messages import SpaceAnswer, SpaceWanted, Token
from ripstop.core.ipam.requests import Owners, Pending, is_final, refusal
from ripstop.core.ipam.saved import Outbox
from ripstop.core.ipam.succession import Succession
from ripstop.core.names import PeerName


class Search:
    """Asks one peer after the other for what requests wait for."""

    def __init__(
        self, estate: Estate, council: Council, succession: Succession, name: Callable[[PeerName], str], rng: Random
    ) -> None:
        self.reachable: dict[PeerName, None] = {}
        self._estate, self._council, self._succession, self._name = estate, council, succession, name
        self._asks = Asks(rng)
        self._owners: dict[Range, Owners] = {}  # as of now; emptied whenever something may have changed

    @property
    def deadline(self) -> float:
        """When `go_on` next has something to do, in seconds."""
        return self._asks.deadline

    def hear(self, peer: PeerName, answer: SpaceAnswer) -> None:
        """Take an answer to a question of ours."""
        self._asks.hear(peer, answer)

    def go_on(self, waiting: Iterable[Pending], now: float, out: Outbox) -> None:
        """Ask one peer for each range that is wanted, unless one is being asked for it already."""
        wants = dict.fromkeys(pending.want for pending in waiting)
        self._asks.keep(wants, now)
        self._owners = {}
        for want in wants:
            whom = self._asks.advance(self._asks.get(want), self._owners_of(want).reachable, now)
            if whom is not None and self._estate.ring is not None:
                peer, nonce = whom
                ring, birth = self._estate.ring.id, self._council.owner.birth
                out.tell(peer, SpaceWanted(want.start, want.end, ring, nonce, birth))

    def is_over(self, pending: Pending) -> bool:
        """Return whether everybody who could help has refused."""
        return is_final(pending, self._asks.get(pending.want), self._owners_of(pending.want))

    def why(self, pending: Pending) -> RequestError:
        """Return why a request is not, or not yet, fulfilled."""
        if self._estate.ring is None:
            return self.no_ring()
        if self._succession.is_leaving:
            return NotReadyError("this host is leaving the ring; ask another")
        if self._succession.doubt:
            return NotReadyError(self._succession.doubtful())
        contested = any(contested.overlaps(pending.want) for contested in self._estate.contested)
        ask, owners = self._asks.get(pending.want), self._owners_of(pending.want)
        return refusal(pending, ask, owners, self._name, contested=contested)

    def no_ring(self) -> NotReadyError:
        """Return what is missing to a first ring."""
        known, quorum = self._council.electors(self.reachable)
        universe = self._estate.universe
        in_the_way = self._council.in_the_way(self.reachable)
        if in_the_way:
            names = ", ".join(self._name(peer) for peer in in_the_way)
            return NotReadyError(
                f"no ring yet: containers of {names} hold addresses of another range that overlaps {universe};"
                " start all hosts with the same --range"
            )
        if not self._council.votes:
            return NotReadyError(
                f"no ring yet: this host only observes, and none that it reaches has divided {universe};"
                " connect it to one that does, or start it without --init observer"
            )
        if known < quorum:
            return NotReadyError(
                f"no ring yet: {known} of the {quorum} peers needed to divide {universe} are here;"
                " connect the others, or start with --init consensus=N and the right N"
            )
        return NotReadyError(f"no ring yet: {known} peers are here, but have not agreed how to divide {universe}")

    def takes(self, token: Token) -> bool:
        """Return whether the owner of a token can be given space."""
        is_other = token.owner != self._succession.own
        return is_other and token.owner in self.reachable and not self.is_lost(token)

    def is_lost(self, token: Token) -> bool:
        """Return whether nobody can give out the addresses of a token for now: its owner is gone."""
        return self._council.is_lost(token) or self._succession.is_written_off(token)

    def forget(self) -> None:
        """Take note that ring, peers or holdings may have changed."""
        self._owners = {}

    def _owners_of(self, want: Range) -> Owners:
        if want not in self._owners:
            self._owners[want] = self._sort_out(want)
        return self._owners[want]

    def _sort_out(self, want: Range) -> Owners:
        ring, owner = self._estate.ring, self._estate.owner
        owners = Owners()
        for segment in ring.within(want) if ring else ():
            size, token = len(segment.range.intersection(want)), segment.stamped.token
            if owner.owns(token):
                continue
            if self.is_lost(token):
                owners.lost += size
            elif token.owner in self.reachable:
                believed = min(size, 1 + token.free * size / (token.end - token.start))
                owners.reachable[token.owner] = owners.reachable.get(token.owner, 0.0) + believed
            else:
                owners.away[token.owner] = owners.away.get(token.owner, 0) + size
        return owners
