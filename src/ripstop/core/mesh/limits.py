"""What a message from another peer may hold; whatever decodes is checked here before the core sees it.

A peer that breaks one of these is broken or hostile, so each is a ProtocolError.
"""

import re
from typing import assert_never

from ripstop.core.dns.messages import (
    MAX_BINDINGS,
    MAX_CONTAINER,
    MAX_SERVICES,
    Binding,
    Bindings,
    is_name,
    is_service,
    shard_of,
)
from ripstop.core.errors import ProtocolError
from ripstop.core.ipam.messages import Ballot, IpamMessage, RingStart, SpaceAnswer, SpaceWanted, Token, Word, WordWanted
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
from ripstop.core.multicast.messages import Wants, is_snooped
from ripstop.core.names import MAX_SHORT_ID, MulticastIp, is_peer_name

MAX_INCARNATION = 2**30  # starts of one peer; one a second lasts 34 years
MAX_VERSION = (MAX_INCARNATION << 32) | 0xFFFFFFFF
MAX_BITMAP = MAX_SHORT_ID // 8 + 1  # bytes
MAX_ADDRESSES = 16  # of one peer
MAX_TEXT = 256  # characters of nicknames, sites, reasons
MAX_KEY = 128  # characters
MAX_MEMBERS = 4096  # peers of a first ring
MAX_MTU = 65535  # bytes
MAX_HOPS = 64
MAX_WANTS = 16384  # groups in one entry of one peer
MAX_SOURCES = 16384  # of one group
BUCKETS = 64  # of a digest
_ADDRESS_SIZES = (4, 16)  # bytes; IPv4, IPv6
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)
_WANTS_KEY = re.compile(r"mcast/[0-9a-f]{16}/[0-9]{1,3}", re.ASCII)
_NAMES_KEY = re.compile(r"dns/[0-9a-f]{16}/(0|[1-9][0-9]{0,2})", re.ASCII)
_KEY = re.compile(r"[a-z][a-z0-9-]*/[\x21-\x7e]+")


def is_ipv4(text: str) -> bool:
    """Return whether `text` is an IPv4 address in canonical form."""
    return _IPV4.fullmatch(text) is not None


def check_message(message: Message) -> None:
    """Raise ProtocolError unless every field is within its limits."""
    match message:
        case Hello():
            _check_hello(message)
        case Gossip():
            for entry in message.entries:
                check_entry(entry)
        case Digest():
            _need(len(message.buckets) == BUCKETS, "digest", "wrong number of buckets")
            _need(all(0 <= bucket < 2**64 for bucket in message.buckets), "digest", "hash outside 64 bits")
        case Versions():
            _need(len(message.buckets) <= BUCKETS, "versions", "too many buckets")
            _need(all(0 <= bucket < BUCKETS for bucket in message.buckets), "versions", "no such bucket")
            for key, version in message.versions:
                _check_key(key)
                _need(0 < version <= MAX_VERSION, key, f"version {version}")
        case Want():
            for key in message.keys:
                _check_key(key)
        case Routed():
            _check_name(message.source)
            _check_name(message.destination)
            _need(0 <= message.hops_left <= MAX_HOPS, "routed", f"{message.hops_left} hops left")
            _check_body(message.body)
        case Goodbye():
            _check_text(message.reason)
        case Heartbeat():
            pass
        case _:
            assert_never(message)


def check_entry(entry: Entry) -> None:
    """Raise ProtocolError unless key, version and value are sane and belong together."""
    _check_key(entry.key)
    _need(0 < entry.version <= MAX_VERSION, entry.key, f"version {entry.version}")
    _need(_key_matches(entry.key, entry.value), entry.key, f"holds a {type(entry.value).__name__} that is not its own")
    _check_value(entry.value)


def check_probe(probe: Probe) -> None:
    """Raise ProtocolError unless every field of a probe is within its limits."""
    _check_name(probe.sender)
    if probe.target:
        _check_name(probe.target)
    _need(0 <= probe.nonce < 2**64, "probe", f"nonce {probe.nonce}")
    _need(0 < probe.mtu <= MAX_MTU, "probe", f"mtu {probe.mtu}")


