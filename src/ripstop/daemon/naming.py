"""What people write when they name something, and what becomes of it."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

import msgspec

from ripstop.core.dns.messages import (
    MAX_NAME,
    MAX_SERVICES,
    PROTOCOLS,
    Binding,
    Service,
    by_service,
    is_name,
    is_service,
)
from ripstop.core.errors import RequestError

SERVICE_FORM = "NAME/PROTOCOL:PORT, for example http/tcp:8080"


class Registration(msgspec.Struct, frozen=True):
    """A name that an interface has, as kept on disk."""

    name: str  # without the domain
    services: tuple[Service, ...] = ()

    @property
    def key(self) -> str:
        """What it is compared by."""
        return self.name.lower()


def registrations(names: Iterable[str], domain: str) -> tuple[Registration, ...]:
    """Read names that come without services; one that is given twice counts once.

    Raises:
        RequestError: one of them is no name.
    """
    found = {one.key: one for one in (Registration(parse_name(text, domain)) for text in names)}
    return tuple(found.values())


def bindings(container: str, addresses: Iterable[str], names: Iterable[Registration]) -> tuple[Binding, ...]:
    """Return each name with each address, ADDRESS or ADDRESS/LEN."""
    return bind(container, [ip_address(text.partition("/")[0]).packed for text in addresses], tuple(names))


def bind(container: str, addresses: Sequence[bytes], names: Iterable[Registration]) -> tuple[Binding, ...]:
    """Return each name with each address, 4 or 16 bytes in network order."""
    return tuple([Binding(one.name, container, address, one.services) for one in names for address in addresses])


def parse_name(text: str, domain: str) -> str:
    """Return a name without the domain, in which it may have been written.

    Raises:
        RequestError: it is none, or of another domain.
    """
    name = text
    if text.lower().endswith(f".{domain}".lower()):
        name = text[: -len(domain) - 1]
    elif text.lower().endswith(f".{domain}.".lower()):
        name = text[: -len(domain) - 2]
    elif text.endswith("."):
        raise RequestError(f"name {text!r} is not in the domain {domain}; leave the last dot out, or end in .{domain}")
    if is_address(name):
        raise RequestError(f"name {text!r} is an address; take a name with a letter in it")
    if not is_name(name):
        raise RequestError(
            f"name {text[:300]!r} cannot be: labels of 1 to 63 letters, digits, hyphens and underscores, no"
            f" hyphen first or last, dots in between, at most {MAX_NAME} characters"
        )
    return name


def parse_services(texts: Iterable[str]) -> tuple[Service, ...]:
    """Read NAME/PROTOCOL:PORT, several times.

    Raises:
        RequestError: one of them is no service, or they are too many.
    """
    found = {_parse_service(text): None for text in texts}
    if len(found) > MAX_SERVICES:
        raise RequestError(f"{len(found)} services are too many; a name has at most {MAX_SERVICES}")
    return tuple(sorted(found, key=by_service))


def parse_address(text: str) -> bytes:
    """Return an address that can have a name, in network order.

    Raises:
        RequestError: it is none, or nobody's.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise RequestError(f"address {text!r} is no IP address; write it without a prefix length") from None
    if address.is_unspecified or address.is_multicast or address.is_loopback or "%" in text:
        raise RequestError(f"address {text} cannot have a name: it is not that of one host in the network")
    return address.packed


def is_address(text: str) -> bool:
    """Return whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def format_address(packed: bytes) -> str:
    """Return the text of an address."""
    return str(ip_address(packed))


def format_service(service: Service) -> str:
    """Return a service as it is written."""
    return f"{service.name}/{service.protocol}:{service.port}"


def _parse_service(text: str) -> Service:
    name, slash, rest = text.partition("/")
    protocol, colon, port = rest.partition(":")
    if not (slash and colon and port.isascii() and port.isdecimal()):
        raise RequestError(f"service {text!r}: write it as {SERVICE_FORM}")
    service = Service(name, protocol.lower(), int(port))
    if service.protocol not in PROTOCOLS:
        raise RequestError(f"service {text!r}: protocol {protocol!r} is neither tcp nor udp")
    if not is_service(service):
        raise RequestError(
            f"service {text!r}: a name of at most 15 letters, digits and hyphens, and a port within 1..65535"
        )
    return service
