"""Streams while links are cut and daemons are killed, and what is remembered afterwards."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from ripstop.lab.lab import Lab
from ripstop.lab.traffic import feeding
from tests.e2e.conftest import lab_name
from tests.e2e.multicast.sockets import Member
from tests.e2e.multicast.taps import goes_to, spread
from tests.e2e.polling import eventually

RATE = 2000  # packets a second
STOPPED = 7.0  # seconds; what hosts said holds for 5 where they are asked every 2


@contextlib.contextmanager
def a_direct_link(lab: Lab, a: str, b: str) -> Iterator[None]:
    """Join two hosts that see each other over a third, for the length of a `with` block."""

    def states() -> dict[str, str]:
        return {peer.nickname: peer.state for peer in lab.host(a).client.call("peers")}

    lab.heal(a, b)
    try:
        eventually(lambda: states()[b] == "direct")
        yield
    finally:
        lab.cut(a, b)
        eventually(lambda: states()[b] == "relayed")


def test_each_next_hop_with_members_gets_one_copy_whatever_way_there_is(lab: Lab, group: str) -> None:
    sender, receiver = lab.container("h1c1"), lab.container("h3c1")
    with Member(receiver, group).join(), Member(lab.container("h2c1"), group) as second:
        goes_to(lab, "h1c1", group, {"h1>h2", "h2>h3", "h3c1"})
        with feeding(sender, [receiver], group, group=True, rate=RATE, seconds=100, idle=30) as feed:
            feed.wait_until_heard()
            with a_direct_link(lab, "h1", "h3"):
                goes_to(lab, "h1c1", group, {"h1>h3", "h3c1"})
                second.join()
                goes_to(lab, "h1c1", group, {"h1>h3", "h3c1", "h1>h2", "h2c1"})
                second.leave()
                goes_to(lab, "h1c1", group, {"h1>h3", "h3c1"})
            goes_to(lab, "h1c1", group, {"h1>h2", "h2>h3", "h3c1"})
            _, (received,) = feed.stop()
    assert received.duplicated == 0


def test_a_stream_goes_on_without_daemons_and_is_not_disturbed_by_their_return(lab: Lab, group: str) -> None:
    sender, receivers = lab.container("h1c1"), [lab.container("h2c1"), lab.container("h3c1")]
    with Member(receivers[0], group).join(), Member(receivers[1], group).join():
        goes_to(lab, "h1c1", group, {"h1>h2", "h2c1", "h2>h3", "h3c1"})
        with feeding(sender, receivers, group, group=True, rate=RATE, seconds=200, idle=30) as feed:
            feed.wait_until_heard()
            for host in lab.hosts:  # the sender's, the relay's, a receiver's
                host.kill_daemon()
                host.restart_daemon()
            lab.wait()
            sent, received = feed.stop()
    assert sent.refused == 0
    assert [(each.lost, each.duplicated) for each in received] == [(0, 0)] * 2


def test_memberships_outlive_all_daemons(lab: Lab, group: str) -> None:
    static = (group, "--netns", str(lab.container("h2c2").netns_path))
    source = lab.container("h1c1").address()
    members = {"h1>h2", "h2c1", "h2c2", "h2>h3", "h3c2"}
    lab.host("h2").ripstop("multicast", "join", *static)
    with (
        Member(lab.container("h2c1"), group).join(source),
        Member(lab.container("h3c2"), group).join(source),
    ):
        goes_to(lab, "h1c1", group, members)
        for host in lab.hosts:
            host.kill_daemon()
        assert spread(lab, "h1c1", group).keys() == members
        for host in lab.hosts:
            host.start_daemon()
        lab.wait()
        assert spread(lab, "h1c1", group).keys() == members
        assert spread(lab, "h1c2", group).keys() == {"h1>h2", "h2c2"}
    goes_to(lab, "h1c1", group, {"h1>h2", "h2c2"})  # the others have left
    lab.host("h2").ripstop("multicast", "leave", *static)
    goes_to(lab, "h1c1", group, set(), seconds=5)  # what the kernel had from before the restart is asked about


def test_daemons_that_get_no_processor_for_long_take_nothing_back(group: str) -> None:
    """As long as hosts would have been asked twice, had there been anybody to ask them."""
    with Lab(hosts=3, name=lab_name(), containers=2, topology="chain", flags=("--multicast-query-interval=2",)) as lab:
        sender, *receivers = lab.containers
        with feeding(sender, receivers, group, group=True, rate=RATE, seconds=100, idle=30) as feed:
            feed.wait_until_heard()
            pids = [pid for host in lab.hosts if (pid := host.daemon_pid())]
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(STOPPED)
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            for host in lab.hosts:
                host.wait()
            sent, received = feed.stop()
    assert [(each.sent, each.lost, each.duplicated) for each in received] == [(sent.sent, 0, 0)] * len(receivers)
