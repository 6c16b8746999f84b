"""The types of arguments: each takes the text that was typed and says in one line what is wrong with it."""

from argparse import ArgumentTypeError
from ipaddress import ip_address
from pathlib import Path

GUARDS = ("mac", "ip", "router", "dhcp", "multicast")
VIEWS = ("peers", "connections", "routes", "ipam", "dns", "targets")
MAX_WAIT = 86400.0  # seconds for `status --wait`; a day
MAX_ALLOCATION_WAIT = 3600.0  # seconds; the daemon's own limit
MAX_SAMPLING = 3600.0  # seconds between two looks of `multicast top`


def directory(text: str) -> Path:
    """Return an absolute path: a daemon in the background has another current directory."""
    if not text:
        raise ArgumentTypeError("an empty path")
    return Path(text).absolute()


def netns(text: str) -> str:
    """Return the absolute path of a network namespace given as a path or as a bare name of `ip netns`.

    Its directory is resolved, so that /var/run/netns/c1 and /run/netns/c1 are one; the last part is not, for
    /proc/N/ns/net is a link that leads nowhere.
    """
    path = Path(text)
    if path.name in ("", ".."):
        raise ArgumentTypeError(f"{text!r} names no network namespace")
    if "/" not in text:
        return f"/run/netns/{text}"
    return str(path.parent.resolve() / path.name)


def netns_of_pid(text: str) -> str:
    """Return the path of a process's network namespace."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no process id")
    return f"/proc/{int(text)}/ns/net"


def seconds(text: str) -> float:
    """Return how long to wait for a host to settle; 0 looks once."""
    if text in VIEWS:
        raise ArgumentTypeError(f"{text!r} is no number of seconds; write: ripstop status {text} --wait")
    return _number(text, 0.0, MAX_WAIT)


def allocation_seconds(text: str) -> float:
    """Return how long to wait for an address."""
    return _number(text, 0.001, MAX_ALLOCATION_WAIT)


def sampling_seconds(text: str) -> float:
    """Return how long to count packets before their rate is shown."""
    return _number(text, 0.1, MAX_SAMPLING)


def times(text: str) -> int:
    """Return how often to do something; 0 stands for ever."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no number of times")
    return int(text)


def address(text: str) -> str:
    """Return an IPv4 or IPv6 address in its canonical form."""
    try:
        if "%" in text:  # of a zone: it means something on one host only
            raise ValueError
        return str(ip_address(text))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no address") from None


def guards(text: str) -> tuple[str, ...]:
    """Return the names of guards, written with commas between them."""
    names = tuple(text.split(","))
    for name in names:
        if name not in GUARDS:
            raise ArgumentTypeError(f"{name!r} is no guard; they are {', '.join(GUARDS)}")
    return names


def group(text: str) -> str:
    """Return the address of a multicast group that hosts join, in its canonical form."""
    from ripstop.core.multicast.messages import is_snooped  # here, as it loads much that help does not need
    from ripstop.core.names import MulticastIp

    known = ip_address(address(text))
    if not known.is_multicast:
        raise ArgumentTypeError(f"{text!r} is no multicast group; groups are in 224.0.0.0/4 and ff00::/8")
    if not is_snooped(MulticastIp(known.packed)):
        raise ArgumentTypeError(f"{text!r} is a control group of the link: it goes to every port anyway")
    return str(known)


def source(text: str) -> str:
    """Return the address of a sender in its canonical form."""
    known = ip_address(address(text))
    if known.is_multicast:
        raise ArgumentTypeError(f"{text!r} is a multicast group; a source is the address of one sender")
    if known.is_unspecified:
        raise ArgumentTypeError(f"{text!r} is nobody's address")
    return str(known)


def _number(text: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not least <= number <= most:
        raise ArgumentTypeError(f"{text!r} is no number of seconds within {least:g}..{most:g}")
    return number
