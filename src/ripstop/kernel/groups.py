"""Who gets the packets of which groups, written into the maps `receivers` and `branches`; and what came of it.

The daemon says it with ports and peers.  Here it becomes what the programs read: interface numbers, or bits by slot of
`devices` where a group has many receivers, and bits by place in a tree.  See docs/datapath.md.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ripstop.core.multicast.tables import Selector
from ripstop.core.names import PortId, ShortId
from ripstop.kernel import abi, bpf
from ripstop.kernel.abi import DeviceFlags, GroupFlags
from ripstop.kernel.datapath_tables import children_of, mark_of
from ripstop.kernel.ring import RingReader
from ripstop.kernel.selectors import pack_selector, parse_selector
from ripstop.kernel.streams import Stream, Streams

_KEY: Final = "little"  # x86-64 and arm64 alike

Devices = Mapping[int, tuple[int, DeviceFlags]]  # slot -> ifindex and what it is to the switch


@dataclass(frozen=True, slots=True)
class Receivers:
    """Our own ports that get a selector's packets, sorted."""

    ports: tuple[PortId, ...]
    by_source: bool  # there are entries for single sources


@dataclass(frozen=True, slots=True)
class Branches:
    """Our children in a tree that get a selector's packets, sorted."""

    children: tuple[ShortId, ...]
    by_source: bool


@dataclass(frozen=True, slots=True)
class Snoop:
    """A frame that tells who wants which groups, as it came in by a port."""

    port: PortId
    frame: bytes  # whole, from the Ethernet header on