def _check_hello(hello: Hello) -> None:
    _check_name(hello.name)
    _need(0 < hello.protocol < 2**16, "hello", f"protocol {hello.protocol}")
    _need(0 < hello.incarnation <= MAX_INCARNATION, "hello", f"incarnation {hello.incarnation}")
    _need(0 < hello.port < 2**16, "hello", f"port {hello.port}")
    _need(0 <= hello.instance < 2**64, "hello", f"instance {hello.instance}")
    _need(hello.seen_as == "" or is_ipv4(hello.seen_as), "hello", f"address {hello.seen_as!r}")
    _check_text(hello.nickname)


def _check_value(value: Value) -> None:
    match value:
        case PeerRecord():
            _need(0 < value.incarnation <= MAX_INCARNATION, value.name, f"incarnation {value.incarnation}")
            _need(0 < value.short_id <= MAX_SHORT_ID, value.name, f"short id {value.short_id}")
            _need(0 < value.port < 2**16, value.name, f"port {value.port}")
            _need(len(value.addresses) <= MAX_ADDRESSES, value.name, "too many addresses")
            _need(all(map(is_ipv4, value.addresses)), value.name, "an address that is none")
            _need(len(value.public_key) <= MAX_TEXT, value.name, "key too long")
            _check_text(value.nickname)
            _check_text(value.site)
        case Reach():
            _need(max(len(value.data), len(value.control)) <= MAX_BITMAP, value.name, "bitmap too long")
            _need(0 <= value.mtu <= MAX_MTU, value.name, f"mtu {value.mtu}")
        case Token():
            _check_token(value)
        case Ballot():
            for number, proposer in (value.promised, value.accepted):
                _need(0 <= number < 2**32, "ballot", f"round {number}")
                _need((number == 0) == (proposer == ""), "ballot", "round and proposer do not match")
                if proposer:
                    _check_name(proposer)
            _check_members(value.members)
            _need(0 <= value.nonce < 2**64, "ballot", f"nonce {value.nonce}")
            _check_births(value.birth, *value.births)
            _need(0 <= value.universe[0] <= value.universe[1] <= 2**32, "ballot", f"universe {value.universe}")
            _check_text(value.ring)
        case RingStart():
            _need(0 <= value.start < value.end <= 2**32, "ring start", f"range {value.start}-{value.end}")
            _need(0 <= value.nonce < 2**64, "ring start", f"nonce {value.nonce}")
            _check_births(*value.births)
            _check_members(value.members)
        case Wants():
            _need(len(value.wants) <= MAX_WANTS, "wants", f"{len(value.wants)} groups")
            for want in value.wants:
                _check_want(want)
        case Bindings():
            _need(len(value.bindings) <= MAX_BINDINGS, "names", f"{len(value.bindings)} of them")
            for binding in value.bindings:
                _check_binding(binding)
        case _:
            assert_never(value)


def _key_matches(key: str, value: Value) -> bool:
    match value:
        case PeerRecord():
            return key == f"peer/{value.name}" and is_peer_name(value.name)
        case Reach():
            return key == f"reach/{value.name}" and is_peer_name(value.name)
        case Token():
            return key.startswith("ring/") and key.endswith(f"/{value.start}")
        case Ballot():
            return key.startswith("paxos/") and is_peer_name(key.removeprefix("paxos/"))
        case RingStart():
            return key.startswith("ring-start/")
        case Wants():
            return _WANTS_KEY.fullmatch(key) is not None
        case Bindings():
            found = _NAMES_KEY.fullmatch(key)
            return found is not None and all(shard_of(one.key) == int(found[1]) for one in value.bindings)
        case _:
            assert_never(value)


