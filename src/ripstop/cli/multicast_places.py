"""Rates of groups summed up by port or by host: what each sends, and what each gets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal

import msgspec

from ripstop.api.types import EVERY_GROUP, MulticastMember
from ripstop.cli.output import Column, print_table

By = Literal["port", "host"]
_Key = tuple[str, str, str]  # peer, container, interface


class Rate(msgspec.Struct):
    """What one source sent to one group between two looks; all counts per second."""

    group: str
    source: str
    host: str  # nickname of the host on which the source is
    peer: str
    container: str
    ifname: str
    packets: float
    bits: float
    delivered: float  # copies to ports of this host
    sent: float  # copies to other hosts
    dropped: float  # packets that went to nobody


class Place(msgspec.Struct):
    """What a port of this host, or a host as a whole, sends to groups and gets of them; all per second.

    What it sends was counted.  What it gets is what the counted packets are to it by what it wants now: of those that
    come past this host.  A host gets a packet once, however many of its ports do, and none from itself.
    """

    host: str
    peer: str
    container: str  # "" for a host
    ifname: str
    packets: float = 0.0
    bits: float = 0.0
    dropped: float = 0.0  # of those: went to nobody
    received: float = 0.0
    received_bits: float = 0.0


@dataclass(frozen=True, slots=True)
class _Wants:
    """What one place wants, made ready for asking often."""

    groups: dict[str, list[MulticastMember]] = field(default_factory=dict)
    families: set[int] = field(default_factory=set)  # 4, 6: every group of these

    def add(self, member: MulticastMember) -> None:
        if member.group in EVERY_GROUP:
            self.families.add(EVERY_GROUP[member.group])
        else:
            self.groups.setdefault(member.group, []).append(member)

    def passes(self, rate: Rate) -> bool:
        if self.families and ip_address(rate.group).version in self.families:
            return True
        return any(
            (rate.source in member.sources) == (member.mode == "include") for member in self.groups.get(rate.group, ())
        )


def by_place(rates: Sequence[Rate], members: Sequence[MulticastMember], by: By) -> list[Place]:
    """Return what each port of this host, or each host, sends and gets; who gets most comes first."""
    places: dict[_Key, Place] = {}
    wants: dict[_Key, _Wants] = {}
    for member in members:
        if by == "host" or member.container:
            key = _key(member, by)
            places.setdefault(key, Place(member.host, *key))
            wants.setdefault(key, _Wants()).add(member)
    for rate in rates:
        own = _key(rate, by)
        if by == "host" or rate.container:
            place = places.setdefault(own, Place(rate.host, *own))
            place.packets += rate.packets
            place.bits += rate.bits
            place.dropped += rate.dropped
        for key, wanted in wants.items():
            if key != own and wanted.passes(rate):
                places[key].received += rate.packets
                places[key].received_bits += rate.bits
    busy = (place for place in places.values() if place.packets or place.received)
    return sorted(busy, key=lambda one: (-one.received, -one.packets, one.host, one.container, one.ifname))


def show_places(places: Sequence[Place], by: By, seconds: float) -> None:
    """Print what each place sends and gets as a table."""
    who = (Column("HOST"),) if by == "host" else (Column("CONTAINER"), Column("INTERFACE"))
    columns = (*who, *(
        Column(heading, ">") for heading in ("PACKETS/S", "MBIT/S", "DROPPED/S", "RECEIVED/S", "RECEIVED MBIT/S")
    ))  # fmt: skip
    rows = [
        (*((place.host or place.peer,) if by == "host" else (place.container, place.ifname)),
         f"{place.packets:,.0f}", f"{place.bits / 1e6:,.2f}", f"{place.dropped:,.0f}",
         f"{place.received:,.0f}", f"{place.received_bits / 1e6:,.2f}")
        for place in places
    ]  # fmt: skip
    print_table(columns, rows, empty=f"no packets to groups within {seconds:.1f} s")


def _key(one: MulticastMember | Rate, by: By) -> _Key:
    return (one.peer, "", "") if by == "host" else (one.peer, one.container, one.ifname)
