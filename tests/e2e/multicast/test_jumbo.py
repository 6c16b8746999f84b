"""Packets of jumbo size, on an underlay that takes them whole."""

from functools import partial

from ripstop.lab.lab import Lab
from ripstop.lab.node import Node
from tests.e2e.conftest import lab_name
from tests.e2e.multicast.sockets import Member, numbered
from tests.e2e.multicast.taps import goes_to, spread
from tests.e2e.polling import eventually

SIZE = 8000


def test_jumbo_packets_go_whole_and_only_to_members(group: str, group6: str) -> None:
    with Lab(hosts=3, name=lab_name(), containers=2, topology="chain", mtu=9000) as lab:
        for container in lab.containers:
            container.wait_until_valid()
        for container in lab.containers:
            eventually(partial(_is_jumbo, container))
        for each in (group, group6):
            with Member(lab.container("h2c1"), each).join() as near, Member(lab.container("h3c1"), each).join() as far:
                everywhere = {"h1>h2", "h2c1", "h2>h3", "h3c1"}
                goes_to(lab, "h1c1", each, everywhere)
                near.numbers(), far.numbers()
                assert spread(lab, "h1c1", each, numbered(100, SIZE)) == dict.fromkeys(everywhere, 100)
                assert near.numbers() == far.numbers() == list(range(100))


def _is_jumbo(container: Node) -> bool:
    return "mtu 8950" in container.run(["ip", "link", "show", "eth0"]).stdout
