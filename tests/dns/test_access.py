"""Who may ask about other domains."""

import pytest

from ripstop.dns.access import HOLDS, Access, is_own


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.32.0.1", True),
        ("10.47.255.255", True),
        ("10.48.0.0", False),
        ("192.0.2.9", True),
        ("192.0.3.9", False),
        ("fd00::1", True),
        ("fd01::1", False),
        ("::ffff:10.32.0.1", False),
        ("198.51.100.1", True),  # the host's own
        ("198.51.100.2", False),
    ],
)
def test_who_may(address: str, allowed: bool) -> None:
    access = Access(("10.32.0.0/12", "192.0.2.0/24", "fd00::/64"), "198.51.100.1".__eq__)
    assert access.allows(address, 0.0) == allowed
    assert access.allows(address, 1.0) == allowed


def test_addresses_of_this_host_come_and_go() -> None:
    own = {"198.51.100.1"}
    access = Access((), own.__contains__)
    assert access.allows("198.51.100.1", 0.0)
    own.clear()
    assert access.allows("198.51.100.1", HOLDS / 2)
    assert not access.allows("198.51.100.1", HOLDS)


def test_what_this_host_has() -> None:
    assert is_own("127.0.0.1")
    assert is_own("::1")
    assert not is_own("192.0.2.1")
    assert not is_own("2001:db8::1")
