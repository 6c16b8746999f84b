"""Groups on the bench switch: who gets a frame, told by what is heard at every end."""

from collections.abc import Iterable
from ipaddress import ip_address
from itertools import count

from ripstop.core.multicast.tables import Selector
from ripstop.core.names import PortId, ShortId
from tests.bpf.packets import BROADCAST, Outer, ethernet, to_group, vxlan
from tests.bpf.switch import OTHER_PORT, PORT, THIRD_IP, UNDERLAY, Switch
from tests.bpf.tables import FAR, LOCAL_MAC, OWN, REMOTE_MAC, payload, underlay

GROUP, TWIN = "239.192.7.1", "239.64.7.1"  # RFC 2365; they share a MAC address
SOURCE, OTHER_SOURCE = "10.32.0.1", "10.32.0.2"
GROUP6, SOURCE6 = "ff05::7:1", "fd00::1"

_marks = count(100)


def selector(group: str = GROUP, source: str = "") -> Selector:
    """Return what entries for a group, or one source of it, are under; without a group that of routers."""
    return Selector(*(ip_address(address).packed if address else b"" for address in (group, source)))


def join(switch: Switch, devices: Iterable[str], group: str = GROUP, source: str = "", by_source: bool = False) -> None:
    """Have ports of ours get a group's packets, and nobody else of them."""
    ports = [PortId(switch.ifindex(device)) for device in devices]
    switch.datapath.groups.put_receivers(selector(group, source), ports, by_source)


def branch(
    switch: Switch, children: Iterable[ShortId], group: str = GROUP, source: str = "", *, peer: ShortId = OWN,
    by_source: bool = False,
) -> None:  # fmt: skip
    """Have children in a tree, ours if no other is given, get a group's packets."""
    switch.datapath.groups.put_branches(peer, selector(group, source), children, by_source)


def frame_to(group: str = GROUP, source: str = "", mac: str = LOCAL_MAC) -> bytes:
    """Return a frame to a group."""
    return to_group(group, source or (SOURCE6 if ":" in group else SOURCE), mac, b"to all who joined")


def takers(switch: Switch, frame: bytes) -> list[str]:
    """Send a frame by PORT; return who got it: ports, and outer addresses of peers, sorted, each once per copy."""
    return _takers(switch, PORT, frame, ethernet(BROADCAST, LOCAL_MAC, _mark()), {OTHER_PORT: 1, UNDERLAY: 2})


def far_takers(switch: Switch, frame: bytes, ttl: int = 64, options: int = 0) -> list[str]:
    """Have a frame come from FAR, whose tree goes on through us to PEER; return who got it, likewise.

    With `options` in the outer header, from_underlay leaves it to the companion.
    """
    frames = frame, ethernet(BROADCAST, REMOTE_MAC, _mark())
    sent, mark = (
        underlay(vxlan(FAR, 0, inside), source=THIRD_IP, ttl=ttl, options=options)
        for inside, ttl in zip(frames, (ttl, 64), strict=True)
    )
    return _takers(switch, UNDERLAY, sent, mark, {PORT: 1, OTHER_PORT: 1, UNDERLAY: 1}, frame)


def _takers(
    switch: Switch, device: str, packet: bytes, mark: bytes, marks: dict[str, int], frame: bytes = b""
) -> list[str]:
    """Send a packet, and behind it a mark that is flooded; what is heard before the marks is the packet's."""
    switch.send(packet, device)
    switch.send(mark, device)
    found = []
    for place, expected in marks.items():
        while expected:
            heard = switch.hear(place)
            outer = Outer.parse(heard) if place == UNDERLAY else None
            inside = outer.frame if outer else heard
            if inside == mark or mark.endswith(inside):
                expected -= 1
                continue
            assert inside == (frame or packet), "something else, or not whole"
            found.append(outer.target if outer else place)
    return sorted(found)


def _mark() -> bytes:
    return payload(next(_marks))
