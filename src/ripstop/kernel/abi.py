"""The structs and numbers of `bpf/abi.h`, for Python; a test compares the two through the object's BTF."""

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

MAX_DEVICES = 1024
MAX_PEERS = 4096
MAX_VTEPS = 16384
MAX_CHILDREN = 64
MAX_GROUPS = 131072
MAX_BRANCHES = 262144
MAX_STREAMS = 16384
MAX_RETURNS = 65536
MAX_TAILS = 1024
UPCALL_FRAME = 256  # bytes of a frame that an upcall carries
FEW_RECEIVERS = 8  # of a group among our own ports, that are listed
SNOOP_FRAME = 512  # bytes of the frames that take the small record
SNOOP_JUMBO = 9216  # and of the largest ones that are handed over
SNOOPS_PER_TICK = 200  # of one port; a tick is 100 ms
GUARDED_V4 = 16  # IPv4 addresses that a guarded port may use
GUARDED_V6 = 8  # IPv6 addresses, its link-local one among them


class ConfigFlags(IntFlag):
    """`enum config_flags`: how groups are treated, and whether the host forwards for containers."""

    SNOOPING = 1
    FLOOD_UNKNOWN = 2
    RETURNS = 4


class DeviceFlags(IntFlag):
    """`enum device_flags`: what a device is to the switch."""

    PORT = 1
    HOST = 2
    UNDERLAY = 4
    COMPANION = 8
    FLOOD = 16
    GUARDED = 32


class GuardFlags(IntFlag):
    """`enum guard_flags`: what a guarded port is kept from."""

    MAC = 1
    IP = 2
    ROUTER = 4
    DHCP = 8
    MULTICAST = 16


class HopFlags(IntFlag):
    """`enum hop_flags`."""

    FAST = 1


class GroupFlags(IntFlag):
    """`enum group_flags`."""

    SOURCES = 1


class DropReason(IntEnum):
    """`enum drop_reason`: why a frame went no further."""

    SHORT_FRAME = 0
    BAD_SOURCE = 1
    RESERVED_MAC = 2
    FORGED_PROBE = 3
    HAIRPIN = 4
    NO_ROUTE = 5
    NO_RECEIVER = 6
    TOO_BIG = 7
    STRANGER = 8
    BAD_HEADER = 9
    LOOP = 10
    WRONG_PARENT = 11
    TTL = 12
    MISDIRECTED = 13
    NO_UNDERLAY = 14
    NO_COMPANION = 15
    ENCAPSULATE = 16
    STRIP = 17
    COPY = 18
    UPCALL = 19
    NO_MEMBER = 20
    SNOOP_RATE = 21
    SNOOP_RING = 22
    NO_GUARD = 23
    SPOOFED_MAC = 24
    SPOOFED_IP = 25
    SPOOFED_ARP = 26
    SPOOFED_ND = 27
    ROGUE_ROUTER = 28
    ROGUE_REDIRECT = 29
    ROGUE_DHCP = 30
    UNGUARDED_TYPE = 31
    HIDDEN_HEADER = 32
    MULTICAST_OFF = 33


GUARD_REASONS = tuple(reason for reason in DropReason if reason >= DropReason.NO_GUARD)  # of guarded ports alone


class CounterClass(IntEnum):
    """`enum counter_class`: what crossed the underlay, and how."""

    SENT_FAST = 0
    SENT_COMPANION = 1
    RECEIVED_FAST = 2
    RECEIVED_COMPANION = 3
    RELAYED_FAST = 4
    RELAYED_COMPANION = 5
    FLOOD_COPIES = 6
    DELIVERED = 7


@dataclass(frozen=True, slots=True)
class Layout:
    """A C struct: its fields in order, each with its `struct` code."""

    name: str
    fields: tuple[tuple[str, str], ...]

    @property
    def packer(self) -> struct.Struct:
        """Return what packs and unpacks it; native byte order, no padding of its own."""
        return struct.Struct("=" + "".join(code for _, code in self.fields))

    def offsets(self) -> dict[str, int]:
        """Return where each field starts, in bytes."""
        return {
            name: struct.calcsize("=" + "".join(code for _, code in self.fields[:index]))
            for index, (name, _) in enumerate(self.fields)
        }


