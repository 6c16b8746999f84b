"""Which groups are pruned, and what peers say of them."""

from ipaddress import ip_address

import msgspec
import pytest
from hypothesis import given

from ripstop.core.multicast.filters import Filter
from ripstop.core.multicast.messages import ANY_GROUP, Family, Want, family_of, is_snooped
from ripstop.core.names import MulticastIp
from tests.core.multicast.filters import filters

GROUP = MulticastIp(ip_address("239.1.2.3").packed)


@pytest.mark.parametrize(
    ("group", "snooped"),
    [
        ("224.0.0.1", False),
        ("224.0.0.251", False),
        ("224.0.1.1", True),
        ("232.1.1.1", True),
        ("239.255.255.255", True),
        ("240.0.0.1", False),
        ("10.0.0.1", False),
        ("255.255.255.255", False),
        ("ff00::1", False),
        ("ff01::1:ff00:1", False),
        ("ff02::1", False),
        ("ff02::fb", False),
        ("ff11::7", False),
        ("ff12::7", False),
        ("ff02::1:ff00:7", False),
        ("ff02::2:ff00:7", False),
        ("ff03::1", True),
        ("ff05::1:3", True),
        ("ff15::123", True),
        ("ff3e::8000:1", True),
        ("fe80::1", False),
    ],
)
def test_control_groups_are_never_pruned(group: str, snooped: bool) -> None:
    assert is_snooped(MulticastIp(ip_address(group).packed)) == snooped


def test_what_stands_for_every_group_is_none() -> None:
    for family in Family:
        assert family_of(ANY_GROUP[family]) is family
        assert not is_snooped(ANY_GROUP[family])


@given(filters)
def test_what_is_wanted_survives_the_wire(wanted: Filter) -> None:
    packed = msgspec.msgpack.encode(Want.of(GROUP, wanted))
    assert msgspec.msgpack.decode(packed, type=Want).filter == wanted
