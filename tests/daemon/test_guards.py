"""What requests say of guards, and what is written down of them."""

from ipaddress import IPv4Address, IPv6Address

import msgspec
import pytest

from ripstop.core.errors import RequestError
from ripstop.daemon import ports
from ripstop.daemon.guards import NAMES, USUAL, and_multicast, guard_names, parse_allowed, parse_guards
from ripstop.daemon.ports import PortRecord
from ripstop.kernel.abi import GuardFlags
from ripstop.kernel.guards import Guard

MAC = "02:89:86:c9:e3:9e"
PORT = PortRecord("web", "/run/netns/c1", 4026533027, "eth0", "rs0123456789", MAC, ("10.32.0.1/12", "192.168.7.7/24"))
GUARDED = msgspec.structs.replace(PORT, guards=int(USUAL), allowed=("2001:db8::5", "10.32.0.9"))


def test_without_names_what_is_usual_is_meant() -> None:
    assert parse_guards(True, (), ()) == USUAL
    assert guard_names(USUAL) == ("mac", "ip", "router", "dhcp")
    assert guard_names(0) == ()


@pytest.mark.parametrize("name", NAMES)
def test_names_are_those_of_the_flags(name: str) -> None:
    assert parse_guards(True, (name, name), ()) == GuardFlags[name.upper()]
    assert guard_names(GuardFlags[name.upper()]) == (name,)


def test_multicast_is_kept_from_besides_all_else() -> None:
    assert and_multicast(True, ()) == ("mac", "ip", "router", "dhcp", "multicast")
    assert and_multicast(True, ("mac", "multicast")) == ("mac", "multicast", "multicast")
    assert and_multicast(False, ()) == ("multicast",)


@pytest.mark.parametrize("rest", [(("mac",), ()), ((), ("10.32.0.9",))])
def test_what_is_of_no_use_without_a_guard_is_refused(rest: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    with pytest.raises(RequestError, match="ask for guard"):
        parse_guards(False, *rest)
    assert parse_guards(False, (), ()) == 0


def test_a_guard_that_there_is_not_is_refused() -> None:
    with pytest.raises(RequestError, match="'ipv6' is not one of mac, ip, router, dhcp, multicast"):
        parse_guards(True, ("mac", "ipv6"), ())


def test_allowed_addresses_are_written_one_way() -> None:
    assert parse_allowed(("2001:DB8:0::5", "10.32.0.9", "2001:db8::5")) == ("2001:db8::5", "10.32.0.9")


@pytest.mark.parametrize(
    "text", ["", "10.32.0.0/24", "web", "224.0.0.1", "ff02::1", "::", "0.0.0.0", "::1", "fe80::1%eth0"]
)
def test_what_no_interface_can_have_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="allowed address"):
        parse_allowed((text,))


def test_a_record_makes_a_guard_of_its_addresses_and_those_allowed() -> None:
    assert PORT.guard is None
    assert GUARDED.guard == Guard(
        USUAL,
        MAC,
        (*map(IPv4Address, ("10.32.0.1", "192.168.7.7")), IPv6Address("2001:db8::5"), IPv4Address("10.32.0.9")),
    )


@pytest.mark.parametrize("port", [PORT, GUARDED], ids=["unguarded", "guarded"])
def test_records_outlive_disk_and_device(port: PortRecord) -> None:
    assert ports.decode(port.key, ports.encode(port)) == port
    assert ports.described(port.host_ifname, ports.description(port)) == port


def test_records_of_before_there_were_guards_are_not_guarded() -> None:
    older = msgspec.structs.asdict(PORT)
    del older["guards"], older["allowed"]
    assert ports.decode(PORT.key, msgspec.msgpack.encode(older)) == PORT
    text = msgspec.json.encode([PORT.container, PORT.netns, PORT.inode, PORT.ifname, PORT.mac, PORT.addresses]).decode()
    assert ports.described(PORT.host_ifname, text) == PORT
