"""What other peers may say: everything sane passes, everything else is a ProtocolError."""

import pytest

from ripstop.core.errors import ProtocolError
from ripstop.core.ipam.messages import Ballot, RingStart, SpaceAnswer, SpaceWanted, Token, Word
from ripstop.core.mesh.limits import (
    BUCKETS,
    MAX_VERSION,
    check_entry,
    check_message,
    check_probe,
    is_ipv4,
)
from ripstop.core.mesh.messages import (
    Digest,
    Entry,
    Goodbye,
    Gossip,
    Heartbeat,
    Hello,
    Message,
    PeerRecord,
    Probe,
    Reach,
    Routed,
    Value,
    Versions,
    Want,
)
from ripstop.core.multicast.messages import Want as GroupWant
from ripstop.core.multicast.messages import Wants
from ripstop.core.names import PeerName, ShortId, UnderlayIp, is_peer_name

GROUP = b"\xef\1\1\1"
NAME = PeerName("0123456789abcdef")
BAD_NAME = PeerName("Not a name")
RECORD = PeerRecord(NAME, 1, "h1", (UnderlayIp("192.0.2.1"),), 6783, ShortId(7))
HELLO = Hello(1, NAME, 1, "h1", 6783, "192.0.2.1", 5)
TOKEN = Token(10, NAME, 3, 20)


def record(**changes: object) -> PeerRecord:
    """Return a record with some fields changed."""
    fields = {field: getattr(RECORD, field) for field in RECORD.__struct_fields__}
    return PeerRecord(**(fields | changes))


def hello(**changes: object) -> Hello:
    """Return a hello with some fields changed."""
    return Hello(**({field: getattr(HELLO, field) for field in HELLO.__struct_fields__} | changes))


