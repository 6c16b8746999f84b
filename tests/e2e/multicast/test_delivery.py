"""Packets go to those who joined and to nobody else: counted at every container and on every host's wire."""

from ripstop.lab.lab import Lab
from tests.e2e.multicast.sockets import Member, numbered
from tests.e2e.multicast.taps import COUNT, goes_to, spread


def test_members_get_each_packet_once_and_others_none(lab: Lab, group: str) -> None:
    with Member(lab.container("h2c1"), group) as second, Member(lab.container("h3c2"), group) as third:
        second.join()
        goes_to(lab, "h1c1", group, {"h1>h2", "h2c1"})
        third.join()
        goes_to(lab, "h1c1", group, {"h1>h2", "h2c1", "h2>h3", "h3c2"})
        assert second.numbers() and third.numbers()
        spread(lab, "h1c1", group)
        assert second.numbers() == third.numbers() == list(range(COUNT))


def test_a_relay_without_members_passes_on_only(lab: Lab, group: str) -> None:
    with Member(lab.container("h3c1"), group).join():
        goes_to(lab, "h1c1", group, {"h1>h2", "h2>h3", "h3c1"})
        goes_to(lab, "h2c1", group, {"h2>h3", "h3c1"})


def test_members_on_the_senders_own_host(lab: Lab, group: str) -> None:
    with Member(lab.container("h1c2"), group).join() as own:
        goes_to(lab, "h1c1", group, {"h1c2"})
        own.numbers()
        spread(lab, "h1c1", group)
        assert own.numbers() == list(range(COUNT))


def test_a_sender_that_is_a_member_does_not_hear_itself_from_the_wire(lab: Lab, group: str) -> None:
    with Member(lab.container("h1c1"), group).join() as own, Member(lab.container("h2c1"), group).join():
        goes_to(lab, "h1c1", group, {"h1>h2", "h2c1"})
        own.numbers()
        spread(lab, "h1c1", group)
        assert own.numbers() == list(range(COUNT))  # by its own kernel
        goes_to(lab, "h3c1", group, {"h3>h2", "h2c1", "h2>h1", "h1c1"})


def test_groups_that_nobody_joined_end_at_the_source_and_are_counted(lab: Lab, group: str) -> None:
    def dropped() -> int:
        return {drop.reason: drop.count for drop in lab.host("h1").status().drops}.get("no_member", 0)

    before = dropped()
    assert spread(lab, "h1c1", group) == {}
    assert dropped() - before == COUNT
    with Member(lab.container("h1c1"), group).join():  # who alone wants it is the sender
        goes_to(lab, "h1c1", group, set())


def test_ipv6_groups(lab: Lab, group6: str) -> None:
    with Member(lab.container("h3c1"), group6).join() as member:
        goes_to(lab, "h1c1", group6, {"h1>h2", "h2>h3", "h3c1"})
        member.numbers()
        spread(lab, "h1c1", group6)
        assert member.numbers() == list(range(COUNT))


def test_link_local_groups_go_to_everyone(lab: Lab) -> None:
    everyone = {"h1c2", "h1>h2", "h2c1", "h2c2", "h2>h3", "h3c1", "h3c2"}
    for group in ("224.0.0.251", "ff02::fb"):
        assert spread(lab, "h1c1", group) == dict.fromkeys(everyone, COUNT)


def test_fragments_go_where_the_first_goes(lab: Lab, group: str, group6: str) -> None:
    for each in (group, group6):
        with Member(lab.container("h3c1"), each).join() as member:
            goes_to(lab, "h1c1", each, {"h1>h2", "h2>h3", "h3c1"})
            member.numbers()
            seen = spread(lab, "h1c1", each, numbered(20, 8000))
            assert seen == dict.fromkeys(("h1>h2", "h2>h3", "h3c1"), 20 * 6)  # of 8000 bytes at 1450
            assert member.numbers() == list(range(20))


def test_what_the_kernel_segments_late(lab: Lab, group: str, group6: str) -> None:
    for each in (group, group6):
        with Member(lab.container("h2c1"), each).join() as near, Member(lab.container("h3c1"), each).join() as far:
            goes_to(lab, "h1c1", each, {"h1>h2", "h2c1", "h2>h3", "h3c1"})
            near.numbers(), far.numbers()
            batches = [b"".join(numbered(20, 1300, 20 * batch)) for batch in range(10)]
            assert spread(lab, "h1c1", each, batches, segment=1300).keys() == {"h1>h2", "h2c1", "h2>h3", "h3c1"}
            assert near.numbers() == far.numbers() == list(range(200))
