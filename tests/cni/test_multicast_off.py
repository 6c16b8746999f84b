"""A network without multicast: its containers have no part in groups, and all else works."""

from functools import partial
from pathlib import Path

import pytest

from ripstop.api.types import GroupRequest, GuardRequest
from ripstop.client import RefusedError
from ripstop.lab.lab import Lab
from ripstop.lab.node import Node
from tests.cni.conftest import runtime_of
from tests.cni.suite import Sandbox
from tests.e2e.multicast.sockets import Member, numbered, send
from tests.e2e.polling import eventually

GROUP = "239.9.9.10"


def node(sandbox: Sandbox) -> Node:
    return Node("pod", Path(sandbox.path).name)


def test_neither_sends_nor_joins_nor_gets(lab: Lab) -> None:
    one, two = lab.host("h1"), lab.host("h2")
    quiet, usual = runtime_of(one, multicast=False), runtime_of(two)
    with quiet.sandbox() as without, usual.sandbox() as left, usual.sandbox() as right:
        assert "multicast" not in str(without.add("1.1.0").get("routes"))
        left.add()
        right.add()
        assert "224.0.0.0/4" not in without.run("ip", "route")
        (port,) = one.client.call("ports")
        assert port.guards == ("mac", "ip", "router", "dhcp", "multicast")
        assert node(without).ping(node(left).address()) is not None
        assert node(left).ping(f"{node(without).link_local()}%eth0") is not None

        with Member(node(without), GROUP).join() as deaf, Member(node(right), GROUP).join() as member:

            def reaches(receiver: Member) -> bool:
                send(node(left), GROUP, numbered(1))
                return bool(receiver.numbers())

            eventually(partial(reaches, member))
            (port,) = one.client.call("ports")
            assert port.stopped["multicast_off"] >= 1  # its own join
            send(node(without), GROUP, numbered(1, first=77))
            send(node(left), GROUP, numbered(1, first=78))
            came: list[int] = []

            def all_came() -> bool:
                came.extend(member.numbers())
                return 78 in came

            eventually(all_came)
            assert 77 not in came and set(deaf.numbers()) <= {77}  # what it sends itself comes back inside
            members = one.client.call("multicast").members
            assert {row.host for row in members if row.group == GROUP} == {"h2"}
            with pytest.raises(RefusedError, match="kept from multicast by its guard"):
                one.client.call("join", GroupRequest(GROUP, container=port.container))

            one.client.call("guard", GuardRequest(container=port.container, guard=True))
            deaf.leave()
            deaf.join()
            eventually(partial(reaches, deaf))
            one.client.call("guard", GuardRequest(container=port.container, guard=True, guards=("multicast",)))
            eventually(lambda: {row.host for row in one.client.call("multicast").members} == {"h2"})
