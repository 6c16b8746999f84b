"""What may be a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.dns.messages import SHARDS, Binding, Bindings, Service, is_name, is_service, shard_of
from ripstop.core.errors import ProtocolError
from ripstop.core.mesh.limits import check_entry
from ripstop.core.mesh.messages import Entry

PEER = "a" * 16
SHARD = shard_of("web")
GOOD = Binding("Web", "c1", bytes(4), (Service("http", "tcp", 80),))


@pytest.mark.parametrize("name", ["web", "W", "1", "a-b", "_sip._tcp", "a.b.c", "x" * 63, ".".join(["a" * 63] * 2)])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "a.", ".a", "a..b", "-a", "a-", "a b", "a\n", "x" * 64, "ä", "a/b", "*", "a" * 60 + ".", "٣",
     ".".join(["a" * 47] * 4)],
)  # fmt: skip
def test_no_names(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    "service", [("", "tcp", 1), ("a" * 16, "tcp", 1), ("a", "sctp", 1), ("a", "tcp", 0), ("a", "tcp", 65536)]
)
def test_no_services(service: tuple[str, str, int]) -> None:
    assert not is_service(Service(*service))


@given(st.text(max_size=40))
def test_every_name_has_a_shard(name: str) -> None:
    assert 0 <= shard_of(name) < SHARDS


@pytest.mark.parametrize(
    "entry",
    [
        Entry(f"dns/{PEER}/{SHARD}", 1, Bindings((Binding("we b", "c1", bytes(4)),))),
        Entry(f"dns/{PEER}/{SHARD}", 1, Bindings((Binding("web", "c1", bytes(5)),))),
        Entry(f"dns/{PEER}/{SHARD}", 1, Bindings((Binding("web", "c" * 129, bytes(4)),))),
        Entry(f"dns/{PEER}/{SHARD}", 1, Bindings((Binding("web", "c\x1b", bytes(4)),))),
        Entry(f"dns/{PEER}/{SHARD}", 1, Bindings((Binding("web", "c", bytes(4), (Service("h", "tcp", 0),)),))),
        Entry(f"dns/{PEER}/{SHARD}", 1, Bindings((Binding("web", "c", bytes(4), GOOD.services * 17),))),
        Entry(f"dns/{PEER}/{(SHARD + 1) % SHARDS}", 1, Bindings((GOOD,))),
        Entry(f"dns/{PEER}/0{SHARD}", 1, Bindings((GOOD,))),
        Entry(f"dns/{PEER}/{SHARDS}", 1, Bindings((GOOD,))),
        Entry(f"dns/{PEER}", 1, Bindings(())),
        Entry(f"names/{PEER}/{SHARD}", 1, Bindings(())),
    ],
)
def test_entries_that_no_peer_of_ours_would_write(entry: Entry) -> None:
    with pytest.raises(ProtocolError):
        check_entry(entry)


def test_an_entry() -> None:
    check_entry(Entry(f"dns/{PEER}/{SHARD}", 1, Bindings((GOOD,))))
