"""Ports that want groups in other ways than by reports: routers, static members, hosts; and ports that go."""

import contextlib
import socket
import struct
from collections.abc import Iterator

from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from ripstop.wire.ip import checksum
from tests.e2e.multicast.sockets import Member, inside, say
from tests.e2e.multicast.taps import goes_to
from tests.e2e.polling import eventually

_PIM = 103
_ALL_SYSTEMS, _ALL_PIM_ROUTERS = "224.0.0.1", "224.0.0.13"


def checked(body: bytes) -> bytes:
    """Fill in the checksum of an IGMP or PIM message."""
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def hello(seconds: int) -> bytes:
    """Return a PIM hello that holds for so long; RFC 7761, section 4.9.2."""
    return checked(struct.pack("!BBHHHH", 0x20, 0, 0, 1, 2, seconds))


def query(interval: int) -> bytes:
    """Return a general query whose sender asks again after so many seconds; RFC 3376, section 4.1."""
    return checked(struct.pack("!BBH4sBBH", 0x11, 1, 0, bytes(4), 2, interval, 0))


@contextlib.contextmanager
def exposed(host: Host) -> Iterator[str]:
    """Give a host an address on the overlay for the length of a `with` block."""
    (address,) = host.ripstop("expose").stdout.split()
    try:
        yield address.partition("/")[0]
    finally:
        host.ripstop("hide")


def test_a_router_that_says_hello_gets_every_group(lab: Lab, group: str, group6: str) -> None:
    router = lab.container("h3c1")
    try:
        say(router, _PIM, _ALL_PIM_ROUTERS, hello(60))
        goes_to(lab, "h1c1", group, {"h1>h2", "h2>h3", "h3c1"})
        goes_to(lab, "h1c1", group6, {"h1>h2", "h2>h3", "h3c1"})
        with Member(lab.container("h2c2"), group).join():
            goes_to(lab, "h1c1", group, {"h1>h2", "h2c2", "h2>h3", "h3c1"})
    finally:
        say(router, _PIM, _ALL_PIM_ROUTERS, hello(0))  # goodbye
    goes_to(lab, "h1c1", group, set())


def test_a_querier_gets_every_group_until_it_is_silent(lab: Lab, group: str) -> None:
    say(lab.container("h2c1"), socket.IPPROTO_IGMP, _ALL_SYSTEMS, query(1))
    goes_to(lab, "h1c1", group, {"h1>h2", "h2c1"}, each=10)
    goes_to(lab, "h1c1", group, set())


def test_routers_hear_the_reports_of_other_hosts_and_members_do_not(lab: Lab, group: str) -> None:
    router, bystander = lab.container("h1c1"), lab.container("h2c2")
    say(router, _PIM, _ALL_PIM_ROUTERS, hello(60))
    goes_to(lab, "h3c2", group, {"h3>h2", "h2>h1", "h1c1"})
    try:
        with contextlib.ExitStack() as stack:
            heard = []
            for node in (router, bystander):
                with inside(node):
                    tap = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP))
                    tap.setblocking(False)
                    stack.enter_context(Member(node, "224.0.0.22").join())  # where reports of version 3 go
                    heard.append(tap)
            stack.enter_context(Member(lab.container("h3c1"), group).join())
            packed = socket.inet_aton(group)
            eventually(lambda: any(packed in packet for packet in packets(heard[0])))
            goes_to(lab, "h2c1", group, {"h2>h1", "h1c1", "h2>h3", "h3c1"})
            assert not any(packed in packet for packet in packets(heard[1]))
    finally:
        say(router, _PIM, _ALL_PIM_ROUTERS, hello(0))


