"""The types of arguments: each takes the text that was typed and says in one line what is wrong with it."""

from argparse import ArgumentTypeError
from pathlib import Path

VIEWS = ("peers", "connections", "routes", "ipam", "targets")
MAX_WAIT = 86400.0  # seconds for `status --wait`; a day
MAX_ALLOCATION_WAIT = 3600.0  # seconds; the daemon's own limit


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


def _number(text: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not least <= number <= most:
        raise ArgumentTypeError(f"{text!r} is no number of seconds within {least:g}..{most:g}")
    return number
