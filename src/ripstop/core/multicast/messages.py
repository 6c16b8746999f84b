"""What hosts, routers and peers say about multicast.

IGMP and MLD are one language in two families: IGMPv2 is MLDv1 and IGMPv3 is MLDv2, so there is one set of messages;
`wire/igmp.py` and `wire/mld.py` have the bytes.  What peers tell each other is at the end.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum

import msgspec

from ripstop.core.multicast.filters import Filter, Mode
from ripstop.core.names import MulticastIp, SourceIp


class Family(Enum):
    """Which of the two an address belongs to."""

    IPV4 = 4
    IPV6 = 6


class Version(IntEnum):
    """What a speaker is able to say, by the number that IGMP has for it; MLD's is one less."""

    V1 = 1  # IGMPv1: who leaves says nothing
    V2 = 2  # IGMPv2 and MLDv1: no sources
    V3 = 3  # IGMPv3 and MLDv2


class Kind(IntEnum):
    """What a record says, by its number on the wire.

    Source: RFC 3376, section 4.2.12; RFC 3810, section 5.2.12.
    """

    IS_IN = 1  # what is wanted, in answer to a query
    IS_EX = 2
    TO_IN = 3  # what is wanted from now on
    TO_EX = 4
    ALLOW = 5  # wanted as well from now on
    BLOCK = 6  # wanted no more


@dataclass(frozen=True, slots=True)
class Record:
    """What a host says of one group."""

    kind: Kind
    group: MulticastIp
    sources: tuple[SourceIp, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a host says of its groups; a report of an older version is IS_EX, and a leave TO_IN, without sources."""

    version: Version
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A router asks what is wanted: of everything, of one group, or of these sources of one group."""

    version: Version
    group: MulticastIp | None = None
    sources: tuple[SourceIp, ...] = ()
    max_response: float = 0.0  # seconds in which hosts must answer
    robustness: int = 0  # packets of which all but one may be lost; 0 = the querier does not say
    interval: float = 0.0  # seconds between general queries; 0 = the querier does not say
    suppress: bool = False  # other routers must not lower their timers


@dataclass(frozen=True, slots=True)
class PimHello:
    """A multicast router says that it is there."""

    holdtime: float  # seconds until it counts as gone; 0 = it goes, infinity = it stays until it says so


Message = Query | Report | PimHello


ANY_GROUP = {Family.IPV4: MulticastIp(bytes(4)), Family.IPV6: MulticastIp(bytes(16))}  # stands for every group

_LINK_LOCAL_V4 = bytes([224, 0, 0])  # RFC 5771, section 4: never forwarded by routers


def family_of(address: MulticastIp | SourceIp) -> Family:
    """Return which family an address belongs to."""
    return Family.IPV4 if len(address) == 4 else Family.IPV6


def is_snooped(group: MulticastIp) -> bool:
    """Return whether packets to a group go to its members only; others go to everyone, whoever joins.

    Hosts need not join what routers never forward, and control protocols count on being heard; among them neighbor
    discovery, which would otherwise make a group of every IPv6 address.

    Source: RFC 4541, sections 2.1.2 and 3; RFC 3810, section 6 (no reports for scopes 0 and 1, or for ff02::1).
    """
    if len(group) == 4:
        return group[0] >> 4 == 0xE and group[:3] != _LINK_LOCAL_V4
    return group[0] == 0xFF and group[1] & 0xF > 2


class Want(msgspec.Struct, frozen=True, array_like=True):
    """What the hosts of one peer want of a group, all together."""

    group: bytes  # 4 or 16 bytes in network order
    exclude: bool  # all but these sources; else these only
    sources: tuple[bytes, ...] = ()  # sorted, of the group's family

    @classmethod
    def of(cls, group: MulticastIp, wanted: Filter) -> "Want":
        """Return what says `wanted`."""
        return cls(group, wanted.mode is Mode.EXCLUDE, wanted.sources)

    @property
    def filter(self) -> Filter:
        """What is wanted."""
        return Filter(Mode.EXCLUDE if self.exclude else Mode.INCLUDE, tuple(map(SourceIp, self.sources)))


class Wants(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """The value of entry `mcast/<peer>/<bucket>`: what a peer wants of some groups; written by it alone."""

    wants: tuple[Want, ...]  # sorted by group; what is not wanted at all is left out
