"""Requests that cannot be answered at once, and in what words they are refused."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ripstop.core.address import Range, format_address
from ripstop.core.errors import ConflictError, ExhaustedError, NotReadyError, RequestError
from ripstop.core.ipam.asks import Ask
from ripstop.core.names import ContainerId, PeerName, RequestId


@dataclass(frozen=True, slots=True)
class Pending:
    """A container that waits for an address."""

    request: RequestId | None  # None: a wish of our own, for an address that a container here has already
    container: ContainerId
    subnet: Range  # as it was asked for; of a claim, the one address
    want: Range  # the addresses that would do
    deadline: float  # when it is answered whatever happens, in seconds

    @property
    def is_claim(self) -> bool:
        """Whether it wants one certain address."""
        return self.subnet == self.want


@dataclass(slots=True)
class Owners:
    """Everybody but ourselves who owns addresses in a range."""

    reachable: dict[PeerName, float] = field(default_factory=dict)  # addresses believed to be free there
    away: dict[PeerName, int] = field(default_factory=dict)  # owners that cannot be reached: addresses owned
    lost: int = 0  # addresses of peers whose state is gone, until their heir has them


def is_final(pending: Pending, ask: Ask, owners: Owners) -> bool:
    """Return whether waiting longer makes no sense: everybody who could help has said no."""
    if pending.is_claim:
        return any(ask.refused.values())
    return ask.resting and not (ask.silent or owners.away or owners.lost)


def refusal(
    pending: Pending, ask: Ask, owners: Owners, name: Callable[[PeerName], str], contested: bool
) -> RequestError:
    """Return why a request is not, or not yet, fulfilled."""
    if pending.is_claim:
        return _claim_refusal(pending, ask, owners, name, contested)
    reasons = []
    silent = [peer for peer, answered in ask.tried.items() if not answered and peer in owners.reachable]
    refused = [peer for peer, answered in ask.tried.items() if answered and peer in owners.reachable]
    if refused:
        reasons.append(f"{_names(refused, name)} had none to give")
    if silent:
        reasons.append(f"{_names(silent, name)} did not answer")
    if ask.peer is not None and ask.peer not in ask.tried:
        reasons.append(f"{name(ask.peer)} is being asked")
    for peer, count in sorted(owners.away.items()):
        reasons.append(f"{name(peer)} owns {count} of them and cannot be reached")
    if owners.lost:
        reasons.append(f"{owners.lost} belong to peers whose state is lost")
    if contested:
        reasons.append("some are contested")
    text = f"no address of {pending.subnet} is free"
    text += "".join(f"; {reason}" for reason in reasons) or ": this peer owns them all, and all are in use"
    return ExhaustedError(text) if is_final(pending, ask, owners) else NotReadyError(text)


def taken(address: int, container: str, peer: str = "") -> ConflictError:
    """Return the refusal of an address that somebody holds."""
    where = f" on peer {peer}" if peer else ""
    return ConflictError(f"address {format_address(address)} is taken by container {container}{where}")


def _claim_refusal(
    pending: Pending, ask: Ask, owners: Owners, name: Callable[[PeerName], str], contested: bool
) -> RequestError:
    address = format_address(pending.want.start)
    for peer, holder in ask.refused.items():
        if holder:
            return taken(pending.want.start, holder, name(peer))
    if contested:
        return ConflictError(f"address {address} is in a contested range; see `ripstop status ipam`")
    if owners.lost:
        return ConflictError(f"address {address} belongs to a peer whose state is lost, so it may be in use")
    for peer in owners.away:
        return NotReadyError(f"address {address} belongs to peer {name(peer)}, which cannot be reached")
    for peer in owners.reachable:
        did = "cannot give it away now" if ask.tried.get(peer) else "did not answer"
        return NotReadyError(f"address {address} belongs to peer {name(peer)}, which {did}")
    return NotReadyError(f"address {address} belongs to this peer, which gives none away now")


def _names(peers: Iterable[PeerName], name: Callable[[PeerName], str]) -> str:
    return ", ".join(name(peer) for peer in sorted(peers))
