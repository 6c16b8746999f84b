"""The eBPF switch: its programs on devices, its maps, and what it has to tell.

Everything acts in the network namespace of the calling thread.  Maps are pinned, and attached programs live in the
kernel, so the switch goes on when this process dies; the next one adopts it.  See docs/datapath.md.
"""

import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import assert_never

from ripstop.core.errors import KernelError, StartError
from ripstop.core.names import ShortId, UnderlayIp
from ripstop.core.overlay.forwarding import ForwardingTables
from ripstop.kernel import abi, bpf, bpf_kept, bpf_tc, sysctl
from ripstop.kernel.abi import ConfigFlags, CounterClass, DeviceFlags, DropReason
from ripstop.kernel.datapath_tables import Image, Put, Remove, UseOwn, departed, image, parse_address, steps
from ripstop.kernel.groups import Groups
from ripstop.kernel.guards import Guard, Guards
from ripstop.kernel.ring import RingReader

OBJECT = Path(__file__).parent / "objects" / "overlay.bpf.o"
PROGRAMS = ("from_port", "from_guarded", "from_underlay", "from_companion")
MAX_AGE = 600.0  # seconds until a MAC that was not seen is forgotten; IEEE 802.1Q has 300 and allows up to 10^6

_ZERO = (0).to_bytes(4, "little")
_NANOSECONDS = 1_000_000_000
_PORT_ROLES = DeviceFlags.PORT | DeviceFlags.HOST


@dataclass(frozen=True, slots=True)
class FdbEntry:
    """Where a MAC address was seen last: behind a local port or on a remote peer."""

    mac: str
    ifindex: int  # of the local port, or 0
    peer: ShortId  # the remote peer, or NO_PEER
    age: float  # seconds since it was seen, at most two too much


@dataclass(frozen=True, slots=True)
class Counter:
    """Frames of one class; a GSO frame counts once."""

    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Upcall:
    """A frame that a program handed up: a probe or its answer."""

    remote: UnderlayIp  # outer source
    local: UnderlayIp  # outer destination; 0.0.0.0 where the kernel does not tell
    frame: bytes  # its first bytes, from the inner Ethernet header on


@dataclass(frozen=True, slots=True)
class _Config:
    """`struct config`, as the kernel has it."""

    max_age: int
    generation: int
    companion: int
    host_port: int
    devices: int
    port: bytes
    own: ShortId
    flags: int
    unused: int

    def pack(self) -> bytes:
        return abi.CONFIG.packer.pack(*astuple(self))


