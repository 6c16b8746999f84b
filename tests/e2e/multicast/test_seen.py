"""What `ripstop multicast` shows is what is."""

import json
from typing import Any

from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from ripstop.lab.traffic import feeding
from tests.e2e.multicast.sockets import Member
from tests.e2e.multicast.taps import COUNT, goes_to, spread
from tests.e2e.polling import eventually


def told(host: Host, *words: str) -> Any:
    return json.loads(host.ripstop("multicast", *words, "--json").stdout)


def lines(host: Host, *words: str) -> list[list[str]]:
    return [line.split() for line in host.ripstop("multicast", *words).stdout.splitlines()]


def test_members(lab: Lab, group: str) -> None:
    source = lab.container("h1c1").address()
    receiver = lab.container("h3c1")
    with Member(receiver, group).join(source), Member(lab.container("h2c1"), group).join().block(source):
        goes_to(lab, "h1c1", group, {"h1>h2", "h2>h3", "h3c1"})
        there, here = ({row["host"]: row for row in told(lab.host(name), "members", group)} for name in ("h1", "h3"))
        assert there.keys() == {"h2", "h3"}
        assert (there["h3"]["mode"], there["h3"]["sources"], there["h3"]["why"]) == ("include", [source], "peer")
        assert (there["h2"]["mode"], there["h2"]["sources"]) == ("exclude", [source])
        own = here["h3"]
        assert (own["why"], own["ifname"], own["reporters"]) == ("report", "eth0", [receiver.address()])
        assert own["container"] in {
            row["container"] for row in json.loads(lab.host("h3").ripstop("ps", "--json").stdout)
        }
        heading, *rows = lines(lab.host("h3"), "members", group)
        assert heading[0] == "GROUP" and len(rows) == 2 and all(row[0] == group for row in rows)
        assert any(row[1] == "h3" and source in row for row in rows)
    eventually(lambda: told(lab.host("h1"), "members", group) == [])
    assert lines(lab.host("h1"), "members", group) == [["no", "members"]]


def test_groups_and_sources_count_what_went_where(lab: Lab, group: str) -> None:
    source = lab.container("h1c1").address()
    with Member(lab.container("h1c2"), group).join(), Member(lab.container("h3c1"), group).join():
        goes_to(lab, "h1c1", group, {"h1c2", "h1>h2", "h2>h3", "h3c1"})
        shown = {name: total(lab.host(name), group, source) for name in ("h1", "h2", "h3")}
        spread(lab, "h1c1", group)
        expected = {"h1": (COUNT, COUNT, COUNT, 0), "h2": (COUNT, 0, COUNT, 0), "h3": (COUNT, COUNT, 0, 0)}
        eventually(lambda: {n: grown(shown[n], lab.host(n), group, source) for n in shown} == expected)
        (row,) = told(lab.host("h3"), "sources", group)
        assert (row["source"], row["host"], row["container"]) == (source, "h1", "")
        (row,) = told(lab.host("h1"), "sources", group)
        assert row["host"] == "h1" and row["ifname"] == "eth0" and row["container"]
        status = told(lab.host("h1"), "groups")
        assert status["snooping"] and status["unknown"] == "drop"
        (line,) = [line for line in lines(lab.host("h1"), "groups") if line and line[0] == group]
        assert line[1:4] == ["1", "1", "1"]  # one port here, one other host, one source
    before = total(lab.host("h1"), group, source)
    eventually(lambda: told(lab.host("h1"), "members", group) == [])
    goes_to(lab, "h1c1", group, set())
    eventually(lambda: grown(before, lab.host("h1"), group, source)[3] >= COUNT)


def total(host: Host, group: str, source: str) -> tuple[int, ...]:
    """Return packets, copies delivered here, copies sent on, and packets dropped."""
    rows = [row for row in host.client.call("multicast").streams if (row.group, row.source) == (group, source)]
    counts = [(row.packets, row.delivered, row.sent, row.dropped) for row in rows]
    return tuple(map(sum, zip(*counts, strict=True))) if counts else (0, 0, 0, 0)


def grown(before: tuple[int, ...], host: Host, group: str, source: str) -> tuple[int, ...]:
    return tuple(now - then for now, then in zip(total(host, group, source), before, strict=True))


def test_trace_draws_the_tree_over_the_relay(lab: Lab, group: str) -> None:
    source = lab.container("h1c1").address()
    with Member(lab.container("h3c1"), group).join():
        goes_to(lab, "h1c1", group, {"h1>h2", "h2>h3", "h3c1"})
        for name in ("h1", "h2", "h3"):
            trace = told(lab.host(name), "trace", source, group)
            hops = [(hop["host"], hop["parent"], hop["depth"], hop["member"]) for hop in trace["hops"]]
            assert hops == [("h1", "", 0, False), ("h2", "h1", 1, False), ("h3", "h2", 2, True)]
            assert [bool(hop["ports"]) for hop in trace["hops"]] == [False, False, name == "h3"]
        drawn = lab.host("h1").ripstop("multicast", "trace", source, group).stdout.splitlines()
        assert [line.split()[0 if index == 0 else 1] for index, line in enumerate(drawn)] == ["h1", "h2", "h3"]
        assert "relays" in drawn[1] and "member" in drawn[2]
    goes_to(lab, "h1c1", group, set())
    assert "for nobody" in lab.host("h1").ripstop("multicast", "trace", source, group).stdout


def test_top_shows_rates(lab: Lab, group: str) -> None:
    sender, receiver = lab.container("h1c1"), lab.container("h3c1")
    with feeding(sender, [receiver], group, group=True, rate=1000, size=200, seconds=60) as feed:
        feed.wait_until_heard()
        found = {name: told(lab.host(name), "top") for name in ("h1", "h2", "h3")}
        heading, *rows = lines(lab.host("h1"), "top")
        hosts = {place["host"]: place for place in told(lab.host("h1"), "top", "--by", "host")["places"]}
        ports = {place["container"]: place for place in told(lab.host("h3"), "top", "--by", "port")["places"]}
        feed.stop()
    for name, rates in found.items():
        (rate,) = [rate for rate in rates["rates"] if rate["group"] == group]
        assert rate["source"] == sender.address() and rate["host"] == "h1"
        assert 500 < rate["packets"] < 1500
        assert round(rate["bits"] / rate["packets"]) == 8 * (200 + 42)
        copies = {"h1": ("sent",), "h2": ("sent",), "h3": ("delivered",)}[name]
        for kind in ("delivered", "sent", "dropped"):
            assert rate[kind] == (rate["packets"] if kind in copies else 0)
    assert heading[0] == "GROUP" and any(row[0] == group for row in rows)
    assert {name: place["received"] > 500 for name, place in hosts.items()} == {"h1": False, "h3": True}
    assert hosts["h1"]["packets"] == hosts["h3"]["received"]
    assert [place["received"] > 500 for place in ports.values()] == [True]
