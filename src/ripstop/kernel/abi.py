"""The structs and numbers of `bpf/abi.h`, for Python; a test compares the two through the object's BTF."""

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

MAX_DEVICES = 1024
MAX_PEERS = 4096
MAX_VTEPS = 16384
MAX_CHILDREN = 64
UPCALL_FRAME = 256  # bytes of a frame that an upcall carries


class DeviceFlags(IntFlag):
    """`enum device_flags`: what a device is to the switch."""

    PORT = 1
    HOST = 2
    UNDERLAY = 4
    COMPANION = 8
    FLOOD = 16


class HopFlags(IntFlag):
    """`enum hop_flags`."""

    FAST = 1


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
    ),
)
DEVICE = Layout("device", (("ifindex", "I"), ("flags", "I")))
FDB_VALUE = Layout("fdb_value", (("seen", "Q"), ("ifindex", "I"), ("peer", "H"), ("unused", "H")))
HOP = Layout("hop", (("remote", "4s"), ("local", "4s"), ("peer", "H"), ("mtu", "H"), ("flags", "I")))
TREE = Layout(
    "tree",
    (("parent", "H"), ("count", "H"), ("unused", "I"), ("children", f"{MAX_CHILDREN * HOP.packer.size}s")),
)
COUNTER = Layout("counter", (("packets", "Q"), ("bytes", "Q")))
UPCALL = Layout(
    "upcall", (("remote", "4s"), ("local", "4s"), ("length", "I"), ("unused", "I"), ("frame", f"{UPCALL_FRAME}s"))
)
LAYOUTS = (CONFIG, DEVICE, FDB_VALUE, HOP, TREE, COUNTER, UPCALL)

PINNED = ("config", "devices", "fdb", "vteps", "routes", "trees", "drops", "counters", "upcalls")


def abi_hash() -> str:
    """Return a short name for everything programs and daemon must agree on: maps under another one are not ours."""
    sizes = (MAX_DEVICES, MAX_PEERS, MAX_VTEPS, MAX_CHILDREN, len(DropReason), len(CounterClass))
    numbers = [list(enum) for enum in (DeviceFlags, HopFlags, DropReason, CounterClass)]
    return hashlib.sha256(repr((LAYOUTS, PINNED, sizes, numbers)).encode()).hexdigest()[:12]
