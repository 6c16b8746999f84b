"""Everything that can be chosen about one instance; nothing else reads flags or the environment."""

import contextlib
import functools
import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

from ripstop.core.address import Range
from ripstop.core.dns.messages import MAX_NAME
from ripstop.core.errors import RequestError, StartError
from ripstop.core.events import Endpoint
from ripstop.core.multicast.multicast import MulticastSettings
from ripstop.core.multicast.timers import Timers
from ripstop.core.overlay.mtu import MIN_MTU

DEFAULT_PORT = 6783  # TCP; VXLAN takes the next, as users of the field's tools expect
DEFAULT_RANGE = "10.32.0.0/12"
MAX_MTU = 65485  # bytes; what a 65535-byte underlay would leave
MIN_QUERY_INTERVAL = 2.0  # seconds; hosts take up to one for their answer
MAX_QUERY_INTERVAL = 31744.0  # seconds; the most that a query can say.  Source: RFC 3376, section 4.1.7
MAX_GRACE = 86400.0  # seconds
MAX_DNS_TTL = 86400  # seconds
DNS_PORT = 53
_MAX_DOMAIN = 253 - MAX_NAME - 1  # characters; RFC 1035, section 2.3.4: the longest name must fit before it
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Config:
    """One instance, as the command line describes it; `check` says what is wrong with it."""

    run_dir: Path = Path("/run/ripstop")  # socket, lock, pid file
    state_dir: Path = Path("/var/lib/ripstop")  # the database
    name: str | None = None  # None: the one on disk, or a new random one
    nickname: str = ""  # for people; empty: the host's name
    range: str = DEFAULT_RANGE  # the universe, the same on every host
    default_subnet: str | None = None  # where `attach` allocates; None: the whole universe
    advertise: tuple[str, ...] = ()  # underlay addresses to use instead of what the NICs have
    port: int = DEFAULT_PORT
    mtu: int | None = None  # overlay MTU in bytes; None: found by probing
    no_discovery: bool = False
    peers: tuple[str, ...] = ()  # initial targets, ADDRESS[:PORT]
    init: str = "consensus"  # how the first ring comes about
    grace: float = 30.0  # seconds; a container that is back by then under its id has its addresses again
    log_level: str = "info"
    metrics: str | None = None  # ADDRESS:PORT on which `/metrics` is served over TCP; None: the unix socket alone
    no_dns: bool = False
    dns_domain: str = "ripstop.local"  # what names are below
    dns_ttl: int = 1  # seconds that resolvers may keep what they heard of our names
    dns_listen: tuple[str, ...] = ()  # ADDRESS[:PORT] on which names are answered, besides the host's overlay address
    dns_allow: tuple[str, ...] = ()  # networks that may ask about other domains, besides overlay, loopback and host
    dns_resolv_conf: Path = Path("/etc/resolv.conf")  # names who is asked about other domains
    multicast: str = "snoop"  # groups go where they were joined; "flood": to everyone, as without snooping
    multicast_unknown: str = "drop"  # or "flood": what happens to groups that nobody in the mesh has joined
    multicast_query_interval: float = 10.0  # seconds between two questions to the hosts behind a port

    @property
    def vxlan_port(self) -> int:
        """UDP port of the datapath."""
        return self.port + 1

    @property
    def socket(self) -> Path:
        """Where the API listens."""
        return self.run_dir / "ripstop.sock"

    @property
    def plugin_socket(self) -> Path:
        """Where the network plugin of container runtimes asks."""
        return self.run_dir / "cni.sock"

    @property
    def universe(self) -> Range:
        """The range as integers."""
        return _parsed(self.range)

    @property
    def subnet(self) -> Range:
        """Where addresses are allocated unless asked otherwise."""
        return _parsed(self.default_subnet) if self.default_subnet else self.universe

    @property
    def multicast_settings(self) -> MulticastSettings:
        """How groups are dealt with."""
        return MulticastSettings(
            snoops=self.multicast == "snoop",
            floods_unknown=self.multicast_unknown == "flood",
            timers=Timers(query_interval=self.multicast_query_interval),
        )

    @property
    def metrics_listener(self) -> tuple[str, int] | None:
        """Address and port on which metrics are served over TCP."""
        return None if self.metrics is None else parse_listener(self.metrics)

    @property
    def dns_places(self) -> tuple[tuple[str, int], ...]:
        """Addresses and ports on which names are answered, besides the host's overlay address."""
        return tuple(map(parse_dns_listener, self.dns_listen))

    @property
    def targets(self) -> tuple[Endpoint, ...]:
        """The initial peers."""
        return tuple(parse_target(peer, self.port) for peer in self.peers)

    def check(self) -> None:
        """Raise StartError for the first thing that is wrong."""
        try:
            _ = self.targets, self.metrics_listener
            if len(self.universe) < 4:
                raise RequestError(f"range {self.range} is too small; take at least a /30")
            if not self.universe.covers(self.subnet):
                raise RequestError(f"default subnet {self.default_subnet} is not within the range {self.range}")
            for address in self.advertise:
                IPv4Address(address)
        except (RequestError, AddressValueError) as error:
            raise StartError(str(error)) from None
        if not 1 <= self.port <= 65534:
            raise StartError(f"port {self.port} is not within 1..65534; VXLAN needs the one after it too")
        if self.mtu is not None and not MIN_MTU <= self.mtu <= MAX_MTU:
            raise StartError(f"mtu {self.mtu} is not within {MIN_MTU}..{MAX_MTU}")
        if self.name is not None and not re.fullmatch(r"[0-9a-f]{16}", self.name):
            raise StartError(
                f"name {self.name!r} is not 16 lower-case hex digits; leave --name out to get a random one"
            )
        if len(self.nickname) > 253 or not self.nickname.isprintable():
            raise StartError(f"nickname {self.nickname!r}: at most 253 printable characters")
        if not 0 <= self.grace <= MAX_GRACE:
            raise StartError(f"grace {self.grace:g} is not within 0..{MAX_GRACE:g} seconds")
        self._check_multicast()
        self._check_dns()

    def _check_dns(self) -> None:
        labels = self.dns_domain.removesuffix(".").split(".")
        if len(self.dns_domain) > _MAX_DOMAIN or not all(map(_LABEL.fullmatch, labels)):
            raise StartError(
                f"dns-domain {self.dns_domain!r}: labels of letters, digits and hyphens with dots between, "
                f"at most {_MAX_DOMAIN} characters, as in ripstop.local"
            )
        if labels[-1].lower() in ("arpa", "localhost"):
            raise StartError(f"dns-domain {self.dns_domain!r}: .{labels[-1]} has a meaning of its own; take another")
        if not 0 <= self.dns_ttl <= MAX_DNS_TTL:
            raise StartError(f"dns-ttl {self.dns_ttl} is not within 0..{MAX_DNS_TTL} seconds")
        try:
            _ = self.dns_places
        except RequestError as error:
            raise StartError(str(error)) from None
        for network in self.dns_allow:
            try:
                ip_network(network)
            except ValueError as error:
                raise StartError(f"dns-allow: {error}; write it as 192.0.2.0/24") from None

    def _check_multicast(self) -> None:
        if self.multicast not in ("snoop", "flood"):
            raise StartError(f"multicast {self.multicast!r} is neither snoop nor flood")
        if self.multicast_unknown not in ("drop", "flood"):
            raise StartError(f"multicast-unknown {self.multicast_unknown!r} is neither drop nor flood")
        if not MIN_QUERY_INTERVAL <= self.multicast_query_interval <= MAX_QUERY_INTERVAL:
            raise StartError(
                f"multicast-query-interval {self.multicast_query_interval:g} is not within "
                f"{MIN_QUERY_INTERVAL:g}..{MAX_QUERY_INTERVAL:g} seconds"
            )


