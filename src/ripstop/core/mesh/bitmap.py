"""Sets of short ids as bytes: bit i % 8 of byte i // 8 stands for id i."""

from collections.abc import Iterable, Iterator

from ripstop.core.names import ShortId


def pack(ids: Iterable[ShortId]) -> bytes:
    """Return the shortest bitmap that holds these ids."""
    bits = 0
    for short_id in ids:
        bits |= 1 << short_id
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def unpack(bitmap: bytes) -> Iterator[ShortId]:
    """Yield the ids in a bitmap, lowest first."""
    bits = int.from_bytes(bitmap, "little")
    while bits:
        low = bits & -bits
        yield ShortId(low.bit_length() - 1)
        bits ^= low


def holds(bitmap: bytes, short_id: ShortId) -> bool:
    """Return whether an id is in a bitmap."""
    return short_id // 8 < len(bitmap) and bool(bitmap[short_id // 8] >> (short_id % 8) & 1)
