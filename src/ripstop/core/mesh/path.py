"""Whether frames reach one peer directly, at which address and how large: found out by probing the data path itself.

The peer's datapath returns a probe to where it came from even while the peer's daemon is dead, so a path is about
the data path and not about daemons.  A search sends every size to every address at once; the first address that
answers becomes the path.  A path that works is checked with a small probe twice a second and a full one every few
seconds; one unanswered probe puts it in doubt, and then it is asked quickly until it answers or counts as lost.
"""

import math
from dataclasses import dataclass, replace
from enum import Enum, auto

from ripstop.core.effects import SendProbe
from ripstop.core.events import Probed
from ripstop.core.mesh.messages import Probe
from ripstop.core.names import NO_PEER, PeerName, UnderlayIp
from ripstop.core.overlay.mtu import MIN_MTU, path_mtu

CHECK_INTERVAL = 0.5  # seconds between probes of a path that works, or rounds of a search
FULL_INTERVAL = 5.0  # seconds between probes of full size
DOUBT_INTERVAL = 0.1  # seconds between probes of a path in doubt
LOST_AFTER = 1.0  # seconds without an answer until a path in doubt is lost
DOUBT_PROBES = 5  # probes of doubt that must stay unanswered, so that a stall of ours loses no path
PATIENCE = 0.2  # seconds until a probe counts as unanswered, or thrice the round trip if that is more
SLOW_AFTER = 20  # rounds of a search until it slows down
SLOW_INTERVAL = 2.0  # seconds between rounds of a slow search
RETURN_PROBES = 2  # rounds that must be answered before a path that was lost is used again
SIZING_ROUNDS = 5  # rounds of probes to find the size again when full ones stay away
GRID = 0.05  # seconds; checks of all paths fall on multiples, so that a daemon at rest wakes up seldom
SIZES_WAIT = 0.03  # seconds after the first answer in which larger sizes may overtake it; or as long as it took
MEMORY = 3.0  # seconds an answer may take
SMALL = 128  # bytes; size of a check
SIZES = (8950, 1450, 1410, 1370, 1350, MIN_MTU)  # bytes; links of 9000, 1500, 1460 (clouds), 1420 and 1400 (tunnels)


@dataclass(frozen=True, slots=True)
class Path:
    """A direct way for frames."""

    remote: UnderlayIp
    local: UnderlayIp  # our address on it
    mtu: int  # largest inner packet that was answered, bytes


class Phase(Enum):
    """What a monitor is doing."""

    SEARCHING = auto()  # there is no path
    WORKING = auto()
    SIZING = auto()  # works, but perhaps not at full size any more
    DOUBTED = auto()  # still used


@dataclass(frozen=True, slots=True)
class _Sent:
    remote: UnderlayIp
    mtu: int
    at: float
    round: int


