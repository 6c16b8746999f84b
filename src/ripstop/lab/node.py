"""One place in a lab where commands run: a host or a container."""

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path

import msgspec

from ripstop.api.types import Port
from ripstop.client import Client
from ripstop.lab import namespaces
from ripstop.lab.plan import LabError

TENTATIVE_TIMEOUT = 10.0  # seconds; duplicate address detection takes 1 to 2: RFC 4862, section 5.4
POLL = 0.05  # seconds between two looks
_RTT = re.compile(r"= [\d.]+/([\d.]+)/")  # of `ping -q`: rtt min/avg/max/mdev = 0.036/0.036/0.036/0.000 ms


@dataclass(frozen=True, slots=True)
class Node:
    """A network namespace with a short name."""

    name: str  # h1, h1c1
    netns: str

    @property
    def netns_path(self) -> Path:
        """The file that stands for its namespace."""
        return namespaces.path(self.netns)

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment of commands that run here."""
        return os.environ

    def command(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` here, for whoever starts it in a way of his own."""
        return namespaces.entering(self.netns, command)

    def run(
        self, command: Sequence[str], *, check: bool = True, timeout: float | None = 60.0
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command here to its end and return it with what it printed.

        Raises:
            LabError: it failed, unless `check` is False, or took more than `timeout` seconds.
        """
        try:
            done = subprocess.run(
                self.command(command),
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
                env=self.environment,
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name}: {' '.join(command)}: not done after {timeout:g} s") from None
        if check and done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise LabError(f"{self.name}: {' '.join(command)}: {said}")
        return done

    def start(self, command: Sequence[str]) -> "subprocess.Popen[str]":
        """Start a command here, its output in pipes; the caller waits for it, or leaves that to `lab down`."""
        return subprocess.Popen(
            self.command(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def ping(self, address: str, *, count: int = 1, seconds: float = 1.0) -> float | None:
        """Ping an address (IPv6 link-local ones with %INTERFACE); return the mean round trip in ms.

        None unless all of `count` answers come within `seconds`; they are sent at once, or 10 ms apart.
        """
        command = ["ping", "-n", "-q", "-c", str(count), "-i", "0.01", "-w", str(max(1, round(seconds))), address]
        done = self.run(command, check=False)
        found = _RTT.search(done.stdout)
        return float(found[1]) if done.returncode == 0 and found else None

    def interfaces(self, ifname: str = "eth0") -> list[IPv4Interface | IPv6Interface]:
        """Return the addresses of an interface, as the kernel has them now."""
        listed = msgspec.json.decode(
            self.run(["ip", "-json", "address", "show", "dev", ifname]).stdout, type=list[_Link]
        )
        return [ip_interface(f"{a.local}/{a.prefixlen}") for link in listed for a in link.addr_info]

    def address(self, ifname: str = "eth0") -> str:
        """Return the first IPv4 address of an interface."""
        for interface in self.interfaces(ifname):
            if interface.version == 4:
                return str(interface.ip)
        raise LabError(f"{self.name}: {ifname} has no IPv4 address")

    def link_local(self, ifname: str = "eth0") -> str:
        """Return the IPv6 link-local address of an interface, without %INTERFACE."""
        for interface in self.interfaces(ifname):
            if interface.version == 6 and interface.ip.is_link_local:
                return str(interface.ip)
        raise LabError(f"{self.name}: {ifname} has no IPv6 link-local address")

    def wait_until_valid(self, ifname: str = "eth0") -> None:
        """Wait until the IPv6 addresses of an interface may be used: until no duplicate has been found.

        Raises:
            LabError: that takes longer than it can.
        """
        deadline = time.monotonic() + TENTATIVE_TIMEOUT
        while self.run(["ip", "-6", "address", "show", "dev", ifname, "tentative"]).stdout:
            if time.monotonic() > deadline:
                raise LabError(f"{self.name}: {ifname} has a tentative address after {TENTATIVE_TIMEOUT:g} s")
            time.sleep(POLL)


class _Address(msgspec.Struct):
    local: str
    prefixlen: int


class _Link(msgspec.Struct):
    addr_info: list[_Address] = []


@dataclass(frozen=True, slots=True)
class Container(Node):
    """A pretend container: an empty namespace until its host's daemon attaches it."""

    host: str


def attached(run_dir: Path, container: Container) -> Port | None:
    """Return the port under which a host's daemon knows a container, if it does."""
    ports = Client(run_dir).call("ports")
    return next((port for port in ports if port.netns == str(container.netns_path)), None)
