"""What requests say of guards, and how it is called to people."""

from ipaddress import ip_address

from ripstop.core.errors import RequestError
from ripstop.kernel.abi import GuardFlags

NAMES = {"mac": GuardFlags.MAC, "ip": GuardFlags.IP, "router": GuardFlags.ROUTER, "dhcp": GuardFlags.DHCP,
         "multicast": GuardFlags.MULTICAST}  # fmt: skip
USUAL = GuardFlags.MAC | GuardFlags.IP | GuardFlags.ROUTER | GuardFlags.DHCP  # multicast is no offence


def parse_guards(guard: bool, names: tuple[str, ...], allowed: tuple[str, ...]) -> GuardFlags:
    """Return what a request wants guarded; what is usual, unless it names some.

    Raises:
        RequestError: a name is none of ours, or it says what only a guarded interface can have.
    """
    if not guard:
        if names or allowed:
            raise RequestError(
                "which guards, and which addresses are allowed, is for guarded interfaces: ask for guard"
            )
        return GuardFlags(0)
    flags = GuardFlags(0)
    for name in names:
        if name not in NAMES:
            raise RequestError(f"guard {name!r} is not one of {', '.join(NAMES)}")
        flags |= NAMES[name]
    return flags or USUAL


def and_multicast(guard: bool, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of guards that keep an interface from multicast besides what a request says."""
    return (*guard_names(parse_guards(guard, names, ())), "multicast")


def parse_allowed(allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses that a request allows besides an interface's own, as the kernel would write them.

    Raises:
        RequestError: one is malformed, or no interface can have it.
    """
    found = []
    for text in allowed:
        try:
            address = ip_address(text)
        except ValueError:
            raise RequestError(f"allowed address {text!r}: give an IPv4 or IPv6 address without a length") from None
        if address.is_unspecified or address.is_multicast or address.is_loopback or "%" in text:
            raise RequestError(f"allowed address {text} cannot be that of an interface")
        found.append(str(address))
    return tuple(dict.fromkeys(found))


def guard_names(flags: int) -> tuple[str, ...]:
    """Return the names of the guards that are on."""
    return tuple(name for name, flag in NAMES.items() if flags & flag)
