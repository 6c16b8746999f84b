"""Everything that goes over a control connection, and every replicated value; `wire/control.py` has the bytes.

Messages are frozen and whole.  Fields are only ever appended, with defaults, so that versions can talk.
"""

import msgspec

from ripstop.core.dns.messages import Bindings
from ripstop.core.ipam.messages import Ballot, IpamMessage, RingStart, Token
from ripstop.core.multicast.messages import Wants
from ripstop.core.names import PeerName, ShortId, UnderlayIp

PROTOCOL_VERSION = 1


class PeerRecord(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The value of entry `peer/<name>`: what a peer says of itself; written only by that peer, replaced whole."""

    name: PeerName
    incarnation: int  # grows by one at every start
    nickname: str
    addresses: tuple[UnderlayIp, ...]  # where its data path and control port may be reached, best guess first
    port: int  # TCP port of control connections; VXLAN uses port + 1
    short_id: ShortId
    public_key: bytes = b""  # static key of the handshake; empty while the mesh has no password
    site: str = ""
    left: bool = False  # tombstone: the peer said goodbye


class Reach(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The value of entry `reach/<name>`: whom a peer reaches; written only by that peer."""

    name: PeerName
    data: bytes  # bitmap over short ids (bit i of byte i//8): peers whose probes were answered
    control: bytes  # same form: peers with an established control connection
    mtu: int  # overlay MTU that all its direct paths carry, bytes; 0 = no path yet


Value = PeerRecord | Reach | Token | Ballot | RingStart | Wants | Bindings


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One replicated fact.  The higher version wins; two values of one version are ordered by their bytes."""

    key: str  # `<channel>/<what>`, for example `peer/0123456789abcdef`
    version: int  # (incarnation << 32 | count) for a peer's own entries; a plain count for tokens
    value: Value


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """First on every connection, both ways."""

    protocol: int
    name: PeerName
    incarnation: int
    nickname: str
    port: int  # own control port, so that the other side can dial back
    seen_as: str = ""  # the address the receiver appears under
    instance: int = 0  # drawn at random at every start: tells ourselves from somebody who has our name


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Says nothing but that the sender lives."""


class Gossip(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Entries that were news to the sender."""

    entries: tuple[Entry, ...]


class Digest(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A hash per bucket of keys; equal hashes need no further word."""

    buckets: tuple[int, ...]


class Versions(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Key and version of all in the buckets that differed; the receiver sends what is newer, wants the rest."""

    buckets: tuple[int, ...]  # their indices
    versions: tuple[tuple[str, int], ...]


class Want(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Asks for the entries with these keys."""

    keys: tuple[str, ...]


class Routed(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """A message for one peer that may be several connections away; lost if there is no way."""

    source: PeerName
    destination: PeerName
    hops_left: int
    body: IpamMessage


class Goodbye(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """Why the sender closes: shown in the receiver's `status connections`."""

    reason: str


Message = Hello | Heartbeat | Gossip | Digest | Versions | Want | Routed | Goodbye


class Probe(msgspec.Struct, frozen=True, array_like=True):
    """Rides in a frame on the data path itself, padded to the size under test; not on TCP."""

    ack: bool
    sender: PeerName
    target: PeerName  # "" until known; a probe for somebody else is not answered
    nonce: int
    mtu: int  # the overlay MTU under test: the inner IP packet has exactly this size when `ack` is False