# Network byte order fields are bytes ("4s", "2s"), so that nobody swaps them by mistake.
CONFIG = Layout(
    "config",
    (
        ("max_age", "Q"),
        ("generation", "Q"),
        ("companion", "I"),
        ("host_port", "I"),
        ("devices", "I"),
        ("port", "2s"),
        ("own", "H"),
        ("flags", "I"),
        ("unused", "I"),
    ),
)
GUARD = Layout(
    "guard",
    (
        ("mac", "Q"),
        ("flags", "I"),
        ("unused", "I"),
        ("v4", f"{GUARDED_V4 * 4}s"),
        ("v6", f"{GUARDED_V6 * 16}s"),
        ("stopped", f"{len(GUARD_REASONS) * 8}s"),
    ),
)
DEVICE = Layout("device", (("ifindex", "I"), ("flags", "I")))
FDB_VALUE = Layout("fdb_value", (("seen", "Q"), ("ifindex", "I"), ("peer", "H"), ("unused", "H")))
HOP = Layout("hop", (("remote", "4s"), ("local", "4s"), ("peer", "H"), ("mtu", "H"), ("flags", "I")))
TREE = Layout(
    "tree",
    (("parent", "H"), ("count", "H"), ("mark", "I"), ("children", f"{MAX_CHILDREN * HOP.packer.size}s")),
)
GROUP_KEY = Layout("group_key", (("group", "16s"), ("source", "16s")))
RECEIVERS = Layout(
    "receivers",
    (("count", "I"), ("flags", "I"), ("ports", f"{FEW_RECEIVERS * 4}s"), ("slots", f"{MAX_DEVICES // 8}s")),
)
BRANCH_KEY = Layout("branch_key", (("stream", f"{GROUP_KEY.packer.size}s"), ("peer", "I")))
BRANCH = Layout("branch", (("children", "Q"), ("mark", "I"), ("flags", "I")))
STREAM_KEY = Layout("stream_key", (("stream", f"{GROUP_KEY.packer.size}s"), ("ifindex", "I"), ("peer", "I")))
STREAM = Layout(
    "stream",
    (("packets", "Q"), ("bytes", "Q"), ("delivered", "Q"), ("sent", "Q"), ("dropped", "Q"), ("seen", "Q")),
)
TAIL = Layout("tail", (("key", f"{STREAM_KEY.packer.size}s"), ("counted", f"{STREAM.packer.size}s")))
RETURN_KEY = Layout(
    "return_key",
    (("source", "4s"), ("target", "4s"), ("source_port", "2s"), ("target_port", "2s"), ("protocol", "I")),
)
COUNTER = Layout("counter", (("packets", "Q"), ("bytes", "Q")))
UPCALL = Layout(
    "upcall", (("remote", "4s"), ("local", "4s"), ("length", "I"), ("unused", "I"), ("frame", f"{UPCALL_FRAME}s"))
)
SNOOP = Layout("snoop", (("ifindex", "I"), ("length", "I"), ("frame", "0s")))
LAYOUTS = (
    CONFIG, GUARD, DEVICE, FDB_VALUE, HOP, TREE, GROUP_KEY, RECEIVERS, BRANCH_KEY, BRANCH, STREAM_KEY, STREAM, TAIL,
    RETURN_KEY, COUNTER, UPCALL, SNOOP,
)  # fmt: skip

PINNED = (
    "config", "guards", "stages", "devices", "fdb", "vteps", "routes", "trees", "receivers", "branches", "streams",
    "tails", "returns", "drops", "counters", "upcalls", "snoops",
)  # fmt: skip


def abi_hash() -> str:
    """Return a short name for everything programs and daemon must agree on: maps under another one are not ours."""
    sizes = (MAX_DEVICES, MAX_PEERS, MAX_VTEPS, MAX_CHILDREN, MAX_GROUPS, MAX_BRANCHES, MAX_STREAMS, MAX_TAILS,
             MAX_RETURNS)  # fmt: skip
    enums = (ConfigFlags, DeviceFlags, GuardFlags, HopFlags, GroupFlags, DropReason, CounterClass)
    numbers = [list(enum) for enum in enums]
    return hashlib.sha256(repr((LAYOUTS, PINNED, sizes, numbers)).encode()).hexdigest()[:12]
