"""A flood tree cut down to those who want a frame: no peer gets it that neither wants it nor leads to one who does."""

from ripstop.core.mesh.routes import Place


def next_hops(place: Place, members: int) -> int:
    """Return the set of children through which a frame must go to reach a set of peers.

    Args:
        place: where we stand in the tree of the frame's source.
        members: the peers that want the frame; whether we are one of them makes no difference.
    """
    hops = 0
    for child, below in place.below:
        if below & members:
            hops |= 1 << child
    return hops
