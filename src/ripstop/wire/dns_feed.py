"""What the daemon tells its name server: which names there are, and where to answer.

Framing on a unix stream socket: 4-byte big-endian length, then msgpack.
"""

import msgspec

from ripstop.core.dns.messages import NameRow, Record, Service

__all__ = ["Listen", "NameRow", "Record", "Rows", "Service"]


class Rows(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Names that changed."""

    rows: tuple[NameRow, ...]  # each replaces what was known of its name
    complete: bool = False  # these are all there are: forget every other name


class Listen(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Where to answer from now on."""

    addresses: tuple[tuple[str, int], ...]  # address, port
