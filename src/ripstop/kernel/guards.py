"""What guarded ports may send, written into the map `guards`; and what they were stopped from.  See docs/guard.md."""

from collections.abc import Container
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from ripstop.core.errors import RequestError
from ripstop.kernel import abi, bpf
from ripstop.kernel.abi import GUARD_REASONS, GuardFlags

_KEY: Final = "little"  # x86-64 and arm64 alike
_COUNTERS: Final = slice(abi.GUARD.offsets()["stopped"], None)


@dataclass(frozen=True, slots=True)
class Guard:
    """What a port may send.

    Raises:
        RequestError: it has more addresses than the programs look through.
    """

    flags: GuardFlags
    mac: str
    addresses: tuple[IPv4Address | IPv6Address, ...]  # besides the link-local one that its MAC makes

    def __post_init__(self) -> None:
        v4, v6 = self.by_family()
        for family, found, limit in (("IPv4", len(v4), abi.GUARDED_V4), ("IPv6", len(v6), abi.GUARDED_V6)):
            if found > limit:
                raise RequestError(
                    f"{found} {family} addresses: a guarded interface has at most {limit}"
                    + (", its link-local one among them" if family == "IPv6" else "")
                )

    def by_family(self) -> tuple[tuple[IPv4Address, ...], tuple[IPv6Address, ...]]:
        """Return all addresses that may be used, IPv4 and IPv6."""
        v4 = (address for address in self.addresses if isinstance(address, IPv4Address))
        v6 = (address for address in self.addresses if isinstance(address, IPv6Address))
        return tuple(dict.fromkeys(v4)), tuple(dict.fromkeys((link_local(self.mac), *v6)))


def link_local(mac: str) -> IPv6Address:
    """Return the link-local address that Linux gives an interface by itself.

    Source: RFC 4291, appendix A (modified EUI-64) and section 2.5.6.
    """
    octets = bytes.fromhex(mac.replace(":", ""))
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:])


def pack_guard(guard: Guard) -> bytes:
    """Return `struct guard`, with nothing stopped yet."""
    v4, v6 = (b"".join(address.packed for address in addresses) for addresses in guard.by_family())
    mac = int.from_bytes(bytes.fromhex(guard.mac.replace(":", "")), _KEY)
    return abi.GUARD.packer.pack(mac, guard.flags, 0, v4, v6, b"")


class Guards:
    """The map, and its counters."""

    def __init__(self, guards: bpf.Map) -> None:
        self._map = guards

    def put(self, ifindex: int, guard: Guard) -> None:
        """Judge a port's frames by this guard from the next one on; what was counted stays."""
        key, wanted = _key(ifindex), pack_guard(guard)
        found = self._map.lookup(key)
        if found is None:
            self._map.update(key, wanted)
        elif found[: _COUNTERS.start] != wanted[: _COUNTERS.start]:
            self._map.update(key, wanted[: _COUNTERS.start] + found[_COUNTERS])

    def remove(self, ifindex: int) -> None:
        """Forget a port; none is fine.  It must not be guarded any more, or all its frames are stopped."""
        self._map.delete(_key(ifindex))

    def keep(self, ifindexes: Container[int]) -> None:
        """Forget all other ports."""
        for key, _ in list(self._map.items()):
            if int.from_bytes(key, _KEY) not in ifindexes:
                self._map.delete(key)

    def stopped(self) -> dict[int, dict[str, int]]:
        """Return how many frames of each guarded port were stopped, by the name of the reason; no zeros."""
        return {int.from_bytes(key, _KEY): _stopped(value) for key, value in self._map.items()}


def _key(ifindex: int) -> bytes:
    return ifindex.to_bytes(4, _KEY)


def _stopped(value: bytes) -> dict[str, int]:
    counters = memoryview(value[_COUNTERS]).cast("Q")
    return {reason.name.lower(): count for reason, count in zip(GUARD_REASONS, counters, strict=True) if count}
