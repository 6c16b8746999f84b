"""Ranges of overlay addresses as integers; the text forms live at the edges only."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from ripstop.core.errors import RequestError


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """Addresses `start` up to but without `end`, as integers in host order."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> "Range":
        """Read a CIDR block such as `10.32.0.0/12`.

        Raises:
            RequestError: not a block, host bits set, or no IPv4 block.
        """
        try:
            network = IPv4Network(text)
        except ValueError as error:
            raise RequestError(f"range {text!r}: {error}; write it as 10.32.0.0/12") from None
        return cls(int(network.network_address), int(network.broadcast_address) + 1)

    def __len__(self) -> int:
        return self.end - self.start

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.start <= address < self.end

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.end))

    def overlaps(self, other: "Range") -> bool:
        """Return whether any address is in both."""
        return self.start < other.end and other.start < self.end

    def covers(self, other: "Range") -> bool:
        """Return whether every address of `other` is in this range."""
        return self.start <= other.start and other.end <= self.end

    def intersection(self, other: "Range") -> "Range":
        """Return the addresses in both; an empty range if there are none."""
        start = max(self.start, other.start)
        return Range(start, max(start, min(self.end, other.end)))

    def __str__(self) -> str:
        size = self.end - self.start
        if size and size & (size - 1) == 0 and self.start % size == 0:
            return f"{IPv4Address(self.start)}/{33 - size.bit_length()}"
        return f"{IPv4Address(self.start)}-{IPv4Address(self.end - 1)}"


def parse_interface(text: str) -> tuple[int, int]:
    """Read `ADDRESS/LEN` and return (address, prefix length).

    Raises:
        RequestError: malformed, without a length, or the block's own network or broadcast address.
    """
    try:
        interface = IPv4Interface(text)
    except ValueError as error:
        raise RequestError(f"address {text!r}: {error}; write it as 10.32.0.5/12") from None
    if "/" not in text:
        raise RequestError(f"address {text!r} has no prefix length; write it as {text}/12")
    network = interface.network
    if network.prefixlen < 31 and interface.ip in (network.network_address, network.broadcast_address):
        raise RequestError(f"address {text!r} is the network or broadcast address of {network}")
    return int(interface.ip), network.prefixlen


def format_address(address: int) -> str:
    """Return the dotted form of an overlay address."""
    return str(IPv4Address(address))
