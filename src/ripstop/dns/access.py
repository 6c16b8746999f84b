"""Who may ask about names that are not ours: an open resolver would help whoever floods others with its answers."""

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

HOLDS = 5.0  # seconds for which we believe what we found out; addresses of this host come and go
_MAX_KNOWN = 4096  # addresses; then all are found out anew
_LOOPBACK = ("127.0.0.0/8", "::1/128")


class Access:
    """Decides by address: loopback, the allowed networks, and this host itself."""

    def __init__(self, networks: Sequence[str], is_own: Callable[[str], bool]) -> None:
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(map(ip_network, (*_LOOPBACK, *networks)))
        self._is_own = is_own
        self._known: dict[str, tuple[bool, float]] = {}  # by address; until when

    def allows(self, address: str, now: float) -> bool:
        """Return whether this address may ask about anything."""
        allowed, until = self._known.get(address, (False, 0.0))
        if now >= until:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            parsed = ip_address(address)
            allowed = any(parsed in network for network in self._networks) or self._is_own(address)
            self._known[address] = allowed, now + HOLDS
        return allowed


def is_own(address: str) -> bool:
    """Return whether an address is one of this host: what goes there comes from there too."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as ask:
        try:
            ask.connect((address, 9))  # sends nothing
        except OSError:
            return False
        return bool(ask.getsockname()[0] == address)
