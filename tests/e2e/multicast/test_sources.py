"""Packets of sources that a host does not want are not even sent to it."""

from ripstop.lab.lab import Lab
from tests.e2e.multicast.sockets import Member
from tests.e2e.multicast.taps import goes_to, spread


def address(lab: Lab, container: str, family: int = 4) -> str:
    node = lab.container(container)
    return node.address() if family == 4 else node.link_local()


def test_only_from_these(lab: Lab, group: str, group6: str) -> None:
    for family, wanted in ((4, group), (6, group6)):
        first, second = address(lab, "h1c1", family), address(lab, "h2c1", family)
        with Member(lab.container("h3c1"), wanted) as member:
            member.join(first)
            goes_to(lab, "h1c1", wanted, {"h1>h2", "h2>h3", "h3c1"})
            assert spread(lab, "h1c2", wanted) == spread(lab, "h2c1", wanted) == {}
            member.join(second)
            goes_to(lab, "h2c1", wanted, {"h2>h3", "h3c1"})
            member.leave(first)
            goes_to(lab, "h1c1", wanted, set())
            assert spread(lab, "h2c1", wanted).keys() == {"h2>h3", "h3c1"}


def test_all_but_these(lab: Lab, group: str, group6: str) -> None:
    for family, wanted in ((4, group), (6, group6)):
        source = address(lab, "h1c1", family)
        with Member(lab.container("h3c1"), wanted).join() as member:
            goes_to(lab, "h1c1", wanted, {"h1>h2", "h2>h3", "h3c1"})
            member.block(source)
            goes_to(lab, "h1c1", wanted, set())
            assert spread(lab, "h1c2", wanted).keys() == {"h1>h2", "h2>h3", "h3c1"}
            member.unblock(source)
            goes_to(lab, "h1c1", wanted, {"h1>h2", "h2>h3", "h3c1"})


def test_each_host_gets_what_it_wants(lab: Lab, group: str) -> None:
    one, other = address(lab, "h1c1"), address(lab, "h1c2")
    with (
        Member(lab.container("h2c1"), group).join(one),
        Member(lab.container("h2c2"), group).join().block(one),
        Member(lab.container("h3c1"), group).join(other),
        Member(lab.container("h3c2"), group).join().block(other),
    ):
        goes_to(lab, "h1c1", group, {"h1>h2", "h2c1", "h2>h3", "h3c2"})
        goes_to(lab, "h1c2", group, {"h1>h2", "h2c2", "h2>h3", "h3c1"})
        goes_to(lab, "h3c1", group, {"h3c2", "h3>h2", "h2c2"})


def test_the_older_calls(lab: Lab, group: str) -> None:
    with Member(lab.container("h2c1"), group) as picky, Member(lab.container("h3c1"), group) as greedy:
        picky.join_the_old_way(address(lab, "h1c1"))
        greedy.join_the_old_way()
        goes_to(lab, "h1c1", group, {"h1>h2", "h2c1", "h2>h3", "h3c1"})
        goes_to(lab, "h1c2", group, {"h1>h2", "h2>h3", "h3c1"})
