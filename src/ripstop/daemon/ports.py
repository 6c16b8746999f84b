"""What the daemon remembers of each interface it put into a container."""

import hashlib
from ipaddress import ip_address, ip_interface

import msgspec

from ripstop.core.errors import StartError
from ripstop.core.names import ContainerId
from ripstop.daemon.naming import Registration
from ripstop.kernel.abi import GuardFlags
from ripstop.kernel.guards import Guard

PREFIX = "port/"
JOINS = "multicast/join/"  # + interface on the host + "/" + group in hex: what was joined for it by hand
HOST = "host"  # how the host's own interface is called as a container
MAX_DESCRIPTION = 255  # bytes; IFALIASZ - 1, uapi/linux/if.h


class PortRecord(msgspec.Struct, frozen=True):
    """One attached interface, as kept on disk under `port/<host_ifname>`."""

    container: str
    netns: str  # path by which it was named
    inode: int  # of the namespace: a path can be used again, this cannot while it lives
    ifname: str
    host_ifname: str
    mac: str
    addresses: tuple[str, ...]  # ADDRESS/LEN
    guards: int = 0  # `GuardFlags`: what it is kept from
    allowed: tuple[str, ...] = ()  # addresses that it may use as well while it is guarded
    network: str = ""  # of a container runtime, by which it was attached
    mtu: int = 0  # bytes, at most; 0: as large as the overlay carries
    names: tuple[Registration, ...] = ()

    @property
    def guard(self) -> Guard | None:
        """What it may send; None: all that a switch passes.

        Raises:
            RequestError: it has too many addresses to be guarded.
        """
        if not self.guards:
            return None
        own = tuple(ip_interface(address).ip for address in self.addresses)
        return Guard(GuardFlags(self.guards), self.mac, own + tuple(ip_address(address) for address in self.allowed))

    @property
    def holder(self) -> ContainerId:
        """Under what name the allocator knows who holds the addresses: one per interface."""
        return holder(self.container, self.ifname)

    @property
    def key(self) -> str:
        """Where it is kept on disk."""
        return PREFIX + self.host_ifname


class _Description(msgspec.Struct, array_like=True, frozen=True):
    """A `PortRecord` as its device has it: without names of fields, as there is little room."""

    container: str
    netns: str
    inode: int
    ifname: str
    mac: str
    addresses: tuple[str, ...]
    guards: int = 0
    allowed: tuple[str, ...] = ()


def description(port: PortRecord) -> str:
    """Return what a port's device says of itself, should the disk be lost; "" if it is too long for the kernel."""
    fields = (port.container, port.netns, port.inode, port.ifname, port.mac, port.addresses)
    text = msgspec.json.encode((*fields, port.guards, port.allowed) if port.guards else fields)
    return text.decode() if len(text) <= MAX_DESCRIPTION else ""


def described(name: str, text: str) -> PortRecord | None:
    """Return the port that a device says it is; None if it says nothing of the kind."""
    try:
        found = msgspec.json.decode(text, type=_Description)
    except msgspec.DecodeError:
        return None
    return PortRecord(
        found.container, found.netns, found.inode, found.ifname, name, found.mac, found.addresses, found.guards,
        found.allowed,
    )  # fmt: skip


def holder(container: str, ifname: str) -> ContainerId:
    """Return the allocator's name for one interface of a container."""
    return ContainerId(f"{container}/{ifname}")


def port_name(inode: int, ifname: str) -> str:
    """Return the name of the host's end: the same for the same interface, so that a second one cannot be made."""
    return "rs" + hashlib.sha256(f"{inode} {ifname}".encode()).hexdigest()[:10]


def port_mac(peer: str, container: str, ifname: str) -> str:
    """Return a locally administered address: the same for the same interface, whatever its IP address."""
    digest = hashlib.sha256(f"{peer} {container} {ifname}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def host_mac(host_ifname: str) -> str:
    """Return the address of the host's end, which is nobody on the switch."""
    return ":".join(f"{byte:02x}" for byte in (0x02, *bytes.fromhex(host_ifname.removeprefix("rs"))))


def encode(port: PortRecord) -> bytes:
    """Return the form on disk."""
    return msgspec.msgpack.encode(port)


def decode(key: str, value: bytes) -> PortRecord:
    """Read the form on disk.

    Raises:
        StartError: it is damaged.
    """
    try:
        return msgspec.msgpack.decode(value, type=PortRecord)
    except msgspec.DecodeError as error:
        raise StartError(f"state entry {key} is damaged ({error}); start with another --state-dir") from None
