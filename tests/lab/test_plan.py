from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from ripstop.lab.plan import LabError, Plan, cuts_of, pair


def test_addresses_are_documentation_ones_until_there_are_too_many_hosts() -> None:
    assert Plan("lab", hosts=3).address("h2") == IPv4Interface("192.0.2.2/24")
    assert Plan("lab", hosts=251).address("h251") == IPv4Interface("198.18.0.251/15")
    assert Plan("lab", hosts=1000).address("h1000") == IPv4Interface("198.18.3.232/15")


def test_names_carry_the_lab() -> None:
    plan = Plan("demo", hosts=2, containers=2)
    assert plan.switch_netns == "ripstop-demo-switch"
    assert [plan.netns(name) for name in plan.container_names("h1")] == ["ripstop-demo-h1c1", "ripstop-demo-h1c2"]


@pytest.mark.parametrize(
    ("topology", "cuts"),
    [
        ("full", ()),
        ("chain", (("h1", "h3"), ("h1", "h4"), ("h2", "h4"))),
        ("star", (("h2", "h3"), ("h2", "h4"), ("h3", "h4"))),
    ],
)
def test_a_topology_is_made_of_cuts(topology: str, cuts: tuple[tuple[str, str], ...]) -> None:
    assert cuts_of(topology, 4) == cuts


def test_a_file_lists_the_links_there_are(tmp_path: Path) -> None:
    path = tmp_path / "links.json"
    path.write_text('[["h2", "h1"], ["h1", "h3"]]')
    assert cuts_of(str(path), 3) == (("h2", "h3"),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ('{"h1": "h2"}', "want a list of links"),
        ('[["h1"]]', "is no link"),
        ('[["h1", "h1"]]', "one host"),
        ('[["h1", "x"]]', "no host 'x'"),
        ('[["h1", "h4"]]', "only 3 hosts"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "links.json"
    path.write_text(text)
    with pytest.raises(LabError, match=reason):
        cuts_of(str(path), 3)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(LabError, match=r"topology ring: No such file.*full, chain, star"):
        cuts_of("ring", 3)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "x" * 25])
def test_bad_lab_names_are_refused(name: str) -> None:
    with pytest.raises(LabError, match="lab name"):
        Plan(name, hosts=1)


@pytest.mark.parametrize(("hosts", "containers", "mtu"), [(0, 0, 1500), (1001, 0, 1500), (1, -1, 1500), (1, 0, 1000)])
def test_bad_numbers_are_refused(hosts: int, containers: int, mtu: int) -> None:
    with pytest.raises(LabError, match="want"):
        Plan("lab", hosts, containers, mtu)


def test_a_pair_has_one_order() -> None:
    assert pair("h10", "h2") == pair("h2", "h10") == ("h2", "h10")


def test_each_host_dials_a_neighbor_that_leads_to_all_others() -> None:
    assert Plan("lab", hosts=4).dials() == {"h1": None, "h2": "h1", "h3": "h1", "h4": "h1"}
    assert Plan("lab", hosts=4, cuts=cuts_of("chain", 4)).dials() == {"h1": None, "h2": "h1", "h3": "h2", "h4": "h3"}


def test_hosts_that_cannot_meet_dial_within_their_island() -> None:
    cuts = (("h1", "h2"), ("h1", "h4"), ("h2", "h3"), ("h3", "h4"))
    assert Plan("lab", hosts=4, cuts=cuts).dials() == {"h1": None, "h3": "h1", "h2": None, "h4": "h2"}
