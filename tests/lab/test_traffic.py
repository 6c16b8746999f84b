"""The traffic generators, between bare hosts of a lab."""

from collections.abc import Iterator

import pytest

from ripstop.lab import traffic
from ripstop.lab.lab import Lab
from ripstop.lab.plan import LabError

GROUP = "239.192.9.9"


@pytest.fixture
def lab(name: str) -> Iterator[Lab]:
    with Lab(3, name=name, daemons=False) as made:
        yield made


def test_a_feed_is_counted_at_both_ends(lab: Lab) -> None:
    with traffic.feeding(lab.host("h1"), [lab.host("h2")], "192.0.2.2", rate=5000.0, count=1000) as feed:
        sent, [got] = feed.finish()
    assert sent.sent == got.sent == got.received == 1000
    assert (got.lost, got.duplicated, got.reordered, got.foreign) == (0, 0, 0, 0)


def test_a_group_is_heard_by_all_that_joined(lab: Lab) -> None:
    others = [lab.host("h2"), lab.host("h3")]
    with traffic.feeding(lab.host("h1"), others, GROUP, group=True, rate=5000.0, count=500) as feed:
        _, received = feed.finish()
    assert [got.received for got in received] == [500, 500]


def test_an_ipv6_group_is_heard(lab: Lab) -> None:
    lab.host("h1").wait_until_valid()
    with traffic.feeding(lab.host("h1"), [lab.host("h2")], "ff15::77", group=True, rate=1000.0, count=100) as feed:
        _, [got] = feed.finish()
    assert got.received == 100


def test_groups_get_packets_in_turn(lab: Lab) -> None:
    with traffic.feeding(lab.host("h1"), [lab.host("h2")], GROUP, group=True, rate=5000.0, count=500, groups=7) as feed:
        sent, [got] = feed.finish()
    assert sent.sent == got.received == 500
    assert (got.lost, got.foreign) == (0, 0)


def test_segments_are_numbered_one_by_one(lab: Lab) -> None:
    with traffic.feeding(lab.host("h1"), [lab.host("h2")], "192.0.2.2", count=400, segments=40) as feed:
        sent, [got] = feed.finish()
    assert sent.sent == got.received == 400
    assert (got.lost, got.duplicated) == (0, 0)


def test_receivers_that_look_now_and_then_miss_nothing(lab: Lab) -> None:
    with traffic.feeding(lab.host("h1"), [lab.host("h2")], "192.0.2.2", rate=20_000.0, count=5000, every=200) as feed:
        sent, [got] = feed.finish()
    assert sent.sent == got.received == 5000
    assert got.overflow == got.lost == 0


def test_segments_may_be_sent_for_a_time(lab: Lab) -> None:
    with traffic.feeding(
        lab.host("h1"), [lab.host("h2")], "192.0.2.2", seconds=0.2, rate=50_000.0, segments=40
    ) as feed:
        sent, [got] = feed.finish()
    assert sent.sent == got.received > 0


def test_a_cut_shows_as_loss_and_as_a_gap(lab: Lab) -> None:
    with traffic.feeding(lab.host("h1"), [lab.host("h2")], "192.0.2.2", size=100, rate=1000.0, seconds=30.0) as feed:
        feed.wait_until_heard()
        lab.cut("h1", "h2")
        lab.heal("h1", "h2")
        assert lab.host("h1").ping("192.0.2.2") is not None
        _, [got] = feed.stop()
    assert got.lost > 0
    assert got.max_gap_ms > 1


def test_silence_is_an_error_that_names_the_receiver(lab: Lab) -> None:
    lab.cut("h1", "h2")
    with (
        pytest.raises(LabError, match="h2 gets nothing from h1"),
        traffic.feeding(lab.host("h1"), [lab.host("h2")], "192.0.2.2", rate=100.0, seconds=30.0, wait=0.5) as feed,
    ):
        feed.wait_until_heard()


@pytest.mark.parametrize("protocol", ["icmp", "udp", "tcp"])
def test_round_trips_are_ordered_by_percentile(lab: Lab, protocol: str) -> None:
    got = traffic.round_trips(lab.host("h1"), lab.host("h2"), "192.0.2.2", protocol, seconds=0.1, cpu=0)
    assert got.round_trips > 10
    assert 0 < got.p50_us <= got.p99_us <= got.p999_us


def test_tcp_arrives(lab: Lab) -> None:
    assert traffic.iperf(lab.host("h1"), lab.host("h2"), "192.0.2.2", volume="4M") > 0


def test_no_server_is_an_error(lab: Lab) -> None:
    with pytest.raises(LabError, match="unable to connect"):
        traffic.iperf(lab.host("h1"), lab.host("h2"), "192.0.2.2", volume="4M", server=False)
