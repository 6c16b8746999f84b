"""A switch on the bench: tables written by hand, packets run through one program at a time.

Its namespace has an underlay NIC and two ports, each a veth pair whose other end the test listens on.  What a program
redirects comes back as its output; what it copies goes out for real and is heard at the other ends.  `send` is the
whole way instead: a packet on the wire, through all programs it meets.
"""

import ctypes
import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ctypes import c_char_p, c_int, c_size_t, c_uint32, c_void_p
from dataclasses import dataclass
from uuid import uuid4

from ripstop.kernel import abi, bpffs, netns
from ripstop.kernel.bpf import Map, library
from ripstop.kernel.bpf_tc import attached_program
from ripstop.kernel.datapath import Datapath
from ripstop.kernel.guards import Guard
from tests.bpf.packets import VXLAN_PORT

UNSPEC, SHOT, REDIRECT = 0xFFFFFFFF, 2, 7  # linux/pkt_cls.h
UNDERLAY, PORT, OTHER_PORT, HOST_PORT, COMPANION = "eth0", "v1", "v2", "ripstop0p", "ripstop-vx"
CONTAINER_ENDS = ("c1", "c2")  # in a namespace of their own, as bpf_redirect_peer demands
FAR_ENDS = {UNDERLAY: "eth0x", PORT: "c1", OTHER_PORT: "c2", HOST_PORT: "ripstop0"}
OWN_IP, PEER_IP, THIRD_IP, SILENT_IP, STRANGER_IP = (f"192.0.2.{n}" for n in (1, 2, 3, 4, 99))
NIC_MAC, PEER_MAC, THIRD_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"
WAIT = 2.0  # seconds after which a copy is missing

_ETH_P_ALL = 3
_SK_BUFF = 192  # bytes of struct __sk_buff; linux/bpf.h
_IFINDEX_AT, _GSO_SIZE_AT = 40, 176
_MAX_PACKET = 4096


class _TestRun(ctypes.Structure):
    """`struct bpf_test_run_opts` of libbpf."""

    _fields_ = (
        ("sz", c_size_t), ("data_in", c_char_p), ("data_out", c_void_p), ("data_size_in", c_uint32),
        ("data_size_out", c_uint32), ("ctx_in", c_char_p), ("ctx_out", c_void_p), ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32), ("retval", c_uint32), ("repeat", c_int), ("duration", c_uint32),
        ("flags", c_uint32), ("cpu", c_uint32), ("batch_size", c_uint32),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """What a program did with a packet."""

    verdict: int
    packet: bytes
    dropped: tuple[str, ...]  # reasons that counted one more
    counted: tuple[str, ...]  # classes that did


