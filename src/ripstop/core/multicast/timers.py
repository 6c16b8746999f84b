"""How often a querier asks and how long it believes what it heard."""

from dataclasses import dataclass, fields

from ripstop.core.multicast.messages import Version

V1_RESPONSE = 10.0  # seconds in which hosts of version 1 answer, whatever they are asked; RFC 2236, section 4


@dataclass(frozen=True, slots=True)
class Timers:
    """What can be set, and what follows from it by the formulas of the RFCs.

    The defaults are far quicker than the RFCs': a port costs us two packets per interval, and no querier of a whole
    building is in need of mercy.

    Source: RFC 3376, section 8; RFC 3810, section 9.
    """

    robustness: int = 2  # packets in a row of which all but one may be lost
    query_interval: float = 10.0  # seconds between general queries
    max_response: float = 1.0  # seconds in which hosts answer them
    startup_interval: float = 0.25  # seconds between the first ones
    startup_count: int = 2
    last_member_interval: float = 0.1  # seconds in which hosts answer specific queries, and between these
    last_member_count: int = 2

    def __post_init__(self) -> None:
        """Refuse what no querier can live with.

        Raises:
            ValueError: something is not positive, or hosts may answer later than they are asked again.
        """
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ValueError(f"{field.name} {getattr(self, field.name)} is not positive")
        if self.max_response >= self.query_interval:
            raise ValueError(f"max_response {self.max_response} is not below query_interval {self.query_interval}")

    def membership(self, version: Version = Version.V3) -> float:
        """Return for how many seconds a report holds.

        Hosts of version 1 may take ten seconds for their answer, whatever the query says.

        Source: RFC 3376, sections 8.4 and 8.13; RFC 3810, sections 9.4 and 9.12.
        """
        response = max(self.max_response, V1_RESPONSE) if version is Version.V1 else self.max_response
        return self.robustness * self.query_interval + response

    @property
    def last_member_time(self) -> float:
        """Seconds from the first specific query to the end of what nobody claimed.

        Source: RFC 3376, section 8.8; RFC 3810, section 9.9.
        """
        return self.last_member_interval * self.last_member_count
