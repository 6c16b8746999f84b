"""Sets of short ids: the bits of an integer here, bytes on the wire, where bit i % 8 of byte i // 8 is id i."""

from collections.abc import Iterable, Iterator

from ripstop.core.names import ShortId


def mask_of(ids: Iterable[ShortId]) -> int:
    """Return the set of these ids."""
    mask = 0
    for short_id in ids:
        mask |= 1 << short_id
    return mask


def members(mask: int) -> Iterator[ShortId]:
    """Yield the ids in a set, lowest first."""
    while mask:
        low = mask & -mask
        yield ShortId(low.bit_length() - 1)
        mask ^= low


def lowest(mask: int) -> ShortId:
    """Return the lowest id in a set that is not empty."""
    return ShortId((mask & -mask).bit_length() - 1)


def pack(mask: int) -> bytes:
    """Return the shortest bytes that hold a set."""
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")


def unpack(bitmap: bytes) -> int:
    """Return the set that bytes hold."""
    return int.from_bytes(bitmap, "little")
