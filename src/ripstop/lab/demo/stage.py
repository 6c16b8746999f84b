"""What every scene of the demo works with: the lab, its containers with their addresses, and what was found out."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Interface

import msgspec

from ripstop.lab.demo.outcome import Outcome
from ripstop.lab.lab import Lab
from ripstop.lab.node import Container


@dataclass(frozen=True, slots=True)
class Guest:
    """A container and how others reach it."""

    node: Container
    address: str
    link_local: str
    mac: str
    broadcast: str

    @property
    def name(self) -> str:
        """Its name in the lab."""
        return self.node.name


@dataclass(frozen=True, slots=True)
class Stage:
    """The lab while the demo plays."""

    lab: Lab
    guests: tuple[Guest, ...]
    outcome: Outcome
    say: Callable[[str], None]

    def guest(self, name: str) -> Guest:
        """Return one container."""
        return next(guest for guest in self.guests if guest.name == name)

    def path(self, a: Guest, b: Guest) -> str:
        """Return how frames go from one to the other: `same host`, `direct`, or `via h2`."""
        if a.node.host == b.node.host:
            return "same host"
        routes = self.lab.host(a.node.host).client.call("routes")
        via = next((route.via for route in routes if route.nickname == b.node.host), None)
        if via is None:
            return "no route"
        return "direct" if via == b.node.host else f"via {via}"


def guests(lab: Lab) -> tuple[Guest, ...]:
    """Return every container, once its IPv6 address may be used."""
    return tuple(_guest(container) for container in lab.containers)


class _Link(msgspec.Struct):
    address: str


def _guest(container: Container) -> Guest:
    container.wait_until_valid()
    link = msgspec.json.decode(container.run(["ip", "-json", "link", "show", "eth0"]).stdout, type=list[_Link])[0]
    network = next(i.network for i in container.interfaces() if isinstance(i, IPv4Interface))
    return Guest(
        node=container,
        address=container.address(),
        link_local=container.link_local(),
        mac=link.address,
        broadcast=str(network.broadcast_address),
    )
