"""A guard, and how the programs read it."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from ripstop.core.errors import RequestError
from ripstop.kernel import abi
from ripstop.kernel.abi import GuardFlags
from ripstop.kernel.guards import Guard, link_local, pack_guard

ALL = GuardFlags.MAC | GuardFlags.IP | GuardFlags.ROUTER | GuardFlags.DHCP
MAC = "02:89:86:c9:e3:9e"


def test_the_link_local_address_is_that_of_linux() -> None:
    assert str(link_local(MAC)) == "fe80::89:86ff:fec9:e39e"
    assert str(link_local("00:11:22:33:44:55")) == "fe80::211:22ff:fe33:4455"


def test_a_guard_as_the_programs_read_it() -> None:
    guard = Guard(ALL, MAC, (IPv6Address("2001:db8::5"), IPv4Address("10.32.0.1"), IPv4Address("10.32.0.1")))
    mac, flags, _, v4, v6, stopped = abi.GUARD.packer.unpack(pack_guard(guard))
    assert (mac.to_bytes(6, "little").hex(":"), flags) == (MAC, 15)
    assert v4.rstrip(b"\0") == bytes([10, 32, 0, 1])
    assert v6[:32] == link_local(MAC).packed + IPv6Address("2001:db8::5").packed and not any(v6[32:])
    assert not any(stopped)


def test_more_addresses_than_places_are_refused() -> None:
    with pytest.raises(RequestError, match="17 IPv4 addresses: a guarded interface has at most 16"):
        Guard(ALL, MAC, tuple(IPv4Address(number) for number in range(1, 18)))
    with pytest.raises(RequestError, match=r"9 IPv6 addresses.*link-local"):
        Guard(ALL, MAC, tuple(IPv6Address(number) for number in range(1, 9)))
