"""`ripstop multicast`: what is asked of the daemon, and what people and programs read."""

from collections.abc import Sequence

import msgspec
import pytest

from ripstop.api.types import (
    GroupRequest,
    MulticastMember,
    MulticastStatus,
    MulticastStream,
    MulticastTrace,
    TraceHop,
    TraceRequest,
)
from ripstop.cli.main import main
from ripstop.core.errors import NotFoundError
from tests.cli.fake_daemon import MEMBERS, MULTICAST, STREAMS, TRACE, FakeDaemon


def said(fake: FakeDaemon, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what `ripstop multicast` prints."""
    assert main(["--run-dir", str(fake.run_dir), "multicast", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize(
    ("words", "call", "request_"),
    [
        (["groups"], "multicast", None),
        (["members"], "multicast", None),
        (["sources"], "multicast", None),
        (["trace", "10.32.0.5", "239.1.1.1"], "trace", TraceRequest("239.1.1.1", "10.32.0.5")),
        (["trace", "2001:DB8::0:5", "FF15::0:7", "--host", "h1"], "trace",
         TraceRequest("ff15::7", "2001:db8::5", "h1")),
        (["join", "239.1.1.1", "--netns", "c1"], "join", GroupRequest("239.1.1.1", netns="/run/netns/c1")),
        (["join", "--pid", "42", "239.1.1.1", "--ifname", "ethwe"], "join",
         GroupRequest("239.1.1.1", netns="/proc/42/ns/net", ifname="ethwe")),
        (["join", "239.1.1.1", "--id", "web", "--source", "10.32.0.5", "--source", "10.32.0.6"], "join",
         GroupRequest("239.1.1.1", ("10.32.0.5", "10.32.0.6"), container="web")),
        (["join", "ff15::0:7", "--host", "--source", "2001:DB8::5", "--exclude"], "join",
         GroupRequest("ff15::7", ("2001:db8::5",), True, container="host", ifname="ripstop0")),
        (["leave", "239.1.1.1", "--netns", "c1"], "leave", GroupRequest("239.1.1.1", netns="/run/netns/c1")),
        (["leave", "239.1.1.1", "--host", "--ifname", "ripstop0"], "leave",
         GroupRequest("239.1.1.1", container="host", ifname="ripstop0")),
    ],
)  # fmt: skip
def test_what_is_asked(fake: FakeDaemon, words: Sequence[str], call: str, request_: msgspec.Struct | None) -> None:
    assert main(["--run-dir", str(fake.run_dir), "multicast", *words]) == 0
    assert fake.asked == [(call, request_)]


def test_groups_at_a_glance(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(fake, capsys, "groups") == (
        "snooping  on; groups that nobody joined are dropped\n"
        "known     4 in the mesh, counted once for each host\n"
        "routers   r1 eth0\n"
        "refused   1,234 malformed from c2 eth0\n"
        "\n"
        "GROUP      HERE  HOSTS  SOURCES  PACKETS  DELIVERED   SENT  DROPPED\n"
        "232.1.1.9     0      1        0        0          0      0        0\n"
        "239.1.1.1     2      2        2    1,070      2,140  2,000        0\n"
        "239.9.9.9     0      0        1    1,500          0      0    1,500\n"
        "ff15::7       1      0        0        0          0      0        0\n"
    )


def test_groups_of_a_host_without_any(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answers["multicast"] = msgspec.structs.replace(
        MULTICAST, unknown="flood", members=(), streams=(), refusals=(), groups=0
    )
    assert said(fake, capsys, "groups") == (
        "snooping  on; groups that nobody joined go to everyone\n"
        "known     0 in the mesh, counted once for each host\n"
        "routers   none\n"
        "refused   nothing\n"
        "\n"
        "no group is wanted or sent to\n"
    )
    assert said(fake, capsys, "members") == "no members\n"
    assert said(fake, capsys, "sources") == "no sources seen\n"
    assert said(fake, capsys, "top", "--seconds", "0.1").startswith("no packets to groups within 0.")


def test_groups_without_snooping(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answers["multicast"] = msgspec.structs.replace(MULTICAST, snooping=False)
    assert said(fake, capsys, "groups").startswith("snooping  off: every group goes to everyone\n")


def test_a_router_is_named_once(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    router = MEMBERS[-1]
    both = (router, msgspec.structs.replace(router, group="::"))
    elsewhere = msgspec.structs.replace(router, host="h3\x1b[2J", container="", ifname="")
    fake.answers["multicast"] = msgspec.structs.replace(MULTICAST, members=(*both, elsewhere))
    assert "\nrouters   r1 eth0, h3\ufffd[2J\n" in said(fake, capsys, "groups")


def test_members(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(fake, capsys, "members") == (
        "GROUP      HOST    CONTAINER  INTERFACE  FROM               WHY     REPORTERS\n"
        "every      h1      r1         eth0       all                router  10.32.0.254\n"
        "232.1.1.9  h2      -          -          10.32.0.5          peer    -\n"
        "239.1.1.1  h1      c1         eth0       all                report  10.32.0.2\n"
        "239.1.1.1  h1      c2         eth0       10.32.0.5          static  -\n"
        "239.1.1.1  h2      -          -          all but 10.32.0.6  peer    -\n"
        "239.1.1.1  h3\ufffd[2J  -          -          all                peer    -\n"
        "ff15::7    h1      host       ripstop0   all                report  fe80::1\n"
    )


def test_members_of_one_group_are_routers_of_its_family_too(
    fake: FakeDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(fake, capsys, "members", "239.1.1.1").splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["every", *["239.1.1.1"] * 4]
    lines = said(fake, capsys, "members", "FF15::0:7").splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["ff15::7"]
    assert said(fake, capsys, "members", "ff15::8") == "no members\n"


def test_a_long_list_of_sources_is_cut_for_people(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    sources = tuple(f"10.32.0.{i}" for i in range(1, 65))
    many = msgspec.structs.replace(MEMBERS[1], sources=sources)
    fake.answers["join"] = [many]
    join = ["join", "239.1.1.1", "--netns", "c2"]
    assert "10.32.0.1, 10.32.0.2, 10.32.0.3, 10.32.0.4 and 60 more  static" in said(fake, capsys, *join)
    assert msgspec.json.decode(said(fake, capsys, *join, "--json"))[0]["sources"] == list(sources)


def test_sources(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(fake, capsys, "sources") == (
        "GROUP      SOURCE     HOST    CONTAINER  PACKETS      BYTES  DELIVERED   SENT  DROPPED            LAST\n"
        "239.1.1.1  10.32.0.5  h1      c5           1,000  1,342,000      2,000  2,000        0       0.0 s ago\n"
        "239.1.1.1  10.48.0.9  h3\ufffd[2J  -               70      7,000        140      0        0  1 min 15 s ago\n"
        "239.9.9.9  10.32.0.5  h1      c5           1,500    150,000          0      0    1,500       3.0 s ago\n"
    )
    assert said(fake, capsys, "sources", "239.9.9.9").splitlines()[1].startswith("239.9.9.9  10.32.0.5  h1")
    assert said(fake, capsys, "sources", "239.9.9.8") == "no sources seen\n"


def test_json_holds_what_was_asked_for(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    def decoded(type_: object, *words: str) -> object:
        return msgspec.json.decode(said(fake, capsys, *words, "--json"), type=type_)

    members, streams = list[MulticastMember], list[MulticastStream]
    assert decoded(MulticastStatus, "groups") == MULTICAST
    assert decoded(members, "members") == list(MEMBERS)
    assert decoded(members, "members", "232.1.1.9") == [MEMBERS[4], MEMBERS[-1]]
    assert decoded(streams, "sources", "239.9.9.9") == [STREAMS[2]]
    assert decoded(MulticastTrace, "trace", "10.32.0.5", "239.1.1.1") == TRACE


def test_a_tree_is_drawn(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(fake, capsys, "trace", "10.32.0.5", "239.1.1.1") == (
        "h1 (root, source 10.32.0.5)  member: c1 eth0, c2 eth0\n"
        "  └ h2  relays\n"
        "     └ h3\ufffd[2J  member\n"
        "  └ h4  member\n"
    )


@pytest.mark.parametrize(
    ("hops", "drawn"),
    [
        ((), "h1 (root, source 10.32.0.5)  for nobody\n"),
        ((TraceHop("h1", "a1", "", 0, False, ()),), "h1 (root, source 10.32.0.5)  for nobody\n"),
        (
            (TraceHop("h1", "a1", "", 0, False, ()), TraceHop("h2", "a2", "h1", 1, True, ("c1 eth0",)),
             TraceHop("h3", "a3", "h2", 2, False, ())),
            "h1 (root, source 10.32.0.5)\n  └ h2  member: c1 eth0, relays\n     └ h3  for nobody\n",
        ),
    ],
)  # fmt: skip
def test_trees_of_other_shapes(
    fake: FakeDaemon, capsys: pytest.CaptureFixture[str], hops: tuple[TraceHop, ...], drawn: str
) -> None:
    fake.answers["trace"] = MulticastTrace("239.1.1.1", "10.32.0.5", "h1", hops)
    assert said(fake, capsys, "trace", "10.32.0.5", "239.1.1.1") == drawn


def test_what_is_left_behind_the_port(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(fake, capsys, "leave", "239.1.1.1", "--netns", "c2") == "no members\n"
    fake.answers["leave"] = [MEMBERS[0]]
    assert said(fake, capsys, "leave", "239.1.1.1", "--netns", "c1").splitlines()[1].split()[-2:] == [
        "report", "10.32.0.2",
    ]  # fmt: skip


def test_the_daemons_no_is_passed_on(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answers["leave"] = NotFoundError("c1 eth0 has not joined group 239.1.1.1")
    assert main(["--run-dir", str(fake.run_dir), "multicast", "leave", "239.1.1.1", "--netns", "c1"]) == 1
    assert capsys.readouterr() == ("", "ripstop: c1 eth0 has not joined group 239.1.1.1\n")
