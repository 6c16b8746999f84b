"""`ripstop multicast top`: rates from two looks, and how often they are printed."""

import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from ripstop.api.types import MulticastStatus
from ripstop.cli.main import main
from ripstop.cli.multicast_top import Rates, rates, show_rates
from tests.cli.fake_daemon import MULTICAST, STREAMS, FakeDaemon

FEED, OTHER, UNKNOWN = STREAMS


def counting() -> Callable[[], Awaitable[MulticastStatus]]:
    """Return what answers with one more packet of the feed each time it is asked."""
    asked = 0

    async def answer() -> MulticastStatus:
        nonlocal asked
        asked += 1
        feed = msgspec.structs.replace(FEED, packets=asked, bytes=1000 * asked, delivered=2 * asked)
        return msgspec.structs.replace(MULTICAST, streams=(feed, OTHER))

    return answer


def test_rates_are_per_second_and_the_fastest_comes_first() -> None:
    feed = msgspec.structs.replace(FEED, packets=1200, bytes=1_592_000, delivered=2400, sent=2200)
    unknown = msgspec.structs.replace(UNKNOWN, packets=3500, bytes=350_000, dropped=3500)
    found = rates(STREAMS, (feed, OTHER, unknown), 2.0)
    assert (found.seconds, found.silent) == (2.0, 1)
    assert [(rate.group, rate.packets, rate.bits, rate.delivered, rate.sent, rate.dropped) for rate in found.rates] == [
        ("239.9.9.9", 1000.0, 800_000.0, 0.0, 0.0, 1000.0),
        ("239.1.1.1", 100.0, 1_000_000.0, 200.0, 100.0, 0.0),
    ]


def test_streams_that_are_new_or_were_forgotten_count_from_zero() -> None:
    reborn = msgspec.structs.replace(FEED, packets=10, bytes=100, delivered=20, sent=5)
    found = rates((FEED,), (reborn, UNKNOWN), 1.0)
    assert [(rate.packets, rate.delivered, rate.sent) for rate in found.rates] == [
        (1500.0, 0.0, 0.0),
        (10.0, 20.0, 5.0),
    ]
    assert rates((FEED,), (), 1.0) == Rates(1.0, 0, [])


def test_what_people_read(capsys: pytest.CaptureFixture[str]) -> None:
    show_rates(rates((), STREAMS, 1.0))
    assert capsys.readouterr().out == (
        "GROUP      SOURCE     HOST    CONTAINER  PACKETS/S  MBIT/S  DELIVERED/S  SENT/S  DROPPED/S\n"
        "239.9.9.9  10.32.0.5  h1      c5             1,500    1.20            0       0      1,500\n"
        "239.1.1.1  10.32.0.5  h1      c5             1,000   10.74        2,000   2,000          0\n"
        "239.1.1.1  10.48.0.9  h3\ufffd[2J  -                 70    0.06          140       0          0\n"
        "all        -          -       -              2,570   11.99        2,140   2,000      1,500\n"
    )


def test_one_source_needs_no_sum(capsys: pytest.CaptureFixture[str]) -> None:
    show_rates(rates((OTHER, UNKNOWN), STREAMS, 1.0))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["GROUP", "239.1.1.1", "2"]
    assert lines[-1] == "2 sources silent"


def test_each_look_is_compared_with_the_one_before(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answers["multicast"] = counting()
    top = ["--run-dir", str(fake.run_dir), "multicast", "top", "--seconds", "0.1", "--count", "2"]
    assert main([*top, "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [msgspec.json.decode(line, type=Rates) for line in lines]
    assert len(fake.asked) == 3
    for one in found:
        assert one.seconds >= 0.1
        assert one.silent == 1
        assert [round(rate.packets * one.seconds, 6) for rate in one.rates] == [1.0]
    assert main(top) == 0
    assert capsys.readouterr().out.count("\n\nGROUP ") == 1


def test_without_end_each_table_is_seen_at_once(fake: FakeDaemon) -> None:
    fake.answers["multicast"] = counting()
    words = ["--run-dir", str(fake.run_dir), "multicast", "top", "--seconds", "0.1", "--count", "0", "--json"]
    command = [sys.executable, "-m", "ripstop.cli.main", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(2)]
        child.send_signal(signal.SIGINT)
        _, err = child.communicate()
    assert all(msgspec.json.decode(line, type=Rates).rates for line in lines)
    assert (child.returncode, err) == (130, b"")