GOOD: list[Message] = [
    HELLO,
    hello(seen_as="", nickname="größer"),
    Heartbeat(),
    Gossip((Entry(f"peer/{NAME}", MAX_VERSION, RECORD),)),
    Gossip((Entry(f"reach/{NAME}", 1, Reach(NAME, b"\1" * 8192, b"", 1450)),)),
    Gossip((Entry("ring/abc/10", 1, TOKEN), Entry(f"paxos/{NAME}", 1, Ballot((1, NAME), (0, PeerName("")), ())))),
    Gossip((Entry("ring-start/abc", 1, RingStart(0, 2**32, (NAME,))),)),
    Gossip((Entry(f"mcast/{NAME}/255", 1, Wants((GroupWant(GROUP, exclude=False, sources=(b"\n\0\0\1",)),))),)),
    Gossip((Entry(f"mcast/{NAME}/0", 1, Wants((GroupWant(bytes(16), exclude=True),))),)),
    Digest((2**64 - 1,) * BUCKETS),
    Versions((0, BUCKETS - 1), ((f"peer/{NAME}", 1),)),
    Want((f"peer/{NAME}",)),
    Routed(NAME, NAME, 64, SpaceWanted(0, 2**32)),
    Routed(NAME, NAME, 0, SpaceAnswer(0, 1, 1, tokens=((1, TOKEN),))),
    Routed(NAME, NAME, 0, Word("", 1, strays=(0, 2**32 - 1), settled=((NAME, 1),))),
    Goodbye("done"),
]
BAD: list[Message] = [
    hello(name=BAD_NAME),
    hello(incarnation=0),
    hello(incarnation=2**31),
    hello(port=0),
    hello(port=65536),
    hello(protocol=-1),
    hello(seen_as="host"),
    hello(instance=2**64),
    hello(nickname="x" * 257),
    hello(nickname="a\nb"),
    Digest((1,)),
    Digest((-1,) * BUCKETS),
    Versions((BUCKETS,), ()),
    Versions((0,) * (BUCKETS + 1), ()),
    Versions((0,), ((f"peer/{NAME}", 0),)),
    Versions((0,), (("no slash", 1),)),
    Want(("peer/" + "x" * 200,)),
    Want(("",)),
    Routed(NAME, BAD_NAME, 1, SpaceWanted(0, 1)),
    Routed(NAME, NAME, 65, SpaceWanted(0, 1)),
    Routed(NAME, NAME, -1, SpaceWanted(0, 1)),
    Routed(NAME, NAME, 1, SpaceWanted(5, 5)),
    Routed(NAME, NAME, 1, SpaceWanted(0, 2**32 + 1)),
    Routed(NAME, NAME, 1, SpaceWanted(0, 1, nonce=-1)),
    Routed(NAME, NAME, 1, SpaceWanted(0, 1, birth=-1)),
    Routed(NAME, NAME, 1, SpaceAnswer(0, 1, -1)),
    Routed(NAME, NAME, 1, Word("", 1, strays=(2**32,))),
    Routed(NAME, NAME, 1, Word("", 1, settled=((BAD_NAME, 1),))),
    Routed(NAME, NAME, 1, Word("", 1, settled=((NAME, -1),))),
    Routed(NAME, NAME, 1, SpaceAnswer(0, 1, 1, holder="x" * 257)),
    Routed(NAME, NAME, 1, SpaceAnswer(0, 1, 1, tokens=((0, TOKEN),))),
    Goodbye("x" * 300),
    Goodbye("\x1b[31m"),
]
BAD_ENTRIES: list[tuple[str, int, Value]] = [
    (f"peer/{NAME}", 0, RECORD),
    (f"peer/{NAME}", MAX_VERSION + 1, RECORD),
    ("peer/0000000000000000", 1, RECORD),
    (f"reach/{NAME}", 1, RECORD),
    (f"peer/{BAD_NAME}", 1, record(name=BAD_NAME)),
    (f"peer/{NAME}", 1, record(short_id=0)),
    (f"peer/{NAME}", 1, record(short_id=65536)),
    (f"peer/{NAME}", 1, record(addresses=("host",))),
    (f"peer/{NAME}", 1, record(addresses=("192.0.2.1",) * 17)),
    (f"peer/{NAME}", 1, record(port=0)),
    (f"peer/{NAME}", 1, record(incarnation=-1)),
    (f"peer/{NAME}", 1, record(public_key=b"x" * 300)),
    (f"peer/{NAME}", 1, record(site="a\0")),
    (f"reach/{NAME}", 1, Reach(NAME, b"\1" * 8193, b"", 0)),
    (f"reach/{NAME}", 1, Reach(NAME, b"", b"", 65536)),
    ("ring/abc/11", 1, TOKEN),
    ("ring/abc/10", 1, Token(10, BAD_NAME, 3, 20)),
    ("ring/abc/10", 1, Token(10, NAME, -1, 20)),
    ("ring/abc/10", 1, Token(10, NAME, 1, 2**33)),
    ("ring/abc/10", 1, Token(10, NAME, 1, 20, birth=-1)),
    ("ring-start/x", 1, RingStart(0, 5, (NAME,), births=(2**64,))),
    (f"paxos/{NAME}", 1, Ballot((0, PeerName("")), (0, PeerName("")), (), birth=2**64)),
    ("paxos/nobody", 1, Ballot((0, PeerName("")), (0, PeerName("")), ())),
    (f"paxos/{NAME}", 1, Ballot((0, NAME), (0, PeerName("")), ())),
    (f"paxos/{NAME}", 1, Ballot((1, NAME), (0, PeerName("")), (BAD_NAME,))),
    (f"paxos/{NAME}", 1, Ballot((1, NAME), (2**32, NAME), ())),
    (f"paxos/{NAME}", 1, Ballot((1, NAME), (1, NAME), (), universe=(2, 1))),
    ("ring-start/x", 1, RingStart(5, 5, ())),
    ("ring-start/x", 1, RingStart(0, 5, (NAME,) * 5000)),
    ("other/x", 1, RingStart(0, 5, ())),
    ("mcast/x/0", 1, Wants(())),
    (f"mcast/{NAME}", 1, Wants(())),
    (f"mcast/{NAME}/0", 1, Wants((GroupWant(GROUP, exclude=False),))),
    (f"mcast/{NAME}/0", 1, Wants((GroupWant(b"\n\0\0\1", exclude=True),))),
    (f"mcast/{NAME}/0", 1, Wants((GroupWant(b"\xef", exclude=True),))),
    (f"mcast/{NAME}/0", 1, Wants((GroupWant(GROUP, exclude=True, sources=(bytes(16),)),))),
    (f"mcast/{NAME}/0", 1, Wants((GroupWant(GROUP, exclude=True, sources=(bytes(4),) * 20000),))),
    (f"mcast/{NAME}/0", 1, Wants((GroupWant(GROUP, exclude=True),) * 20000)),
]


@pytest.mark.parametrize("message", GOOD, ids=repr)
def test_good_messages_pass(message: Message) -> None:
    check_message(message)


@pytest.mark.parametrize("message", BAD, ids=repr)
def test_bad_messages_do_not(message: Message) -> None:
    with pytest.raises(ProtocolError):
        check_message(message)


@pytest.mark.parametrize(("key", "version", "value"), BAD_ENTRIES)
def test_bad_entries_do_not(key: str, version: int, value: Value) -> None:
    with pytest.raises(ProtocolError):
        check_entry(Entry(key, version, value))


def test_probes() -> None:
    check_probe(Probe(False, NAME, NAME, 2**64 - 1, 65535))
    check_probe(Probe(True, NAME, PeerName(""), 0, 1))
    for bad in (
        Probe(False, BAD_NAME, NAME, 1, 1450),
        Probe(False, NAME, BAD_NAME, 1, 1450),
        Probe(False, NAME, NAME, 2**64, 1450),
        Probe(False, NAME, NAME, 1, 0),
    ):
        with pytest.raises(ProtocolError):
            check_probe(bad)


@pytest.mark.parametrize("text", ["1.2.3", "01.2.3.4", "1.2.3.256", "1.2.3.4\n", "::1", "", "1.2.3.٤"])
def test_what_is_no_address(text: str) -> None:
    assert not is_ipv4(text)


def test_what_is_an_address_or_a_name() -> None:
    assert is_ipv4("0.0.0.0")
    assert is_ipv4("255.255.255.255")
    assert is_peer_name(NAME)
    assert not is_peer_name(NAME + "\n")
    assert not is_peer_name(NAME.upper())
