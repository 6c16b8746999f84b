"""`struct group_key`: which packets an entry of the maps for groups is about."""

from typing import Final

from ripstop.core.multicast.tables import Selector

_MAPPED: Final = bytes(10) + b"\xff\xff"  # before an IPv4 address; RFC 4291, section 2.5.5.2
_ANY: Final = bytes(16)


def pack_selector(selector: Selector) -> bytes:
    """Return `struct group_key`."""
    return _pack_address(selector.group) + _pack_address(selector.source)


def parse_selector(key: bytes) -> Selector:
    """Return what `pack_selector` was given."""
    return Selector(_parse_address(key[:16]), _parse_address(key[16:]))


def _pack_address(address: bytes) -> bytes:
    if len(address) == 4:
        return _MAPPED + address
    if len(address) not in (0, 16):
        raise ValueError(f"no IP address: {address!r}")
    return address or _ANY


def _parse_address(packed: bytes) -> bytes:
    if packed == _ANY:
        return b""
    return packed[12:] if packed.startswith(_MAPPED) else packed
