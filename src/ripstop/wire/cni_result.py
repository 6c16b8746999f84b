"""What the plugin says of an interface that it made, and what of that it expects to find again.

Source: Container Network Interface Specification 1.1.0, section 5 (result types), and 0.3.1 and 0.4.0 for theirs.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import msgspec

from ripstop.wire.cni import CniError, Code, Request

_LINK_SCOPE = 253  # RT_SCOPE_LINK


@dataclass(frozen=True, slots=True)
class Made:
    """An interface as it was made."""

    host_ifname: str
    host_mac: str
    mac: str
    mtu: int  # bytes
    addresses: tuple[str, ...]  # ADDRESS/LEN
    gateway: str  # "" for no default route
    multicast_route: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """What a result promises of one interface in a container."""

    mac: str  # "" if it does not say
    addresses: tuple[str, ...]


class _Result(msgspec.Struct):
    """A result of any version; what we do not know of stays as it is."""

    interfaces: list[dict[str, Any]] = []
    ips: list[dict[str, Any]] = []
    routes: list[dict[str, Any]] = []
    dns: dict[str, Any] = {}


def render(request: Request, made: Made) -> bytes:
    """Return the result of ADD, in the form of the version asked for, on top of what earlier plugins made."""
    result = _previous(request)
    first = len(result.interfaces)
    host: dict[str, Any] = {"name": made.host_ifname, "mac": made.host_mac}
    inside: dict[str, Any] = {"name": request.ifname, "mac": made.mac, "sandbox": request.netns}
    if request.knows_mtu:
        host["mtu"] = inside["mtu"] = made.mtu
    result.interfaces += [host, inside]
    for address in made.addresses:
        ip: dict[str, Any] = {"interface": first + 1, "address": address}
        if not request.is_modern:
            ip["version"] = "4"
        if made.gateway and IPv4Address(made.gateway) in IPv4Interface(address).network:
            ip["gateway"] = made.gateway
        result.ips.append(ip)
    if made.gateway:
        result.routes.append({"dst": "0.0.0.0/0", "gw": made.gateway})
    if made.multicast_route and request.knows_mtu:  # before 1.1.0 a route without a gateway could not be told as such
        result.routes.append({"dst": "224.0.0.0/4", "scope": _LINK_SCOPE})
    dns = {**result.dns, **msgspec.to_builtins(request.dns)}
    told = {"cniVersion": request.version, "interfaces": result.interfaces, "ips": result.ips}
    if result.routes:
        told["routes"] = result.routes
    return msgspec.json.encode({**told, "dns": dns})


def expected(request: Request) -> Expected:
    """Return what the result of ADD said of the interface, for CHECK.

    Raises:
        CniError: there is no such result, or the interface is not in it.
    """
    if not request.config.prev_result:
        raise CniError(Code.CONFIG, "CHECK needs prevResult, what ADD has answered")
    result = _previous(request)
    for number, interface in enumerate(result.interfaces):
        if interface.get("name") == request.ifname and interface.get("sandbox"):
            ours = tuple(str(ip.get("address")) for ip in result.ips if ip.get("interface") == number)
            return Expected(str(interface.get("mac", "")).lower(), ours)
    raise CniError(Code.CONFIG, f"prevResult has no interface {request.ifname} in a container")


def _previous(request: Request) -> _Result:
    text = bytes(request.config.prev_result)
    if not text or text == b"null":
        return _Result()
    try:
        return msgspec.json.decode(text, type=_Result)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CniError(Code.DECODE, f"cannot read prevResult: {error}") from None