def packets(raw: socket.socket) -> list[bytes]:
    """Return what a raw socket has for us, our own host's words left out: it hears only what comes in."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(raw.recv(2048))
    return found


def test_a_static_member(lab: Lab, group: str) -> None:
    host, container = lab.host("h3"), lab.container("h3c1")
    where = (group, "--netns", str(container.netns_path))
    host.ripstop("multicast", "join", *where, "--source", lab.container("h1c1").address())
    goes_to(lab, "h1c1", group, {"h1>h2", "h2>h3", "h3c1"})
    goes_to(lab, "h1c2", group, set())
    host.ripstop("multicast", "join", *where)  # in place of it
    goes_to(lab, "h1c2", group, {"h1>h2", "h2>h3", "h3c1"})
    host.ripstop("multicast", "leave", *where)
    goes_to(lab, "h1c1", group, set())


def test_what_was_joined_for_a_container_does_not_end_by_its_own_leave(lab: Lab, group: str) -> None:
    host, container = lab.host("h2"), lab.container("h2c1")
    where = (group, "--netns", str(container.netns_path))
    host.ripstop("multicast", "join", *where)
    with Member(container, group).join() as member:
        goes_to(lab, "h1c1", group, {"h1>h2", "h2c1"})
        member.leave()
        goes_to(lab, "h1c1", group, {"h1>h2", "h2c1"})
        member.join()
        eventually(lambda: {m.why for m in host.client.call("multicast").members if m.group == group} >= {"report"})
        host.ripstop("multicast", "leave", *where)
        goes_to(lab, "h1c1", group, {"h1>h2", "h2c1"})
    goes_to(lab, "h1c1", group, set())


def test_what_was_joined_for_a_port_is_joined_again_when_its_guard_is_lifted(lab: Lab, group: str) -> None:
    host, container = lab.host("h2"), lab.container("h2c1")
    where = ("--netns", str(container.netns_path))
    ways = {"h1>h2", "h2c1"}
    try:
        host.ripstop("multicast", "join", group, *where)
        goes_to(lab, "h1c1", group, ways)
        host.ripstop("guard", *where, "--guard-only=multicast")
        goes_to(lab, "h1c1", group, set())
        host.restart_daemon()
        lab.wait()
        goes_to(lab, "h1c1", group, set())
        host.ripstop("guard", *where, "--off")
        goes_to(lab, "h1c1", group, ways)
        host.ripstop("guard", *where, "--guard-only=multicast")
        host.ripstop("multicast", "leave", group, *where)
    finally:
        host.ripstop("guard", *where, "--off")
    goes_to(lab, "h1c1", group, set())


def test_a_port_takes_its_memberships_with_it(lab: Lab, group: str) -> None:
    host, leaving = lab.host("h3"), lab.container("h3c2")
    host.ripstop("multicast", "join", group, "--netns", str(leaving.netns_path))
    with Member(leaving, group).join():
        goes_to(lab, "h1c1", group, {"h1>h2", "h2>h3", "h3c2"})
        host.detach(leaving)
        try:
            goes_to(lab, "h1c1", group, set())
        finally:
            host.attach(leaving)
            leaving.wait_until_valid()
    goes_to(lab, "h1c1", group, set())  # a new port begins with nothing
    host.restart_daemon()
    lab.wait()
    goes_to(lab, "h1c1", group, set())


def test_a_host_is_a_member_and_a_sender(lab: Lab, group: str) -> None:
    host = lab.host("h3")
    with exposed(host), Member(host, group, "ripstop0").join() as member:
        goes_to(lab, "h1c1", group, {"h1>h2", "h2>h3", "h3"})
        assert member.numbers()
        with Member(lab.container("h3c1"), group).join(), Member(lab.container("h1c1"), group).join():
            goes_to(lab, "h3", group, {"h3c1", "h3>h2", "h2>h1", "h1c1"})
            goes_to(lab, "h3c2", group, {"h3", "h3c1", "h3>h2", "h2>h1", "h1c1"})
    goes_to(lab, "h1c1", group, set())


def test_what_was_joined_for_a_host_is_joined_again_when_it_has_an_address_again(lab: Lab, group: str) -> None:
    host = lab.host("h3")
    with exposed(host):
        host.ripstop("multicast", "join", group, "--host")
        goes_to(lab, "h1c1", group, {"h1>h2", "h2>h3", "h3"})
    goes_to(lab, "h1c1", group, set())
    with exposed(host):
        goes_to(lab, "h1c1", group, {"h1>h2", "h2>h3", "h3"})
        host.ripstop("multicast", "leave", group, "--host")
        goes_to(lab, "h1c1", group, set())
