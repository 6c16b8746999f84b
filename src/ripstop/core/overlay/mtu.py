"""How large packets of containers may be."""

from collections.abc import Iterable

VXLAN_OVERHEAD = 50  # bytes, IPv4 underlay: 14 inner Ethernet + 8 VXLAN + 8 UDP + 20 IPv4
MIN_MTU = 1280  # bytes; a path that carries less is none.  Source: RFC 8200, section 5 (IPv6 needs it)


def path_mtu(underlay_mtu: int) -> int:
    """Return the largest overlay packet that one underlay packet carries, in bytes.

    Args:
        underlay_mtu: IP MTU of the link that carries the encapsulation, in bytes.

    Source: RFC 7348, section 4.3 (VTEPs must not fragment) and section 5 (frame format).
    """
    return underlay_mtu - VXLAN_OVERHEAD


def overlay_mtu(underlay_mtu: int, peers: Iterable[int], fixed: int | None) -> int:
    """Return the MTU that container interfaces must have so that every frame fits every path, in bytes.

    Args:
        underlay_mtu: largest IP MTU of our own links, in bytes; the answer while there is no path.
        peers: what the direct paths of each reachable peer, and our own, carry; 0 = has no path yet.
        fixed: the user's choice, which caps the answer; None to find out.
    """
    found = min((mtu for mtu in peers if mtu > 0), default=path_mtu(underlay_mtu))
    return max(MIN_MTU, min(found, path_mtu(underlay_mtu), fixed or found))