def pack_receivers(receivers: Receivers, devices: Devices) -> bytes:
    """Return `struct receivers`: a list of ports if they are few, else bits by slot."""
    count, flags = len(receivers.ports), _flags(receivers.by_source)
    if count <= abi.FEW_RECEIVERS:
        listed = b"".join(port.to_bytes(4, _KEY) for port in receivers.ports)
        return abi.RECEIVERS.packer.pack(count, flags, listed, b"")
    wanted = frozenset(receivers.ports)
    bits = sum(1 << slot for slot, (ifindex, _) in devices.items() if ifindex in wanted)
    return abi.RECEIVERS.packer.pack(count, flags, b"", bits.to_bytes(abi.MAX_DEVICES // 8, _KEY))


def parse_receivers(value: bytes, devices: Devices) -> Receivers:
    """Return what `pack_receivers` was given."""
    count, flags, listed, slots = abi.RECEIVERS.packer.unpack(value)
    if count <= abi.FEW_RECEIVERS:
        ports = [int.from_bytes(listed[at : at + 4], _KEY) for at in range(0, count * 4, 4)]
    else:
        bits = int.from_bytes(slots, _KEY)
        ports = [ifindex for slot, (ifindex, _) in devices.items() if bits >> slot & 1]
    return Receivers(tuple(map(PortId, sorted(ports))), bool(flags & GroupFlags.SOURCES))


def pack_branches(branches: Branches, tree: bytes | None) -> bytes:
    """Return `struct branch` for a tree as its map has it; children that are not in it are left out."""
    known = children_of(tree) if tree else ()
    bits = sum(1 << place for place, child in enumerate(known) if child in branches.children)
    return abi.BRANCH.packer.pack(bits, mark_of(known), _flags(branches.by_source))


def parse_branches(value: bytes, tree: bytes | None) -> Branches:
    """Return what `pack_branches` was given; if that was for another tree, all children, as the programs take it."""
    bits, mark, flags = abi.BRANCH.packer.unpack(value)
    known = children_of(tree) if tree else ()
    chosen = [child for place, child in enumerate(known) if mark != mark_of(known) or bits >> place & 1]
    return Branches(tuple(map(ShortId, sorted(chosen))), bool(flags & GroupFlags.SOURCES))


class Groups:
    """The groups' part of one switch's maps.  Methods are idempotent and write only what differs."""

    def __init__(
        self, maps: Mapping[str, bpf.Map], devices: Devices, trees: Mapping[bytes, bytes], changed: Callable[[], None]
    ) -> None:
        """Take over what the maps hold.

        Args:
            maps: of the switch, by name.
            devices: slots of the switch; kept up to date by its owner.
            trees: what the map `trees` holds; likewise.
            changed: to be called after what decisions rest on was written.
        """
        self._receivers_map, self._branches_map = maps["receivers"], maps["branches"]
        self._streams = Streams(maps["streams"], maps["tails"])
        self._devices, self._trees, self._changed = devices, trees, changed
        self._ring = RingReader(maps["snoops"])
        self._receivers = {key: parse_receivers(value, devices) for key, value in self._receivers_map.items()}
        self._branches: dict[bytes, dict[bytes, Branches]] = {}  # by peer
        self._written: dict[bytes, bytes] = {}  # what the map `branches` holds
        self._stale: dict[bytes, None] = {}  # peers whose tree was changed, and their branches not yet
        for key, value in self._branches_map.items():
            stream, peer = abi.BRANCH_KEY.packer.unpack(key)
            peer_key = peer.to_bytes(4, _KEY)
            self._branches.setdefault(peer_key, {})[stream] = parse_branches(value, trees.get(peer_key))
            self._written[key] = value

    def put_receivers(self, selector: Selector, ports: Iterable[PortId], by_source: bool = False) -> None:
        """Have packets of `selector` go to these ports; those that are no longer ours are left out.

        Args:
            selector: which packets; without a source those that no other entry is for, without a group those of all
                groups that have no entry, and membership reports.
            ports: who gets them; none at all is an entry too.
            by_source: there are, or will be, entries of the same group for single sources.
        """
        ours = {ifindex for ifindex, flags in self._devices.values() if flags & DeviceFlags.PORT}
        chosen = tuple(sorted({port for port in ports if port in ours}))
        if self._write_receivers(pack_selector(selector), Receivers(chosen, by_source)):
            self._changed()

    def remove_receivers(self, selector: Selector) -> None:
        """Have no entry for our ports."""
        key = pack_selector(selector)
        if key in self._receivers:
            self._receivers_map.delete(key)
            del self._receivers[key]
            self._changed()

    def receivers(self) -> dict[Selector, Receivers]:
        """Return all entries for our ports."""
        return {parse_selector(key): receivers for key, receivers in self._receivers.items()}

    def put_branches(
        self, peer: ShortId, selector: Selector, children: Iterable[ShortId], by_source: bool = False
    ) -> None:
        """Have packets of `selector` that come along a peer's tree go on to these children of ours in it.

        Children that the tree has not, or no longer, are kept in mind: they count once `retree` says that it has them.

        Args:
            peer: the tree's root; our own id for what our ports send.
            selector: which packets, as for `put_receivers`.
            children: who gets them; none at all is an entry too.
            by_source: as for `put_receivers`.
        """
        key, stream = peer.to_bytes(4, _KEY), pack_selector(selector)
        branches = Branches(tuple(sorted(children)), by_source)
        if self._write_branches(key, stream, branches):
            self._changed()
        self._branches.setdefault(key, {})[stream] = branches

    def remove_branches(self, peer: ShortId, selector: Selector) -> None:
        """Have no entry for a peer's tree."""
        key, stream = peer.to_bytes(4, _KEY), pack_selector(selector)
        if stream in self._branches.get(key, {}):
            self._branches_map.delete(stream + key)
            self._written.pop(stream + key, None)
            del self._branches[key][stream]
            self._changed()

    def branches(self) -> dict[tuple[ShortId, Selector], Branches]:
        """Return all entries for trees, by root and selector."""
        return {
            (ShortId(int.from_bytes(peer, _KEY)), parse_selector(stream)): branches
            for peer, streams in self._branches.items()
            for stream, branches in streams.items()
        }

    def rows(self) -> dict[str, int]:
        """Return how many entries the maps have, by name."""
        return {"receivers": len(self._receivers), "branches": len(self._written)}

    def doubt(self, peer: bytes) -> None:
        """Note that a tree was changed, by its key.  Until `retree`, all its children get what any of them wants."""
        self._stale[peer] = None

    def retree(self) -> None:
        """Write the branches of trees that were changed anew."""
        written = False
        for peer in list(self._stale):
            for stream, branches in self._branches.get(peer, {}).items():
                written |= self._write_branches(peer, stream, branches)
            del self._stale[peer]
        if written:
            self._changed()

    def forget_port(self, port: int) -> None:
        """Take a port out of every entry: its slot, and its number, may be another's soon."""
        concerned = [(key, had) for key, had in self._receivers.items() if port in had.ports]
        for key, had in concerned:
            others = tuple(other for other in had.ports if other != port)
            self._write_receivers(key, Receivers(others, had.by_source))
        if concerned:
            self._changed()

    def streams(self) -> list[Stream]:
        """Return what came of each stream that was seen lately, in no order; the numbers never go back."""
        return self._streams.all()

    def busiest(self, limit: int) -> tuple[tuple[Stream, ...], int]:
        """Return the streams with most packets, the living first, and how many there are in all."""
        return self._streams.busiest(limit)

    def snoop_fd(self) -> int:
        """Return the descriptor that becomes readable when `read_snoops` has something."""
        return self._ring.fileno()

    def read_snoops(self) -> list[Snoop]:
        """Return the frames handed up since the last call, without waiting."""
        snoops = []
        for record in self._ring.read():
            ifindex, length, _ = abi.SNOOP.packer.unpack_from(record)
            snoops.append(Snoop(PortId(ifindex), record[abi.SNOOP.packer.size :][:length]))
        return snoops

    def close(self) -> None:
        """Give our descriptors back."""
        self._ring.close()

    def _write_receivers(self, key: bytes, receivers: Receivers) -> bool:
        """Write an entry; return whether that was needed."""
        if self._receivers.get(key) == receivers:
            return False
        self._receivers_map.update(key, pack_receivers(receivers, self._devices))
        self._receivers[key] = receivers
        return True

    def _write_branches(self, peer: bytes, stream: bytes, branches: Branches) -> bool:
        """Write an entry as the peer's tree has it now; return whether that was needed."""
        key, value = stream + peer, pack_branches(branches, self._trees.get(peer))
        if self._written.get(key) == value:
            return False
        self._branches_map.update(key, value)
        self._written[key] = value
        return True


def _flags(by_source: bool) -> GroupFlags:
    return GroupFlags.SOURCES if by_source else GroupFlags(0)
