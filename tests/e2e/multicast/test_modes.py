"""Other ways to run the daemon, and another underlay."""

from collections.abc import Iterator

import pytest

from ripstop.lab.lab import Lab
from tests.e2e.conftest import lab_name
from tests.e2e.multicast.sockets import Member, numbered
from tests.e2e.multicast.taps import COUNT, goes_to, spread
from tests.e2e.multicast.test_versions import speaking
from tests.e2e.polling import eventually

FLAGS = ("--multicast-unknown=flood", "--multicast-query-interval=2")
EVERYONE = {"h1c2", "h1>h2", "h2c1", "h2c2"}


@pytest.fixture(scope="module")
def flooding() -> Iterator[Lab]:
    """Two hosts on a jumbo underlay, groups that nobody joined going to everyone."""
    with Lab(hosts=2, name=lab_name(), containers=2, mtu=9000, flags=FLAGS) as lab:
        eventually(lambda: all(host.status().mtu == 8950 for host in lab.hosts))
        for container in lab.containers:
            container.wait_until_valid()
        yield lab


def test_unknown_groups_may_go_to_everyone(flooding: Lab, group: str, group6: str) -> None:
    for each in (group, group6):
        assert spread(flooding, "h1c1", each) == dict.fromkeys(EVERYONE, COUNT)
        with Member(flooding.container("h2c2"), each).join():
            goes_to(flooding, "h1c1", each, {"h1>h2", "h2c2"})
            goes_to(flooding, "h2c1", each, {"h2c2"})
        goes_to(flooding, "h1c1", each, EVERYONE)


def test_jumbo_frames_are_not_cut(flooding: Lab, group: str, group6: str) -> None:
    for each in (group, group6):
        with Member(flooding.container("h2c2"), each).join() as member:
            goes_to(flooding, "h1c1", each, {"h1>h2", "h2c2"})
            member.numbers()
            assert spread(flooding, "h1c1", each, numbered(COUNT, 8000)) == {"h1>h2": COUNT, "h2c2": COUNT}
            assert member.numbers() == list(range(COUNT))


def test_hosts_of_igmp_v1_say_no_goodbye_and_are_forgotten(flooding: Lab, group: str) -> None:
    leaving = flooding.container("h2c1")
    with speaking(leaving, 4, 1), Member(flooding.container("h2c2"), group).join():
        with Member(leaving, group).join():
            goes_to(flooding, "h1c1", group, {"h1>h2", "h2c1", "h2c2"})
        assert spread(flooding, "h1c1", group).keys() == {"h1>h2", "h2c1", "h2c2"}
        goes_to(flooding, "h1c1", group, {"h1>h2", "h2c2"}, seconds=20)  # 2 * 2 s, and 10 s to answer


def test_who_leaves_while_no_daemon_listens_is_found_out(flooding: Lab, group: str) -> None:
    host = flooding.host("h2")
    with Member(flooding.container("h2c1"), group).join(), Member(flooding.container("h2c2"), group).join() as leaving:
        goes_to(flooding, "h1c1", group, {"h1>h2", "h2c1", "h2c2"})
        host.kill_daemon()
        leaving.leave()
        host.restart_daemon(FLAGS)
        assert spread(flooding, "h1c1", group).keys() >= {"h1>h2", "h2c1"}
        goes_to(flooding, "h1c1", group, {"h1>h2", "h2c1"})  # a membership lasts for 2 * 2 s, and 1 s to answer


def test_without_snooping_every_group_goes_to_everyone(flooding: Lab, group: str) -> None:
    first, second = flooding.hosts
    first.restart_daemon()
    second.restart_daemon(["--multicast=flood"])
    flooding.wait()
    goes_to(flooding, "h1c1", group, {"h1>h2", "h2c1", "h2c2"})  # whoever snoops knows who does not
    goes_to(flooding, "h2c1", group, {"h2c2", "h2>h1"})
    first.restart_daemon(["--multicast=flood"])
    flooding.wait()
    with Member(flooding.container("h2c2"), group).join():
        goes_to(flooding, "h1c1", group, EVERYONE)
        status = first.client.call("multicast")
        assert not status.snooping and {member.why for member in status.members} <= {"router"}
    for host in flooding.hosts:
        host.restart_daemon()
    flooding.wait()
    goes_to(flooding, "h1c1", group, set())
