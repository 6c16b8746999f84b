"""The host's resolvers, as /etc/resolv.conf has them now."""

import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

CHECK_INTERVAL = 1.0  # seconds between two looks at the file, which is looked at only when somebody asks
MAX_SERVERS = 8
_MAX_BYTES = 64 * 1024
_PORT = 53


def parse(text: str) -> tuple[str, ...]:
    """Return the addresses of the name servers in a resolv.conf, each once; what is no address is left out."""
    servers: dict[str, None] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                ip_address(words[1])
            except ValueError:
                continue
            servers[words[1]] = None
    return tuple(servers)[:MAX_SERVERS]


class ResolvConf:
    """Reads the file again when it is another one, or has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._look_at = 0.0
        self._servers: tuple[str, ...] = ()

    def servers(self, now: float) -> tuple[str, ...]:
        """Return the name servers in it; the former ones while there is no file, for it may be being replaced."""
        if now >= self._look_at:
            self._look_at = now + CHECK_INTERVAL
            try:
                status = os.stat(self._path)  # noqa: PTH116 - follows links, and is read for its numbers alone
                seen = status.st_ino, status.st_mtime_ns, status.st_size
                if seen != self._seen:
                    with self._path.open(errors="replace") as file:
                        self._servers = parse(file.read(_MAX_BYTES))
                    self._seen = seen
            except OSError:
                self._seen = None
        return self._servers


def without_own(
    servers: tuple[str, ...], places: tuple[tuple[str, int], ...], is_own: Callable[[str], bool]
) -> tuple[str, ...]:
    """Return those servers that are not ourselves, whom we would ask for ever."""
    ours = [address for address, port in places if port == _PORT]
    wild = {4: "0.0.0.0" in ours, 6: "::" in ours}
    return tuple(
        server for server in servers if server not in ours and not (wild[ip_address(server).version] and is_own(server))
    )
