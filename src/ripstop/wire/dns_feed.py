"""What the daemon tells its name server: which names there are, and where to answer.

Framing on a unix stream socket: 4-byte big-endian length, then msgpack.
"""

import msgspec


class Service(msgspec.Struct, frozen=True, array_like=True):
    """A port on which something is to be had."""

    name: str  # "http"
    protocol: str  # "tcp" or "udp"
    port: int


class Record(msgspec.Struct, frozen=True, array_like=True):
    """An address of a name."""

    address: bytes  # 4 or 16 bytes, network order
    services: tuple[Service, ...] = ()


class NameRow(msgspec.Struct, frozen=True, array_like=True):
    """A name and all that is known of it."""

    name: str  # relative to the domain, case as registered, no trailing dot: "Web", "db.prod"
    records: tuple[Record, ...]  # empty: nobody has the name any more


class Rows(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Names that changed."""

    rows: tuple[NameRow, ...]  # each replaces what was known of its name
    complete: bool = False  # these are all there are: forget every other name


class Listen(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Where to answer from now on."""

    addresses: tuple[tuple[str, int], ...]  # address, port
