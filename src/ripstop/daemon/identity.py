"""Who this peer is: drawn at random at the first start, kept on disk, never derived from hardware."""

from random import SystemRandom

from ripstop.core.errors import StartError
from ripstop.core.names import PeerName
from ripstop.store.sqlite import Store, StoreError

_NAME, _INCARNATION, _RANGE = "daemon/name", "daemon/incarnation", "daemon/range"


def load(store: Store, wanted: str | None) -> tuple[PeerName, int]:
    """Return the peer's name and its new incarnation, which is on disk when this returns.

    Args:
        store: the instance's state.
        wanted: the name asked for, or None.

    Raises:
        StartError: the state belongs to another name, or cannot be written.
    """
    saved = store.load("daemon/")
    stored = saved.get(_NAME, b"").decode()
    if stored and wanted and stored != wanted:
        raise StartError(
            f"{store.path} belongs to peer {stored}, not {wanted}; leave --name out or use another --state-dir"
        )
    name = stored or wanted or f"{SystemRandom().getrandbits(64):016x}"
    incarnation = int(saved.get(_INCARNATION, b"0")) + 1
    _put(store, ((_NAME, name.encode()), (_INCARNATION, str(incarnation).encode())))
    return PeerName(name), incarnation


def check_range(store: Store, universe: str) -> None:
    """Remember the range; refuse another one than last time, for addresses of it may be in use.

    Raises:
        StartError: the state was made with another range.
    """
    stored = store.load(_RANGE).get(_RANGE, b"").decode()
    if stored and stored != universe:
        raise StartError(
            f"{store.path} was made with --range {stored}, not {universe}; use that or another --state-dir"
        )
    if not stored:
        _put(store, ((_RANGE, universe.encode()),))


def _put(store: Store, items: tuple[tuple[str, bytes], ...]) -> None:
    try:
        store.put(items)
    except StoreError as error:
        raise StartError(str(error)) from None