def parse_listener(text: str) -> tuple[str, int]:
    """Read ADDRESS:PORT or [ADDRESS]:PORT, where only IPv6 takes brackets.

    Raises:
        RequestError: no IP address, or a port outside 1..65535.
    """
    host, _, port_text = text.rpartition(":")
    try:
        address = IPv6Address(host[1:-1]) if host.startswith("[") and host.endswith("]") else IPv4Address(host)
    except AddressValueError:
        raise RequestError(f"metrics address {text!r}: write it as 127.0.0.1:6782 or [::1]:6782") from None
    if not (port_text.isdecimal() and 1 <= int(port_text) <= 65535):
        raise RequestError(f"metrics address {text!r}: port {port_text!r} is not within 1..65535")
    return str(address), int(port_text)


def parse_dns_listener(text: str) -> tuple[str, int]:
    """Read ADDRESS[:PORT]; IPv6 takes brackets if there is a port.

    Raises:
        RequestError: no IP address, or a port outside 1..65535.
    """
    with contextlib.suppress(ValueError):
        return str(ip_address(text)), DNS_PORT
    try:
        return parse_listener(text)
    except RequestError:
        raise RequestError(
            f"dns-listen {text!r}: write it as 192.0.2.1, 192.0.2.1:5353, fd00::1 or [fd00::1]:5353"
        ) from None


def parse_target(text: str, default_port: int) -> Endpoint:
    """Read ADDRESS[:PORT]; ADDRESS may be a name.

    Raises:
        RequestError: neither an IPv4 address nor a host name, or a port outside 1..65535.
    """
    address, colon, port_text = text.partition(":")
    if colon and not (port_text.isdecimal() and 1 <= int(port_text) <= 65535):
        raise RequestError(f"target {text!r}: port {port_text!r} is not within 1..65535")
    looks_numeric = re.fullmatch(r"[0-9.]+", address) is not None
    try:
        if looks_numeric:
            address = str(IPv4Address(address))
    except AddressValueError as error:
        raise RequestError(f"target {text!r}: {error}") from None
    if not looks_numeric and not _HOST_NAME.fullmatch(address):
        raise RequestError(f"target {text!r} is neither an IPv4 address nor a host name; write it as 192.0.2.1[:6783]")
    return Endpoint(address, int(port_text) if colon else default_port)


@functools.cache
def _parsed(text: str) -> Range:
    """Read a range of the command line, once: each container asks for it several times."""
    return Range.parse(text)
