"""What the demo has found out, and whether all of it is as it should be; pure."""

import json
from dataclasses import dataclass, field

HOSTS = 3
CONTAINERS = 2  # on each host
PAIRS = (HOSTS * CONTAINERS) * (HOSTS * CONTAINERS - 1) // 2


@dataclass(slots=True)
class Outcome:
    """Filled in as the demo goes on; None = not known yet, which is not good enough."""

    pairs_ok: int = 0
    tcp_gbps: float | None = None
    relay_tcp_gbps: float | None = None
    multicast_sent: int = 0
    multicast_received: list[int] = field(default_factory=list)
    multicast_lost: int | None = None
    multicast_strays: int | None = None  # packets of a group where nobody wanted it
    heal_s: float | None = None
    lost_in_restart: int | None = None
    failures: list[str] = field(default_factory=list)

    def expect(self, holds: bool, otherwise: str) -> bool:
        """Note a failure unless something holds."""
        if not holds:
            self.failures.append(otherwise)
        return holds

    @property
    def ok(self) -> bool:
        """Whether everything was shown, and held."""
        return (
            not self.failures
            and self.pairs_ok == PAIRS
            and None not in (self.tcp_gbps, self.relay_tcp_gbps, self.heal_s)
            and self.multicast_sent > 0
            and self.multicast_lost == 0
            and self.multicast_strays == 0
            and self.lost_in_restart == 0
        )

    def to_json(self) -> str:
        """Return the last line of the demo."""
        return json.dumps(
            {
                "ok": self.ok,
                "hosts": HOSTS,
                "pairs_ok": self.pairs_ok,
                "tcp_gbps": _rounded(self.tcp_gbps),
                "relay_tcp_gbps": _rounded(self.relay_tcp_gbps),
                "multicast": {
                    "sent": self.multicast_sent,
                    "received": self.multicast_received,
                    "lost": self.multicast_lost,
                    "strays": self.multicast_strays,
                },
                "heal_s": _rounded(self.heal_s),
                "lost_in_restart": self.lost_in_restart,
            }
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
