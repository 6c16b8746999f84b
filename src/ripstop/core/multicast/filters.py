"""Which sources of a group are wanted: from these only, or from all but these."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from ripstop.core.names import SourceIp


class Mode(Enum):
    """How a list of sources is meant."""

    INCLUDE = "include"  # these and no others
    EXCLUDE = "exclude"  # all but these


@dataclass(frozen=True, slots=True)
class Filter:
    """What is wanted of one group; filters that pass the same sources are equal.

    Source: RFC 3376, section 2.
    """

    mode: Mode
    sources: tuple[SourceIp, ...] = ()  # sorted, without repetition, whatever the order in which they were given

    def __post_init__(self) -> None:
        if len(self.sources) > 1:
            object.__setattr__(self, "sources", tuple(sorted(dict.fromkeys(self.sources))))

    def passes(self, source: SourceIp) -> bool:
        """Return whether packets of `source` are wanted."""
        return (source in self.sources) == (self.mode is Mode.INCLUDE)

    def __or__(self, other: "Filter") -> "Filter":
        """Return what passes whatever one of the two passes.

        Source: RFC 3376, section 3.2.
        """
        mine, theirs = set(self.sources), set(other.sources)
        match self.mode, other.mode:
            case Mode.INCLUDE, Mode.INCLUDE:
                return Filter(Mode.INCLUDE, tuple(mine | theirs))
            case Mode.EXCLUDE, Mode.EXCLUDE:
                return Filter(Mode.EXCLUDE, tuple(mine & theirs))
            case Mode.EXCLUDE, Mode.INCLUDE:
                return Filter(Mode.EXCLUDE, tuple(mine - theirs))
            case _:
                return Filter(Mode.EXCLUDE, tuple(theirs - mine))


NOTHING = Filter(Mode.INCLUDE)
EVERYTHING = Filter(Mode.EXCLUDE)


def union(filters: Iterable[Filter]) -> Filter:
    """Return what several receivers want together; nothing if there are none."""
    total = NOTHING
    for one in filters:
        total |= one
    return total
