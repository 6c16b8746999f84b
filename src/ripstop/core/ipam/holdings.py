"""Which container here holds which addresses."""

from collections.abc import Iterator, Mapping

from ripstop.core.address import Range
from ripstop.core.names import ContainerId


class Holdings:
    """Addresses in use by local containers, found by either."""

    def __init__(self, held: Mapping[int, ContainerId]) -> None:
        self._holders = dict(held)
        self._addresses: dict[ContainerId, list[int]] = {}
        for address, container in self._holders.items():
            self._addresses.setdefault(container, []).append(address)

    def __iter__(self) -> Iterator[tuple[int, ContainerId]]:
        return iter(sorted(self._holders.items()))

    def __len__(self) -> int:
        return len(self._holders)

    @property
    def containers(self) -> tuple[ContainerId, ...]:
        """Everyone who holds an address, sorted."""
        return tuple(sorted(self._addresses))

    def holder(self, address: int) -> ContainerId | None:
        """Return who holds an address."""
        return self._holders.get(address)

    def of(self, container: ContainerId, within: Range) -> int | None:
        """Return the lowest address that a container holds in a range."""
        has = self._addresses.get(container)
        return min((address for address in has if address in within), default=None) if has else None

    def any_within(self, within: Range) -> bool:
        """Return whether any address of a range is held."""
        return any(address in within for address in self._holders)

    def within(self, within: Range) -> list[int]:
        """Return the addresses held in a range, in order."""
        if len(within) < len(self._holders):
            return [address for address in within if address in self._holders]
        return sorted(address for address in self._holders if address in within)

    def hold(self, address: int, container: ContainerId) -> None:
        """Give a free address to a container."""
        if address in self._holders:
            raise AssertionError(f"address {address} is held by {self._holders[address]}, not free for {container}")
        self._holders[address] = container
        self._addresses.setdefault(container, []).append(address)

    def drop(self, address: int) -> None:
        """Take one address from whoever holds it."""
        container = self._holders.pop(address)
        self._addresses[container].remove(address)
        if not self._addresses[container]:
            del self._addresses[container]

    def release(self, container: ContainerId) -> list[int]:
        """Take all addresses from a container and return them."""
        addresses = sorted(self._addresses.pop(container, ()))
        for address in addresses:
            del self._holders[address]
        return addresses
