"""What the kernel must know of groups: which of our ports, and which branches of a tree, get a packet.

A packet to a group is looked for twice: by its group alone, and, where that entry says so, by group and source.  What
has no entry at all goes to those who want everything, multicast routers.
"""

from dataclasses import dataclass

from ripstop.core.names import NO_PEER, PortId, ShortId


@dataclass(frozen=True, slots=True)
class Selector:
    """Which packets an entry is about."""

    group: bytes  # 4 or 16 bytes in network order; b"" = every group without an entry
    source: bytes = b""  # likewise; b"" = every source without an entry


@dataclass(frozen=True, slots=True)
class Delivery:
    """Packets of a selector go to these ports of ours."""

    selector: Selector
    ports: tuple[PortId, ...] | None  # sorted; None = no entry
    by_source: bool = False  # there are entries for single sources

    @property
    def key(self) -> "Key":
        """Which row it is."""
        return NO_PEER, self.selector


@dataclass(frozen=True, slots=True)
class Branching:
    """Packets of a selector that come along one peer's tree go on to these children of ours in it."""

    peer: ShortId  # the tree's root: the host on which the packets are sent
    selector: Selector
    children: tuple[ShortId, ...] | None  # sorted; None = no entry
    by_source: bool = False

    @property
    def key(self) -> "Key":
        """Which row it is."""
        return self.peer, self.selector


Row = Delivery | Branching
Key = tuple[ShortId, Selector]  # of a row: the root of a tree, or NO_PEER for what our ports get
