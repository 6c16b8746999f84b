"""What peers tell each other of names, and what a name may be."""

import re
from zlib import crc32

import msgspec

SHARDS = 512  # entries of one peer at most
MAX_NAME = 190  # characters of a name without the domain, which so has room for 62.  Source: RFC 1035, section 2.3.4
MAX_CONTAINER = 128  # characters
MAX_SERVICES = 16  # of one binding
MAX_BINDINGS = 32768  # of one peer; 64 in a shard on average
MAX_SHARD = 256 * 1024  # bytes of one shard; a quarter of what a message may have
PROTOCOLS = ("tcp", "udp")
# A label as in RFC 1123, section 2.1, and underscores, which names of services have (RFC 2782).
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_SERVICE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,13}[A-Za-z0-9])?", re.ASCII)  # RFC 6335, section 5.1


class Service(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A port on which something listens."""

    name: str  # "http"
    protocol: str  # "tcp" or "udp"
    port: int


class Binding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One address under one name."""

    name: str  # relative to the domain, case as registered, no trailing dot
    container: str  # whose address it is; "" if only the address is known
    address: bytes  # 4 or 16 bytes, network order
    services: tuple[Service, ...] = ()  # sorted

    @property
    def key(self) -> str:
        """What the name is compared by."""
        return self.name.lower()


class Bindings(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The value of entry `dns/<peer>/<shard>`: the names of a peer that fall into a shard; written by it alone."""

    bindings: tuple[Binding, ...]  # sorted


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One address to answer with."""

    address: bytes  # 4 or 16 bytes, network order
    services: tuple[Service, ...] = ()


class NameRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is to be answered for one name."""

    name: str  # relative to the domain, case as registered, no trailing dot: "Web", "db.prod"
    records: tuple[Record, ...]  # empty: nobody has the name any more


def by_service(service: Service) -> tuple[str, str, int]:
    """Return what services are sorted by."""
    return service.name, service.protocol, service.port


def shard_of(key: str) -> int:
    """Return the shard of a name in lower case; the same on every host."""
    return crc32(key.encode()) % SHARDS


def size_of(binding: Binding) -> int:
    """Return how many bytes a binding takes on the wire at most."""
    return len(binding.name) + len(binding.container.encode()) + 28 + 24 * len(binding.services)


def is_name(text: str) -> bool:
    """Return whether `text` can be a name within the domain: labels of letters, digits, hyphens and underscores."""
    return len(text) <= MAX_NAME and _NAME.fullmatch(text) is not None


def is_service(service: Service) -> bool:
    """Return whether a service has a proper name, protocol and port."""
    return _SERVICE.fullmatch(service.name) is not None and service.protocol in PROTOCOLS and 0 < service.port < 2**16
