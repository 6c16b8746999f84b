"""The small mesh the bench switch believes to be in, and packets from its peers."""

from ripstop.core.names import NO_PEER, ShortId, UnderlayIp
from ripstop.core.overlay.forwarding import ForwardingTables, Hop, Tree
from tests.bpf.packets import VXLAN_PORT, ethernet, ipv4, udp, vxlan
from tests.bpf.switch import NIC_MAC, OWN_IP, PEER_IP, PEER_MAC, SILENT_IP, THIRD_IP

OWN, PEER, THIRD, SILENT, FAR = (ShortId(n) for n in (1, 2, 3, 4, 7))  # FAR is behind THIRD
MTU = 1450  # bytes, of every path
LOCAL_MAC, OTHER_MAC, REMOTE_MAC, UNKNOWN_MAC = (f"0a:00:00:00:00:{n:02x}" for n in (0x11, 0x12, 0x22, 0x99))
GROUP_MAC = "01:00:5e:00:00:07"


def hop(peer: ShortId, remote: str, mtu: int = MTU) -> Hop:
    """Return the step to a peer."""
    return Hop(peer, UnderlayIp(remote), UnderlayIp(OWN_IP), mtu)


TO_PEER, TO_THIRD, TO_SILENT = hop(PEER, PEER_IP), hop(THIRD, THIRD_IP), hop(SILENT, SILENT_IP)
TABLES = ForwardingTables(
    own=OWN,
    vteps={
        UnderlayIp(OWN_IP): OWN,
        UnderlayIp(PEER_IP): PEER,
        UnderlayIp(THIRD_IP): THIRD,
        UnderlayIp(SILENT_IP): SILENT,
    },
    routes={PEER: TO_PEER, THIRD: TO_THIRD, FAR: TO_THIRD, SILENT: TO_SILENT},
    trees={
        OWN: Tree(NO_PEER, (TO_PEER, TO_THIRD)),
        PEER: Tree(PEER, ()),  # we are a leaf of its tree
        FAR: Tree(THIRD, (TO_PEER,)),  # and pass its floods on
    },
)


def payload(size: int = 5) -> bytes:
    """Return an IPv4 packet of containers with that many bytes in it."""
    return ipv4("10.32.0.1", "10.32.0.2", udp(1000, 2000, bytes(size)))


def underlay(
    inside: bytes,
    source: str = PEER_IP,
    *,
    target: str = OWN_IP,
    port: int = VXLAN_PORT,
    ttl: int = 64,
    options: int = 0,
) -> bytes:
    """Return a packet from the underlay with `inside` after its UDP header."""
    datagram = udp(50000, port, inside)
    return ethernet(NIC_MAC, PEER_MAC, ipv4(source, target, datagram, ttl=ttl, fragment=0x4000, options=options))


def arrival(vni: int, destination: int, frame: bytes, source: str = PEER_IP, ttl: int = 64) -> bytes:
    """Return a frame as a peer sends it."""
    return underlay(vxlan(vni, destination, frame), source, ttl=ttl)
