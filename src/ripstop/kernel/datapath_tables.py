"""Forwarding tables as map elements, and the steps from what the maps hold to what they must hold.  Pure."""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address
from itertools import islice
from typing import Final

from ripstop.core.names import ShortId, UnderlayIp
from ripstop.core.overlay.forwarding import ForwardingTables, Hop, Tree
from ripstop.kernel import abi

Elements = Mapping[bytes, bytes]

_KEY: Final = "little"  # x86-64 and arm64 alike


@dataclass(frozen=True, slots=True)
class Image:
    """The contents of the maps that `ForwardingTables` become, as bytes."""

    own: ShortId
    vteps: Elements = field(default_factory=dict)
    routes: Elements = field(default_factory=dict)
    trees: Elements = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Put:
    """Write one element."""

    table: str
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete one element."""

    table: str
    key: bytes


@dataclass(frozen=True, slots=True)
class UseOwn:
    """Write our own short id."""

    own: ShortId


Step = Put | Remove | UseOwn


def image(tables: ForwardingTables, fast: bool) -> Image:
    """Return the map elements for `tables`; without `fast` all frames go through the companion."""
    flags = abi.HopFlags.FAST if fast else abi.HopFlags(0)
    return Image(
        own=tables.own,
        vteps={_address(address): _number(peer) for address, peer in tables.vteps.items()},
        routes={_number(peer): _hop(hop, flags) for peer, hop in tables.routes.items()},
        trees={_number(source): _tree(tree, flags) for source, tree in tables.trees.items()},
    )


def steps(actual: Image, desired: Image) -> Iterator[Step]:
    """Yield what to do, in an order that never leaves a packet without a way it had and will have.

    First senders are believed, then ways appear or change, then floods use them; taking away goes backwards.
    """
    yield from _puts("vteps", actual.vteps, desired.vteps)
    if actual.own != desired.own:
        yield UseOwn(desired.own)
    yield from _puts("routes", actual.routes, desired.routes)
    yield from _puts("trees", actual.trees, desired.trees)
    yield from _removals("trees", actual.trees, desired.trees)
    yield from _removals("routes", actual.routes, desired.routes)
    yield from _removals("vteps", actual.vteps, desired.vteps)


def departed(actual: Image, desired: Image) -> frozenset[int]:
    """Return the short ids behind which no longer anything is that was: peers that went, or took over an id."""
    before, after = _addresses_by_peer(actual.vteps), _addresses_by_peer(desired.vteps)
    return frozenset(peer for peer, addresses in before.items() if addresses.isdisjoint(after.get(peer, frozenset())))


@lru_cache(maxsize=abi.MAX_PEERS)  # asked for each branch of the tree
def children_of(tree: bytes) -> tuple[ShortId, ...]:
    """Return the children in a tree as its map has it, in their order."""
    _, count, _, hops = abi.TREE.packer.unpack(tree)
    return tuple(ShortId(hop[2]) for hop in islice(abi.HOP.packer.iter_unpack(hops), count))


@lru_cache(maxsize=abi.MAX_PEERS)
def mark_of(children: tuple[ShortId, ...]) -> int:
    """Return a number that tells one order of children from another: bits of a branch mean their places in it."""
    return zlib.crc32(b"".join(_number(child) for child in children))


def parse_address(data: bytes) -> UnderlayIp:
    """Return the dotted form of an address as maps and upcalls have it."""
    return UnderlayIp(str(IPv4Address(data)))


def _puts(table: str, actual: Elements, desired: Elements) -> Iterator[Put]:
    for key, value in desired.items():
        if actual.get(key) != value:
            yield Put(table, key, value)


def _removals(table: str, actual: Elements, desired: Elements) -> Iterator[Remove]:
    for key in actual:
        if key not in desired:
            yield Remove(table, key)


def _addresses_by_peer(vteps: Elements) -> dict[int, set[bytes]]:
    peers: dict[int, set[bytes]] = {}
    for address, peer in vteps.items():
        peers.setdefault(int.from_bytes(peer, _KEY), set()).add(address)
    return peers


def _number(value: int) -> bytes:
    return value.to_bytes(4, _KEY)


def _address(address: UnderlayIp) -> bytes:
    return IPv4Address(address).packed


def _hop(hop: Hop, flags: abi.HopFlags) -> bytes:
    return abi.HOP.packer.pack(_address(hop.remote), _address(hop.local), hop.peer, min(hop.mtu, 0xFFFF), flags)


def _tree(tree: Tree, flags: abi.HopFlags) -> bytes:
    children = tree.children[: abi.MAX_CHILDREN]
    mark = mark_of(tuple(child.peer for child in children))
    return abi.TREE.packer.pack(tree.parent, len(children), mark, b"".join(_hop(child, flags) for child in children))