def _check_body(body: IpamMessage) -> None:
    match body:
        case SpaceWanted():
            _check_births(body.birth)
            _check_wanted(body)
        case WordWanted():
            _check_owners((*body.gone, *((name, birth, 0) for name, birth in body.dead)))
            _check_births(body.birth, body.life)
            _check_members((body.heir,) if body.heir else ())
        case Word():
            _check_text(body.refusal)
            _check_owners(body.peers)
            _check_owners(tuple((name, birth, life) for name, birth, life, _ in body.gone))
            _check_members(tuple(heir for _, _, _, heir in body.gone))
            _check_owners(tuple((name, birth, 0) for name, birth in (*body.settled, *body.refused)))
            _check_tokens(body.tokens)
            _need(all(0 <= address < 2**32 for address in body.strays), "word", "an address outside 32 bits")
        case SpaceAnswer():
            _check_wanted(body)
            _need(0 <= body.granted <= 2**32, "space", f"{body.granted} granted")
            _need(len(body.holder) <= MAX_TEXT, "space", "holder too long")
            _check_tokens(body.tokens)
        case _:
            assert_never(body)
    _need(0 <= body.nonce < 2**64, "addresses", f"nonce {body.nonce}")
    _check_text(body.ring)


def _check_wanted(body: SpaceWanted | SpaceAnswer) -> None:
    _need(0 <= body.start < body.end <= 2**32, "space", f"range {body.start}-{body.end}")


def _check_owners(owners: tuple[tuple[str, int, int], ...]) -> None:
    _check_members(tuple(name for name, _, _ in owners))
    for _, birth, life in owners:
        _check_births(birth, life)


def _check_tokens(tokens: tuple[tuple[int, Token], ...]) -> None:
    for version, token in tokens:
        _need(0 < version <= MAX_VERSION, "token", f"version {version}")
        _check_token(token)


def _check_token(token: Token) -> None:
    _check_name(token.owner)
    _need(0 <= token.start < 2**32 and 0 <= token.end <= 2**32, "token", f"range {token.start}-{token.end}")
    _need(0 <= token.free <= 2**32, "token", f"{token.free} free")
    _check_births(token.birth, token.giver)


def _check_want(want: GroupWant) -> None:
    _need(len(want.group) in (4, 16), "group", want.group.hex())
    _need(is_snooped(MulticastIp(want.group)) or not any(want.group), "group", want.group.hex())  # zeros: every group
    _need(want.exclude or bool(want.sources), want.group.hex(), "wants nothing")
    _need(len(want.sources) <= MAX_SOURCES, want.group.hex(), f"{len(want.sources)} sources")
    _need(all(len(source) == len(want.group) for source in want.sources), want.group.hex(), "a source that is none")


def _check_binding(binding: Binding) -> None:
    if not is_name(binding.name):
        raise ProtocolError(f"name {binding.name[:32]!a}")
    if len(binding.address) not in _ADDRESS_SIZES:
        raise ProtocolError(f"{binding.name}: an address of {len(binding.address)} bytes")
    if len(binding.container) > MAX_CONTAINER or not binding.container.isprintable():
        raise ProtocolError(f"{binding.name}: a container that is none")
    if binding.services and not (len(binding.services) <= MAX_SERVICES and all(map(is_service, binding.services))):
        raise ProtocolError(f"{binding.name}: services too many or that are none")


def _check_births(*births: int) -> None:
    _need(len(births) <= MAX_MEMBERS + 1, "births", "too many")
    _need(all(0 <= birth < 2**64 for birth in births), "birth", "outside 64 bits")


def _check_members(members: tuple[str, ...]) -> None:
    _need(len(members) <= MAX_MEMBERS, "members", "too many")
    for member in members:
        _check_name(member)


def _check_name(name: str) -> None:
    _need(is_peer_name(name), "peer name", ascii(name[:32]))


def _check_key(key: str) -> None:
    _need(len(key) <= MAX_KEY and _KEY.fullmatch(key) is not None, "key", ascii(key[:32]))


def _check_text(text: str) -> None:
    _need(len(text) <= MAX_TEXT, "text", f"{len(text)} characters")
    _need(text.isprintable(), "text", "characters that cannot be printed")


def _need(holds: bool, subject: str, wrong: str) -> None:
    if not holds:
        raise ProtocolError(f"{subject}: {wrong}")
