"""What a report does to the state of a group: the tables of RFC 3376 and RFC 3810, row by row.

With A the sources of the record, the state of a group is INCLUDE (X), from these sources only, or EXCLUDE (X, Y), from
all sources but Y, where somebody is known to want X.  The RFCs call the X of INCLUDE A, and the A of its records B.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ripstop.core.multicast.filters import Mode
from ripstop.core.multicast.messages import Kind
from ripstop.core.names import SourceIp

Sources: TypeAlias = frozenset[SourceIp]
NONE: Sources = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """The new state and what is to be done on the way; sources that are no longer in it are deleted."""

    mode: Mode
    requested: Sources  # X
    excluded: Sources = NONE  # Y: their timers are at zero
    renewed: Sources = NONE  # source timer = group membership interval
    inherited: Sources = NONE  # source timer = what the group timer was
    asked: Sources = NONE  # Send Q(G, these)
    asks_group: bool = False  # Send Q(G)
    renews_group: bool = False  # group timer = group membership interval


def step(mode: Mode, kind: Kind, requested: Sources, excluded: Sources, said: Sources) -> Step:
    """Return what follows when a record of this kind, with sources `said`, is heard."""
    return _ROWS[mode, kind](requested, excluded, said)


# Source: RFC 3376, sections 6.4.1 and 6.4.2; RFC 3810, sections 7.4.1 and 7.4.2.
_ROWS: Mapping[tuple[Mode, Kind], Callable[[Sources, Sources, Sources], Step]] = {
    (Mode.INCLUDE, Kind.IS_IN): lambda x, _, a: Step(Mode.INCLUDE, x | a, renewed=a),
    (Mode.INCLUDE, Kind.IS_EX): lambda x, _, a: Step(Mode.EXCLUDE, x & a, a - x, renews_group=True),
    (Mode.INCLUDE, Kind.ALLOW): lambda x, _, a: Step(Mode.INCLUDE, x | a, renewed=a),
    (Mode.INCLUDE, Kind.BLOCK): lambda x, _, a: Step(Mode.INCLUDE, x, asked=x & a),
    (Mode.INCLUDE, Kind.TO_EX): lambda x, _, a: Step(Mode.EXCLUDE, x & a, a - x, asked=x & a, renews_group=True),
    (Mode.INCLUDE, Kind.TO_IN): lambda x, _, a: Step(Mode.INCLUDE, x | a, renewed=a, asked=x - a),
    (Mode.EXCLUDE, Kind.IS_IN): lambda x, y, a: Step(Mode.EXCLUDE, x | a, y - a, renewed=a),
    (Mode.EXCLUDE, Kind.IS_EX): lambda x, y, a: Step(Mode.EXCLUDE, a - y, y & a, renewed=a - x - y, renews_group=True),
    (Mode.EXCLUDE, Kind.ALLOW): lambda x, y, a: Step(Mode.EXCLUDE, x | a, y - a, renewed=a),
    (Mode.EXCLUDE, Kind.BLOCK): lambda x, y, a: Step(Mode.EXCLUDE, x | (a - y), y, inherited=a - x - y, asked=a - y),
    (Mode.EXCLUDE, Kind.TO_EX): lambda x, y, a: Step(
        Mode.EXCLUDE, a - y, y & a, inherited=a - x - y, asked=a - y, renews_group=True
    ),
    (Mode.EXCLUDE, Kind.TO_IN): lambda x, y, a: Step(
        Mode.EXCLUDE, x | a, y - a, renewed=a, asked=x - a, asks_group=True
    ),
}
