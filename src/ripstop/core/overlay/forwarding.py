"""What the kernel's tables must hold: the answer of the core to "who is there and who reaches whom"."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ripstop.core.mesh.bitmap import members
from ripstop.core.mesh.routes import Place, Route
from ripstop.core.names import NO_PEER, ShortId, UnderlayIp


@dataclass(frozen=True, slots=True)
class Hop:
    """One step over the underlay to a peer that is reached directly."""

    peer: ShortId
    remote: UnderlayIp
    local: UnderlayIp  # our address on that path
    mtu: int  # overlay MTU the path carries, in bytes


@dataclass(frozen=True, slots=True)
class Tree:
    """Our place in one source's flood tree."""

    parent: ShortId  # the peer from which the source's floods come; NO_PEER where we are the source
    children: tuple[Hop, ...]  # to whom we pass them on, sorted by peer


@dataclass(frozen=True, slots=True)
class ForwardingTables:
    """Everything the datapath needs to know of the mesh; immutable, compared as a whole."""

    own: ShortId = NO_PEER
    vteps: Mapping[UnderlayIp, ShortId] = field(default_factory=dict)  # whose outer address; our own too
    routes: Mapping[ShortId, Hop] = field(default_factory=dict)  # destination peer -> next hop
    trees: Mapping[ShortId, Tree] = field(default_factory=dict)  # source peer (our own id too) -> place


def tables(
    own: ShortId,
    vteps: Mapping[UnderlayIp, ShortId],
    hops: Mapping[ShortId, Hop],
    routes: Mapping[ShortId, Route],
    places: Mapping[ShortId, Place],
) -> ForwardingTables:
    """Return what the kernel's tables must hold.

    Args:
        own: our own id; NO_PEER while we have none.
        vteps: whose each outer address is, ours among them.
        hops: how we get to each peer that we reach directly; what leads over any other is left out.
        routes: our way to each peer.
        places: where we stand in each source's tree.
    """
    return ForwardingTables(
        own=own,
        vteps=dict(vteps),
        routes={peer: hops[way.next_hop] for peer, way in routes.items() if way.next_hop in hops},
        trees={source: _tree(place, hops) for source, place in places.items()},
    )


def _tree(place: Place, hops: Mapping[ShortId, Hop]) -> Tree:
    return Tree(place.parent, tuple(hops[child] for child in members(place.children) if child in hops))
