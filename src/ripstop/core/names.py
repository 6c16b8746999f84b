"""The names and numbers by which things are known, one type each, so that mypy tells them apart."""

import re
from typing import NewType

PeerName = NewType("PeerName", str)  # 16 lower-case hex digits, drawn at random once and kept on disk
ShortId = NewType("ShortId", int)  # 1..65535, unique in the mesh; what the VXLAN header has room for
UnderlayIp = NewType("UnderlayIp", str)  # dotted IPv4 address of a host, canonical form
ContainerId = NewType("ContainerId", str)  # whatever names a container to the daemon, at most 128 characters
ConnectionId = NewType("ConnectionId", int)  # one TCP session, never used twice in a daemon's life
Holder = NewType("Holder", str)  # who of ours has names: an interface, or what somebody registered by hand
RequestId = NewType("RequestId", int)  # a question that waits for its answer, never used twice
PortId = NewType("PortId", int)  # a port of this host's switch: the index of its network interface
MulticastIp = NewType("MulticastIp", bytes)  # a group, 4 or 16 bytes in network order
SourceIp = NewType("SourceIp", bytes)  # whoever sends to a group, or speaks of one, in the same form

NO_PEER = ShortId(0)  # in a VXLAN header's destination: not one peer, but the source's tree
MAX_SHORT_ID = ShortId(65535)  # VXLAN-GBP's policy id has 16 bits
_NAME = re.compile(r"[0-9a-f]{16}")


def is_peer_name(text: str) -> bool:
    """Return whether `text` is 16 lower-case hex digits."""
    return _NAME.fullmatch(text) is not None