class Datapath:
    """One host's switch.  Made by `open`; methods are idempotent and safe to repeat after an error."""

    def __init__(self, pins: Path, loaded: bpf.LoadedObject | bpf_kept.KeptObject, fast: bool) -> None:
        self._pins = pins
        self._loaded = loaded
        self._fast = fast
        self._maps = {name: loaded.map(name) for name in abi.PINNED}
        self._ring = RingReader(self._maps["upcalls"])
        self._config = _Config(*abi.CONFIG.packer.unpack(self._maps["config"].lookup(_ZERO) or b""))
        self._devices = self._read_devices()
        self._attaching = threading.Lock()
        self.guards = Guards(self._maps["guards"])
        self._tables = {name: dict(self._maps[name].items()) for name in ("vteps", "routes", "trees")}
        self.groups = Groups(self._maps, self._devices, self._tables["trees"], self._void_decisions)

    @classmethod
    def open(cls, pins: Path, vxlan_port: int, max_age: float = MAX_AGE, fast: bool = True) -> "Datapath":
        """Adopt the switch pinned in `pins`, or make a new one there.

        Devices of an adopted switch run the programs of this version from here on; no packet meets none.

        Args:
            pins: directory in a bpf file system; made if missing, ours alone.
            vxlan_port: UDP port of the underlay.
            max_age: seconds until a MAC that was not seen is forgotten.
            fast: False sends all frames through the companion device.

        Raises:
            StartError: the host lacks libbpf or its kernel a feature, which is named.
            KernelError: the kernel refused something else.
        """
        if missing := bpf.missing_features():
            raise StartError(f"kernel {os.uname().release} lacks {', '.join(missing)}: Linux 5.15 or later is needed")
        home = pins / abi.abi_hash()
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KernelError("make pin directory", str(home), error.errno or errno.EIO) from None
        build = bpf_kept.digest(OBJECT)
        kept = bpf_kept.find(home, build, abi.PINNED, PROGRAMS)
        if kept is None:
            bpf_kept.forget(home)  # first: they refer to the maps of before, some of which may be made anew
        loaded = kept or bpf.OpenObject(OBJECT).load(home, abi.PINNED)
        datapath = cls(home, loaded, fast)
        try:
            datapath._adopt(vxlan_port, max_age)
        except KernelError:
            datapath.close()
            raise
        if isinstance(loaded, bpf.LoadedObject):
            bpf_kept.keep(loaded, home, build, PROGRAMS)
        return datapath

    def attach_underlay(self, ifindex: int) -> None:
        """Take VXLAN packets that come in by this NIC."""
        self._attach(ifindex, DeviceFlags.UNDERLAY)

    def attach_companion(self, ifindex: int) -> None:
        """Use this VXLAN device for what the fast path cannot take."""
        self._attach(ifindex, DeviceFlags.COMPANION)
        self._write_config(replace(self._config, companion=ifindex))

    def add_port(
        self, ifindex: int, host: bool = False, flood: bool = True, guard: Guard | None = None, soon: bool = False
    ) -> None:
        """Make a device a port of the switch: the host's side of a container's veth pair.

        Asked again, it changes the port; each frame is judged by one guard, that of before or this one.

        Args:
            ifindex: the device; up already, or frames wait for it in vain.
            host: its other end is this host's own interface, in this namespace.
            flood: it gets broadcast, multicast and unknown frames; without an address the host wants none.
            guard: what it may send; None: all that a switch passes.
            soon: a new device; `promote` is to follow.
        """
        flags = DeviceFlags.PORT
        if host:
            flags |= DeviceFlags.HOST
            self._allow_lookups(ifindex)
        if flood:
            flags |= DeviceFlags.FLOOD
        if host:  # first, so that no frame is handed to it as to a container
            self._write_config(replace(self._config, host_port=ifindex))
        if guard is not None:
            self.guards.put(ifindex, guard)
            flags |= DeviceFlags.GUARDED
        self._attach(ifindex, flags, soon=soon)
        if guard is None:
            self.guards.remove(ifindex)

    def promote(self, ifindex: int) -> None:
        """Make a port that was added `soon` as cheap for packets as the others; it may be gone.  For any thread."""
        with self._attaching, suppress(KernelError):  # it goes on as it is
            flags = next((flags for found, flags in list(self._devices.values()) if found == ifindex), None)
            if flags is not None:
                bpf_tc.attach_ingress(ifindex, self._program(flags))

    def remove_port(self, ifindex: int, dying: bool = False) -> None:
        """Take a port off, and forget the MACs behind it; its device may be gone already.

        Args:
            ifindex: the device.
            dying: it is down and about to be deleted; the kernel then takes the program off by itself.
        """
        self._drop_device(ifindex)
        if not dying:
            bpf_tc.detach_ingress(ifindex)
        self._forget(lambda entry_ifindex, _peer, _seen: entry_ifindex == ifindex)

    def detach(self, ifindex: int) -> None:
        """Stop looking at a device, whatever it was to us."""
        self._drop_device(ifindex)
        bpf_tc.detach_ingress(ifindex)

    def _drop_device(self, ifindex: int) -> None:
        self.groups.forget_port(ifindex)
        for slot, (found, flags) in sorted(self._devices.items()):
            if found == ifindex:
                self._maps["devices"].update(slot.to_bytes(4, "little"), abi.DEVICE.packer.pack(0, 0))
                del self._devices[slot]
                if flags & DeviceFlags.COMPANION and self._config.companion == ifindex:
                    self._write_config(replace(self._config, companion=0))
                if flags & DeviceFlags.HOST and self._config.host_port == ifindex:
                    self._write_config(replace(self._config, host_port=0))
                self._write_config(self._config)
        self.guards.remove(ifindex)

    def use_snooping(self, on: bool, flood_unknown: bool = False) -> None:
        """Forward groups by membership, as `groups` has it; without it they flood.

        Args:
            on: from the next frame on.
            flood_unknown: a group without an entry for our ports floods; else it goes to multicast routers alone.
        """
        flags = self._config.flags & ConfigFlags.RETURNS
        if on:
            flags |= ConfigFlags.SNOOPING
        if flood_unknown:
            flags |= ConfigFlags.FLOOD_UNKNOWN
        if flags != self._config.flags:
            self._write_config(replace(self._config, flags=flags))

    def use_returns(self, on: bool) -> None:
        """Have answers to what the host forwards for containers come back through the host."""
        flags = self._config.flags & ~ConfigFlags.RETURNS
        if on:
            flags |= ConfigFlags.RETURNS
        if flags != self._config.flags:
            self._write_config(replace(self._config, flags=flags))

    def ports(self) -> tuple[int, ...]:
        """Return the ifindexes of all ports, the host's own too."""
        return self._with_role(_PORT_ROLES)

    def underlays(self) -> tuple[int, ...]:
        """Return the ifindexes of the NICs we listen on."""
        return self._with_role(DeviceFlags.UNDERLAY)

    def apply(self, tables: ForwardingTables) -> None:
        """Make the maps hold `tables`, writing only what differs.

        Raises:
            KernelError: the kernel refused an element; those before it are written, and a retry goes on from there.
        """
        actual = Image(self._config.own, **{name: dict(elements) for name, elements in self._tables.items()})
        desired = image(tables, self._fast)
        gone = departed(actual, desired)
        todo = list(steps(actual, desired))
        for step in todo:
            match step:
                case UseOwn(own):
                    self._write_config(replace(self._config, own=own))
                case Put(table, key, value):
                    if table == "trees":
                        self.groups.doubt(key)
                    self._maps[table].update(key, value)
                    self._tables[table][key] = value
                case Remove(table, key):
                    if table == "trees":
                        self.groups.doubt(key)
                    self._maps[table].delete(key)
                    self._tables[table].pop(key)
                case _:
                    assert_never(step)
        self.groups.retree()
        if todo:
            self._void_decisions()
        if gone:
            self._forget(lambda _ifindex, peer, _seen: peer in gone)

    def drops(self) -> dict[str, int]:
        """Return how many frames each reason has stopped."""
        return {
            reason.name.lower(): sum(
                int.from_bytes(value, "little")
                for value in self._maps["drops"].lookup_cpus(reason.to_bytes(4, "little"))
            )
            for reason in DropReason
        }

    def counters(self) -> dict[str, Counter]:
        """Return what crossed the underlay, by class."""
        return {name.name.lower(): self._counter(name) for name in CounterClass}

    def fdb(self) -> list[FdbEntry]:
        """Return all MAC addresses known, in no order."""
        now = time.monotonic_ns()
        return [
            FdbEntry(key[:6].hex(":"), ifindex, ShortId(peer), max(0, now - seen) / _NANOSECONDS)
            for key, ifindex, peer, seen in self._fdb_entries()
        ]

    def stations(self) -> dict[str, int]:
        """Return how many MAC addresses are known behind our ports and on other peers."""
        local = total = 0
        for _, ifindex, _, _ in self._fdb_entries():
            local += ifindex != 0
            total += 1
        return {"port": local, "peer": total - local}

    def sweep(self, max_age: float = MAX_AGE) -> int:
        """Forget MACs that were not seen for `max_age` seconds; return how many."""
        oldest = time.monotonic_ns() - int(max_age * _NANOSECONDS)
        return self._forget(lambda _ifindex, _peer, seen: seen < oldest)

    def upcall_fd(self) -> int:
        """Return the descriptor that becomes readable when `read_upcalls` has something."""
        return self._ring.fileno()

    def read_upcalls(self) -> list[Upcall]:
        """Return the frames handed up since the last call, without waiting."""
        upcalls = []
        for record in self._ring.read():
            remote, local, length, _, frame = abi.UPCALL.packer.unpack_from(record)
            upcalls.append(Upcall(parse_address(remote), parse_address(local), frame[:length]))
        return upcalls

    def close(self) -> None:
        """Give our descriptors back; the switch goes on without us."""
        self.groups.close()
        self._ring.close()
        self._loaded.close()

    def destroy(self) -> None:
        """Take the switch out of the kernel: no filter, no pin, nothing known."""
        for ifindex, _ in self._devices.values():
            bpf_tc.detach_ingress(ifindex)
        self.close()
        bpf_kept.forget(self._pins)
        bpf.unpin(self._pins, abi.PINNED)
        with suppress(OSError):
            self._pins.parent.rmdir()

    def _adopt(self, vxlan_port: int, max_age: float) -> None:
        """Bring what we found up to date: our programs on its devices, minus those that are gone."""
        self._write_config(
            replace(self._config, port=vxlan_port.to_bytes(2, "big"), max_age=int(max_age * _NANOSECONDS))
        )
        for ifindex, flags in list(self._devices.values()):
            if _exists(ifindex):
                bpf_tc.attach_ingress(ifindex, self._program(flags))
            elif flags & DeviceFlags.PORT:
                self.remove_port(ifindex)
            else:
                self.detach(ifindex)
        self.guards.keep(self._with_role(DeviceFlags.GUARDED))

    def _attach(self, ifindex: int, flags: DeviceFlags, soon: bool = False) -> None:
        if soon:
            bpf_tc.attach_soon(ifindex, self._program(flags))
            self._note(ifindex, flags)
            return
        with self._attaching:  # else `promote` could put back the program that a port had before
            bpf_tc.attach_ingress(ifindex, self._program(flags))
            self._note(ifindex, flags)

    def _note(self, ifindex: int, flags: DeviceFlags) -> None:
        """Write down what a device is."""
        slot = next((slot for slot, (found, _) in self._devices.items() if found == ifindex), None)
        if slot is None:
            slot = next((free for free in range(abi.MAX_DEVICES) if free not in self._devices), None)
            if slot is None:
                raise KernelError("add device", f"ifindex {ifindex}", errno.ENOSPC, f"{abi.MAX_DEVICES} are in use")
        self._maps["devices"].update(slot.to_bytes(4, "little"), abi.DEVICE.packer.pack(ifindex, flags))
        self._devices[slot] = (ifindex, flags)
        self._write_config(replace(self._config, devices=max(slot + 1, self._config.devices)))

    def _program(self, flags: DeviceFlags) -> int:
        if flags & DeviceFlags.UNDERLAY:
            return self._loaded.program_fd("from_underlay")
        if flags & DeviceFlags.COMPANION:
            return self._loaded.program_fd("from_companion")
        if flags & DeviceFlags.GUARDED:
            return self._loaded.program_fd("from_guarded")
        return self._loaded.program_fd("from_port")

    def _allow_lookups(self, ifindex: int) -> None:
        """Let the kernel answer route lookups that name our port as the way in: it does so only for routers."""
        try:
            sysctl.write(f"net/ipv4/conf/{socket.if_indextoname(ifindex)}/forwarding", "1")
        except OSError as error:
            raise KernelError("turn on forwarding for", f"ifindex {ifindex}", error.errno or errno.EIO) from None

    def _write_config(self, changed: _Config) -> None:
        """Write the config, and with it that decisions taken by the tables of before are void."""
        changed = replace(changed, generation=changed.generation + 1)
        self._maps["config"].update(_ZERO, changed.pack())
        self._config = changed

    def _void_decisions(self) -> None:
        self._write_config(self._config)

    def _read_devices(self) -> dict[int, tuple[int, DeviceFlags]]:
        devices = {}
        for slot in range(self._config.devices):
            value = self._maps["devices"].lookup(slot.to_bytes(4, "little"))
            ifindex, flags = abi.DEVICE.packer.unpack(value or bytes(abi.DEVICE.packer.size))
            if ifindex:
                devices[slot] = (ifindex, DeviceFlags(flags))
        return devices

    def _with_role(self, roles: DeviceFlags) -> tuple[int, ...]:
        return tuple(sorted(ifindex for ifindex, flags in self._devices.values() if flags & roles))

    def _counter(self, name: CounterClass) -> Counter:
        values = self._maps["counters"].lookup_cpus(name.to_bytes(4, "little"))
        packets, size = (sum(column) for column in zip(*map(abi.COUNTER.packer.unpack, values), strict=True))
        return Counter(packets, size)

    def _fdb_entries(self) -> Iterator[tuple[bytes, int, int, int]]:
        unpack = abi.FDB_VALUE.packer.unpack
        for key, value in self._maps["fdb"].items():
            seen, ifindex, peer, _ = unpack(value)
            yield key, ifindex, peer, seen

    def _forget(self, condition: Callable[[int, int, int], bool]) -> int:
        """Delete the MACs for whose (ifindex, peer, seen) the condition holds; return how many."""
        doomed = [key for key, ifindex, peer, seen in self._fdb_entries() if condition(ifindex, peer, seen)]
        for key in doomed:
            self._maps["fdb"].delete(key)
        if doomed:
            self._void_decisions()
        return len(doomed)


def _exists(ifindex: int) -> bool:
    try:
        socket.if_indextoname(ifindex)
    except OSError:
        return False
    return True