class Switch:
    """One namespace with a `Datapath` in it; the calling thread stays inside until `close`."""

    def __init__(self) -> None:
        name = f"rt-{uuid4().hex[:8]}-bpf"
        self._containers = f"{name}-c"
        self._stack = ExitStack()
        try:
            for made in (name, self._containers):
                subprocess.run(["ip", "netns", "add", made], check=True)
                self._stack.callback(subprocess.run, ["ip", "netns", "delete", made], check=True)
            self._enter(name)
        except BaseException:
            self._stack.close()
            raise

    def _enter(self, name: str) -> None:
        pins = self._pins = bpffs.root() / name
        self._stack.callback(shutil.rmtree, pins, ignore_errors=True)
        descriptor = self._stack.enter_context(netns.opened(f"/run/netns/{name}"))
        self._stack.enter_context(netns.entered(descriptor))
        _make_devices(self._containers)
        self.datapath = Datapath.open(pins, VXLAN_PORT)
        self._stack.callback(self.datapath.destroy)
        self.datapath.attach_underlay(self.ifindex(UNDERLAY))
        self.datapath.attach_companion(self.ifindex(COMPANION))
        self.datapath.add_port(self.ifindex(HOST_PORT), host=True, flood=False)
        self.datapath.add_port(self.ifindex(PORT))
        self.datapath.add_port(self.ifindex(OTHER_PORT))
        self._programs = {device: self._program(device) for device in (UNDERLAY, PORT, HOST_PORT, COMPANION)}
        self._programs[OTHER_PORT] = self._programs[PORT]
        self._ears = {device: self._listen(far_end) for device, far_end in FAR_ENDS.items()}

    def _program(self, device: str) -> int:
        number = attached_program(self.ifindex(device))
        assert number is not None, f"nothing is attached to {device}"
        descriptor = int(library().bpf_prog_get_fd_by_id(number))
        assert descriptor >= 0, os.strerror(-descriptor)
        self._stack.callback(os.close, descriptor)
        return descriptor

    def _listen(self, device: str) -> socket.socket:
        with ExitStack() as there:
            if device in CONTAINER_ENDS:
                descriptor = there.enter_context(netns.opened(f"/run/netns/{self._containers}"))
                there.enter_context(netns.entered(descriptor))
            ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
            self._stack.callback(ear.close)
            ear.bind((device, _ETH_P_ALL))
        return ear

    def close(self) -> None:
        """Leave the namespace and delete it."""
        self._stack.close()

    @contextmanager
    def guarded(self, guard: Guard) -> Iterator[None]:
        """Have PORT be guarded."""
        ifindex = self.ifindex(PORT)
        self.datapath.add_port(ifindex, guard=guard)
        unguarded = self._programs[PORT]
        self._programs[PORT] = self._program(PORT)
        try:
            yield
        finally:
            self._programs[PORT] = unguarded
            self.datapath.add_port(ifindex)

    def ifindex(self, device: str) -> int:
        """Return the index of a device of the namespace."""
        return socket.if_nametoindex(device)

    def run(self, device: str, packet: bytes, gso_size: int = 0) -> Result:
        """Have `packet` come in by `device`."""
        drops, counters = self.datapath.drops(), self.datapath.counters()
        run, output = self._try_out(device, packet, gso_size)
        return Result(
            verdict=run.retval,
            packet=output.raw[: run.data_size_out],
            dropped=tuple(k for k, v in self.datapath.drops().items() for _ in range(v - drops[k])),
            counted=tuple(
                k for k, v in self.datapath.counters().items() for _ in range(v.packets - counters[k].packets)
            ),
        )

    def cost(self, device: str, packet: bytes) -> int:
        """Return how long a device's program takes for one packet, in ns."""
        return int(self._try_out(device, packet)[0].duration)

    def _try_out(self, device: str, packet: bytes, gso_size: int = 0) -> tuple[_TestRun, "ctypes.Array[ctypes.c_char]"]:
        context = bytearray(_SK_BUFF)
        context[_IFINDEX_AT : _IFINDEX_AT + 4] = self.ifindex(device).to_bytes(4, "little")
        context[_GSO_SIZE_AT : _GSO_SIZE_AT + 4] = gso_size.to_bytes(4, "little")
        output = ctypes.create_string_buffer(_MAX_PACKET)
        run = _TestRun(
            sz=ctypes.sizeof(_TestRun), data_in=packet, data_size_in=len(packet), data_out=ctypes.addressof(output),
            data_size_out=_MAX_PACKET, ctx_in=bytes(context), ctx_size_in=_SK_BUFF, repeat=1,
        )  # fmt: skip
        result = library().bpf_prog_test_run_opts(self._programs[device], ctypes.byref(run))
        assert result == 0, errno.errorcode[-result]
        return run, output

    def send(self, packet: bytes, device: str = UNDERLAY) -> None:
        """Have `packet` come in by the NIC, or another device, for real."""
        self._ears[device].send(packet)

    def hear(self, device: str) -> bytes:
        """Return the next packet that went out by `device`; fails if none comes."""
        ear = self._ears[device]
        ear.settimeout(WAIT)
        return ear.recv(_MAX_PACKET)

    def forget_groups(self) -> None:
        """Have all groups flood, as they do at first."""
        groups = self.datapath.groups
        self.datapath.use_snooping(False)
        for selector in list(groups.receivers()):
            groups.remove_receivers(selector)
        for peer, selector in list(groups.branches()):
            groups.remove_branches(peer, selector)
        groups.read_snoops()

    @contextmanager
    def more_ports(self, count: int) -> Iterator[list[str]]:
        """Have that many more ports, at whose other ends nobody listens."""
        names = [f"more{number}" for number in range(count)]
        try:
            for name in names:
                _make_pair(name, f"{name}x")
                self.datapath.add_port(self.ifindex(name), flood=False)
            yield names
        finally:
            for name in names:
                self.datapath.remove_port(self.ifindex(name))
                _run(f"ip link delete {name}")

    @contextmanager
    def aged_branches(self) -> Iterator[None]:
        """Have every branch say that it was made for another edition of its tree."""
        found = self._map("branches")
        values = dict(found.items())
        for key, value in values.items():
            children, mark, flags = abi.BRANCH.packer.unpack(value)
            found.update(key, abi.BRANCH.packer.pack(children, mark ^ 1, flags))
        self.datapath.use_snooping(False)
        self.datapath.use_snooping(True)  # so that no decision of before is believed
        try:
            yield
        finally:
            for key, value in values.items():
                found.update(key, value)
            self.datapath.use_snooping(False)
            self.datapath.use_snooping(True)

    def _map(self, name: str) -> Map:
        """Open a pinned map a second time."""
        path = self._pins / abi.abi_hash() / name
        descriptor = int(library().bpf_obj_get(os.fsencode(path)))
        assert descriptor >= 0, path
        self._stack.callback(os.close, descriptor)
        return Map(name, descriptor, 1, abi.BRANCH_KEY.packer.size, abi.BRANCH.packer.size)  # BPF_MAP_TYPE_HASH

    def hush(self) -> None:
        """Forget what was heard so far, and every MAC learnt."""
        self.datapath.sweep(max_age=-1.0)
        for ear in self._ears.values():
            ear.settimeout(0)
            while True:
                try:
                    ear.recv(_MAX_PACKET)
                except BlockingIOError:
                    break


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True)


def _make_pair(device: str, far_end: str) -> None:
    _run(f"ip link add {device} type veth peer name {far_end}")
    for end in (device, far_end):
        _run(f"sysctl -qw net.ipv6.conf.{end}.disable_ipv6=1")
        _run(f"ip link set {end} up")


def _make_devices(containers: str) -> None:
    commands = ["ip link set lo up"]
    for device, far_end in FAR_ENDS.items():
        _make_pair(device, far_end)
    for end in CONTAINER_ENDS:
        commands.append(f"ip link set {end} netns {containers}")
        commands.append(f"nsenter --net=/run/netns/{containers} sysctl -qw net.ipv6.conf.{end}.disable_ipv6=1")
        commands.append(f"nsenter --net=/run/netns/{containers} ip link set {end} up")
    commands += [
        f"ip link set {UNDERLAY} address {NIC_MAC}",
        f"ip address add {OWN_IP}/24 dev {UNDERLAY}",
        f"ip neighbor add {PEER_IP} lladdr {PEER_MAC} dev {UNDERLAY} nud permanent",
        f"ip neighbor add {THIRD_IP} lladdr {THIRD_MAC} dev {UNDERLAY} nud permanent",
        f"ip link add {COMPANION} type vxlan external gbp nolearning dstport {VXLAN_PORT}",
        f"sysctl -qw net.ipv6.conf.{COMPANION}.disable_ipv6=1",
        f"ip link set {COMPANION} up",
    ]
    for command in commands:
        _run(command)
