"""`ripstop multicast top --by`: what ports and hosts send and get."""

import msgspec
import pytest

from ripstop.cli.main import main
from ripstop.cli.multicast_places import Place, Rate, by_place, show_places
from ripstop.cli.multicast_top import Rates
from tests.cli.fake_daemon import MEMBERS, MULTICAST, FakeDaemon

H1, H2, H3 = (f"00000000000000a{i}" for i in (1, 2, 3))
FEED = Rate("239.1.1.1", "10.32.0.5", "h1", H1, "c5", "eth0", 100.0, 8000.0, 300.0, 200.0, 0.0)
REMOTE = Rate("239.1.1.1", "10.32.0.6", "h3", H3, "", "", 10.0, 800.0, 20.0, 0.0, 0.0)
UNKNOWN = Rate("239.9.9.9", "10.32.0.5", "h1", H1, "c5", "eth0", 7.0, 70.0, 0.0, 0.0, 7.0)


def test_a_port_gets_what_it_wants_from_whom_it_wants() -> None:
    got = {
        place.container: (place.received, place.received_bits) for place in by_place((FEED, REMOTE), MEMBERS, "port")
    }
    assert got == {"c1": (110.0, 8800.0), "c2": (100.0, 8000.0), "r1": (110.0, 8800.0), "c5": (0.0, 0.0)}


def test_a_port_is_counted_with_what_it_sends() -> None:
    (place,) = by_place((FEED, REMOTE, UNKNOWN), (), "port")
    assert place == Place("h1", H1, "c5", "eth0", 107.0, 8070.0, 7.0)


def test_a_port_does_not_get_its_own_packets() -> None:
    members = (msgspec.structs.replace(MEMBERS[0], container="c5"),)
    assert [place.received for place in by_place((FEED,), members, "port")] == [0.0]


def test_a_host_gets_a_packet_once_and_none_of_its_own() -> None:
    places = {place.peer: place for place in by_place((FEED, REMOTE), MEMBERS, "host")}
    assert {peer: place.received for peer, place in places.items()} == {H1: 10.0, H2: 100.0, H3: 100.0}
    assert {peer: place.packets for peer, place in places.items()} == {H1: 100.0, H2: 0.0, H3: 10.0}


def test_a_router_gets_every_group_of_its_family_alone() -> None:
    six = Rate("ff15::9", "fd00::1", "h3", H3, "", "", 5.0, 50.0, 0.0, 0.0, 0.0)
    router = MEMBERS[-1]
    assert [place.received for place in by_place((UNKNOWN, six), (router,), "port") if place.container == "r1"] == [7.0]


def test_who_gets_most_comes_first_and_the_silent_are_left_out() -> None:
    assert [place.peer for place in by_place((FEED, REMOTE), MEMBERS, "host")] == [H3, H2, H1]
    assert by_place((), MEMBERS, "host") == []


def test_what_people_read(capsys: pytest.CaptureFixture[str]) -> None:
    show_places(by_place((FEED, UNKNOWN), MEMBERS[:2], "port"), "port", 1.0)
    assert capsys.readouterr().out == (
        "CONTAINER  INTERFACE  PACKETS/S  MBIT/S  DROPPED/S  RECEIVED/S  RECEIVED MBIT/S\n"
        "c1         eth0               0    0.00          0         100             0.01\n"
        "c2         eth0               0    0.00          0         100             0.01\n"
        "c5         eth0             107    0.01          7           0             0.00\n"
    )
    show_places((), "host", 1.0)
    assert capsys.readouterr().out == "no packets to groups within 1.0 s\n"


def test_the_command(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    asked = 0

    async def answer() -> object:
        nonlocal asked
        asked += 1
        feed = msgspec.structs.replace(MULTICAST.streams[0], packets=asked, bytes=1000 * asked)
        return msgspec.structs.replace(MULTICAST, streams=(feed,))

    fake.answers["multicast"] = answer
    top = ["--run-dir", str(fake.run_dir), "multicast", "top", "--seconds", "0.1", "--by"]
    assert main([*top, "host", "--json"]) == 0
    places = msgspec.json.decode(capsys.readouterr().out, type=Rates).places
    assert {place.host: place.received > 0 for place in places} == {"h1": False, "h2": True, "h3\x1b[2J": True}
    assert main([*top, "port"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["CONTAINER", "c1", "c2", "r1", "c5"]
