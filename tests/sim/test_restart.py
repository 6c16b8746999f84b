"""A daemon that dies and comes back disturbs nobody; a host that dies is noticed."""

import pytest

from ripstop.core.events import ConnectRequested, Endpoint, LeaveRequested
from ripstop.sim.world import PORT
from tests.sim.meshes import Meshes, address


def watch_traffic(meshes: Meshes, seconds: float) -> list[tuple[float, str]]:
    """Send between all pairs every 20 ms; return what went wrong and when."""
    found: list[tuple[float, str]] = []
    end = meshes.world.now + seconds
    while meshes.world.now < end:
        found += [(meshes.world.now, complaint) for complaint in meshes.complaints()]
        meshes.world.run(0.02)
    return found


@pytest.mark.parametrize("pause", [0.05, 1.0, 3.0, 20.0])
def test_a_daemon_killed_and_restarted_loses_nothing(pause: float) -> None:
    meshes = Meshes(5)
    meshes.start_all()
    meshes.settle()
    meshes.world.run(3.0)
    published = {name: host.published for name, host in meshes.world.hosts.items()}
    tables = {name: host.kernel.tables for name, host in meshes.world.hosts.items()}
    meshes.world.kill(meshes.names[2])
    assert not watch_traffic(meshes, pause)
    meshes.world.start(meshes.names[2])
    assert not watch_traffic(meshes, 12.0)
    for name, host in meshes.world.hosts.items():
        assert host.kernel.tables == tables[name]
        assert host.published - published[name] == (1 if name == meshes.names[2] else 0)
    assert not meshes.said("lost") + meshes.said("no more")
    assert all(view.control == "established" for view in meshes.mesh[meshes.names[2]].connections())


def test_a_relay_restarts_under_traffic() -> None:
    meshes = Meshes(3)
    meshes.world.underlay.cut(meshes.names[0], meshes.names[2])
    meshes.world.underlay.cut(meshes.names[0], meshes.names[2])
    meshes.start_all()
    meshes.world.tell(meshes.names[2], connect_to(1))
    meshes.settle()
    meshes.world.run(3.0)
    for number in (1, 0, 2):
        meshes.world.kill(meshes.names[number])
        assert not watch_traffic(meshes, 1.0)
        meshes.world.start(meshes.names[number])
        assert not watch_traffic(meshes, 5.0)


def test_a_daemon_that_dies_again_and_again_disturbs_nobody() -> None:
    meshes = Meshes(4)
    meshes.start_all()
    meshes.settle()
    meshes.world.run(3.0)
    for pause in (0.0, 0.001, 0.01, 0.05, 0.1, 0.3, 0.9, 1.1):
        meshes.world.kill(meshes.names[1])
        assert not watch_traffic(meshes, 0.2)
        meshes.world.start(meshes.names[1])
        assert not watch_traffic(meshes, pause)
    assert not watch_traffic(meshes, 5.0)
    assert not meshes.said("lost") + meshes.said("no more")


def test_all_daemons_restart_at_once() -> None:
    meshes = Meshes(6)
    meshes.start_all()
    meshes.settle()
    meshes.world.run(3.0)
    for name in meshes.names:
        meshes.world.kill(name)
    assert not watch_traffic(meshes, 2.0)
    meshes.start_all()
    assert not watch_traffic(meshes, 10.0)


def test_a_dead_host_is_noticed_soon_and_comes_back_soon() -> None:
    meshes = Meshes(4)
    meshes.start_all()
    meshes.settle()
    meshes.world.run(3.0)
    died = meshes.world.now
    meshes.world.crash(meshes.names[3])
    assert meshes.world.run(2.0, lambda: len(meshes.said("can be reached no more")) == 3)
    assert meshes.world.now - died < 1.8
    meshes.world.run(30.0)
    assert {view.state for view in meshes.mesh[meshes.names[0]].peers()} == {"self", "direct", "unreachable"}
    meshes.world.start(meshes.names[3])
    booted = meshes.world.now
    meshes.settle(2.0)
    assert meshes.world.now - booted < 1.5


def test_a_host_that_lost_its_disk_but_not_its_name_is_believed() -> None:
    meshes = Meshes(3)
    meshes.start_all()
    meshes.settle()
    for _ in range(5):
        meshes.world.kill(meshes.names[1])
        meshes.world.start(meshes.names[1])
        meshes.world.run(2.0)
    meshes.world.crash(meshes.names[1], lose_disk=True)
    meshes.world.run(3.0)
    meshes.world.start(meshes.names[1])
    meshes.settle(10.0)
    records = {view.name: view for view in meshes.mesh[meshes.names[0]].peers()}
    assert records[meshes.names[1]].incarnation == 7
    assert meshes.said("later life")
    assert meshes.world.hosts[meshes.names[1]].disk["mesh/incarnation"] == b"\x07"


def test_a_peer_that_left_is_gone_at_once_and_may_come_back() -> None:
    meshes = Meshes(3)
    meshes.start_all()
    meshes.settle()
    meshes.world.tell(meshes.names[2], LeaveRequested())
    meshes.world.crash(meshes.names[2])
    assert meshes.world.run(0.5, lambda: len(meshes.said("has left")) == 2)
    meshes.world.run(60.0)
    assert {view.state for view in meshes.mesh[meshes.names[0]].peers()} == {"self", "direct", "left"}
    assert not meshes.said("can be reached no more")
    meshes.world.start(meshes.names[2])
    meshes.settle(3.0)


def connect_to(number: int) -> ConnectRequested:
    return ConnectRequested((Endpoint(address(number), PORT),))