class PathMonitor:
    """Finds the path to one peer and keeps an eye on it."""

    def __init__(self, own: PeerName, peer: PeerName, nonce: int, now: float, path: Path | None = None) -> None:
        """Begin with a search, or doubting a path known from before a restart; `nonce` is below the first to use."""
        self.deadline = now  # when `tick` next has something to do, seconds
        self.peer = peer
        self.path = path
        self.rtt: float | None = None  # smoothed, seconds
        self.is_confirmed = False  # whether the peer has answered in this life
        self.reason = ""  # why there is no path, for people
        self.short_id = NO_PEER  # of the peer: its datapath answers what bears it, even while its daemon is dead
        self._own = own
        self._nonce = nonce
        self._candidates: tuple[UnderlayIp, ...] = ()
        self._limit = 0  # largest inner packet that our own links carry, bytes
        self._phase = Phase.DOUBTED if path else Phase.SEARCHING
        self._rounds = 0  # of the present phase
        self._slow_after = SLOW_AFTER  # rounds of a search
        self._sent: dict[int, _Sent] = {}
        self._searched_at = -math.inf
        self._answered_at = now  # by the path in use
        self._answers_wanted = 1  # rounds of a search
        self._answered: dict[int, None] = {}  # rounds of the present search
        self._alternative: Path | None = None  # answered while searching, or while the path in use is doubted
        self._too_narrow: UnderlayIp | None = None  # answered while searching, but only small probes
        self._adopt_at = math.inf  # when what a search has found becomes the path
        self._largest = 0  # answered while sizing, bytes
        self._check: int | None = None  # nonce of the last probe of each kind, until answered
        self._full: int | None = None
        self._check_at = self._full_at = now

    def use(self, candidates: tuple[UnderlayIp, ...], underlay_mtu: int, now: float) -> None:
        """Take the peer's addresses and the MTU of our own links; what changed is tried at once."""
        limit = path_mtu(underlay_mtu)
        if candidates == self._candidates and limit == self._limit:
            return
        self._candidates, self._limit = candidates, limit
        if self.path and limit < MIN_MTU:
            self._lose(f"our own links carry packets of {limit} bytes only, want {MIN_MTU}", now)
        elif self.path and self.path.mtu > limit:
            self.path = replace(self.path, mtu=limit)
        self.hurry(now)

    def hurry(self, now: float) -> None:
        """Something changed or was heard: search, or check the path, at once."""
        if self._phase is Phase.SEARCHING:
            self._slow_after = self._rounds + SLOW_AFTER
            self.deadline = min(self.deadline, max(now, self._searched_at + DOUBT_INTERVAL))
        elif self._phase is not Phase.DOUBTED:
            self._doubt(now)

    def tick(self, now: float) -> list[SendProbe]:
        """Probe what is due, and judge what stayed unanswered."""
        self._sent = {nonce: sent for nonce, sent in self._sent.items() if now - sent.at < MEMORY}
        match self._phase:
            case Phase.SEARCHING:
                return self._search(now)
            case Phase.WORKING:
                return self._watch(now)
            case Phase.SIZING:
                return self._size(now)
            case Phase.DOUBTED:
                return self._ask_again(now)

    def receive(self, event: Probed, now: float) -> None:
        """Take an answer; one to no probe of ours, or from elsewhere than it was sent to, proves nothing."""
        sent = self._sent.get(event.probe.nonce)
        if sent is None or (sent.remote, sent.mtu) != (event.remote, event.probe.mtu):
            return
        del self._sent[event.probe.nonce]
        rtt = now - sent.at
        self.rtt = rtt if self.rtt is None else self.rtt + (rtt - self.rtt) / 8
        self.is_confirmed = True
        if self.path is None:
            self._take_found(sent, event.local, now)
        elif sent.remote == self.path.remote:
            self._take_answer(sent, event, now)
        elif self._phase is Phase.DOUBTED and sent.mtu >= MIN_MTU:
            best = max(sent.mtu, self._alternative.mtu if self._alternative else 0)
            self._alternative = Path(sent.remote, event.local, best)
            if self.path.remote not in self._candidates:
                self._work(self._alternative, now)

    # A search.

    def _search(self, now: float) -> list[SendProbe]:
        if self._alternative and now >= self._adopt_at:
            self._work(self._alternative, now)
            return []
        if self._too_narrow and not self._alternative:
            self.reason = f"{self._too_narrow} answers, but no packets of {MIN_MTU} bytes"
        self._rounds += 1
        self._searched_at = now
        pause = CHECK_INTERVAL if self._rounds < self._slow_after else SLOW_INTERVAL
        self.deadline = min(now + pause, self._adopt_at)
        return [self._probe(remote, size, now) for size in self._sizes() for remote in self._candidates]

    def _take_found(self, sent: _Sent, local: UnderlayIp, now: float) -> None:
        if sent.mtu < MIN_MTU:
            self._too_narrow = sent.remote
            return
        self._answered[sent.round] = None
        if self._alternative is None:
            self._alternative = Path(sent.remote, local, sent.mtu)
        elif sent.remote == self._alternative.remote and sent.mtu > self._alternative.mtu:
            self._alternative = replace(self._alternative, mtu=sent.mtu)
        if len(self._answered) < self._answers_wanted:
            self.deadline = min(self.deadline, now + DOUBT_INTERVAL)
        elif self._alternative.mtu == self._limit:
            self._work(self._alternative, now)
        else:
            self._adopt_at = min(self._adopt_at, now + max(SIZES_WAIT, min(now - sent.at, PATIENCE)))
            self.deadline = min(self.deadline, self._adopt_at)

    # A path that works.

    def _work(self, path: Path, now: float) -> None:
        self.path = path
        self.reason = ""
        self._answered_at = now
        self._check_at = _on_grid(now + CHECK_INTERVAL)
        self._full_at = _on_grid(now + FULL_INTERVAL)
        self._enter(Phase.WORKING, self._check_at)

    def _watch(self, now: float) -> list[SendProbe]:
        assert self.path
        if self._is_unanswered(self._check, now):
            self._doubt(now)
            return self._ask_again(now)
        if self._is_unanswered(self._full, now):
            self._enter(Phase.SIZING, now)
            return self._size(now)
        probes = []
        if now >= min(self._check_at, self._full_at):
            self._check_at = _on_grid(now + CHECK_INTERVAL)
            self._check = self._nonce + 1
            probes.append(self._probe(self.path.remote, SMALL, now))
        if now >= self._full_at:
            self._full_at = _on_grid(now + FULL_INTERVAL)
            self._full = self._nonce + 1
            sizes = [size for size in self._sizes() if size > self.path.mtu][-1:]
            probes += [self._probe(self.path.remote, size, now) for size in (self.path.mtu, *sizes)]
        self._schedule_watch(now)
        return probes

    def _schedule_watch(self, now: float) -> None:
        judged = [
            self._sent[nonce].at + self._patience()
            for nonce in (self._check, self._full)
            if nonce is not None and nonce in self._sent
        ]
        self.deadline = min(self._check_at, self._full_at, *judged)

    def _is_unanswered(self, nonce: int | None, now: float) -> bool:
        return nonce is not None and nonce in self._sent and now >= self._sent[nonce].at + self._patience()

    def _take_answer(self, sent: _Sent, event: Probed, now: float) -> None:
        assert self.path
        self._answered_at = now
        raised = max(sent.mtu, self.path.mtu) if sent.mtu <= self._limit else self.path.mtu
        self.path = Path(self.path.remote, event.local, raised)
        if self._phase is Phase.DOUBTED and self.path.remote in self._candidates:
            self._check_at = _on_grid(now + CHECK_INTERVAL)
            self._enter(Phase.WORKING, min(self._check_at, self._full_at))
        elif self._phase is Phase.SIZING:
            self._largest = max(self._largest, sent.mtu)
            if sent.mtu >= self.path.mtu:
                self._work(self.path, now)
        elif self._phase is Phase.WORKING:
            self._schedule_watch(now)

    # A path whose full-size probes stay away.

    def _size(self, now: float) -> list[SendProbe]:
        assert self.path
        if self._rounds >= SIZING_ROUNDS:
            if self._largest >= MIN_MTU:
                self._work(replace(self.path, mtu=self._largest), now)
            elif self._largest:
                self._lose(f"{self.path.remote} answers no packets of {MIN_MTU} bytes any more", now)
            else:
                self._doubt(now)
            return []
        self._rounds += 1
        self.deadline = now + (DOUBT_INTERVAL if self._rounds < SIZING_ROUNDS else self._patience())
        return [self._probe(self.path.remote, size, now) for size in self._sizes() if size <= self.path.mtu]

    # A path in doubt.

    def _doubt(self, now: float) -> None:
        self._full_at = min(self._full_at, now)
        self._enter(Phase.DOUBTED, now)

    def _ask_again(self, now: float) -> list[SendProbe]:
        assert self.path
        silence = now - self._answered_at
        is_gone = self.path.remote not in self._candidates and self._rounds >= 2 * DOUBT_PROBES
        if is_gone or (self._rounds >= DOUBT_PROBES and silence >= LOST_AFTER + 2 * min(self.rtt or 0.0, 0.5)):
            if self._alternative:
                self._work(self._alternative, now)
            elif is_gone:
                self._lose(f"the peer has {self.path.remote} no more", now)
            else:
                self._lose(f"no answer from {self.path.remote} for {silence:.1f} s", now)
            return []
        self._rounds += 1
        self.deadline = now + DOUBT_INTERVAL
        probes = [self._probe(self.path.remote, SMALL, now)]
        if self._rounds % 3 == 1:
            others = [remote for remote in self._candidates if remote != self.path.remote]
            probes += [self._probe(remote, size, now) for size in self._sizes() for remote in others]
        return probes

    def _lose(self, reason: str, now: float) -> None:
        self.path = None
        self.reason = reason
        self._answers_wanted = RETURN_PROBES
        self._enter(Phase.SEARCHING, now)

    # What the phases share.

    def _enter(self, phase: Phase, deadline: float) -> None:
        self._phase = phase
        self._rounds = 0
        self._slow_after = SLOW_AFTER
        self._largest = 0
        self._alternative = None
        self._too_narrow = None
        self._adopt_at = math.inf
        self._answered = {}
        self._check = self._full = None
        self.deadline = deadline

    def _probe(self, remote: UnderlayIp, mtu: int, now: float) -> SendProbe:
        self._nonce += 1
        self._sent[self._nonce] = _Sent(remote, mtu, now, self._rounds)
        probe = Probe(ack=False, sender=self._own, target=self.peer, nonce=self._nonce, mtu=mtu)
        return SendProbe(remote, probe, self.short_id)

    def _sizes(self) -> list[int]:
        """Return the sizes worth trying, largest first, a small one last."""
        sizes = {size: None for size in (self._limit, *SIZES) if MIN_MTU <= size <= self._limit}
        return [*sorted(sizes, reverse=True), SMALL]

    def _patience(self) -> float:
        return max(PATIENCE, min(3 * (self.rtt or 0.0), LOST_AFTER))


def _on_grid(when: float) -> float:
    return math.ceil(when / GRID) * GRID
