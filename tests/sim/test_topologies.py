"""Chains, stars, partitions, one-way cuts: routes connect whatever is connected, and floods come once."""

from random import Random

import pytest

from ripstop.core.mesh.membership import first_choice
from ripstop.core.names import UnderlayIp
from tests.sim.meshes import Meshes, address, peer_name


def chain(number: int) -> tuple[int, ...]:
    """Each host knows the one before it."""
    return (number - 1,) if number else ()


def test_a_chain_relays_end_to_end() -> None:
    meshes = Meshes(6, targets=chain)
    for i in range(6):
        for j in range(i + 2, 6):
            meshes.world.underlay.cut(meshes.names[i], meshes.names[j])
    meshes.start_all()
    meshes.settle()
    ways = {view.destination: view.hops for view in meshes.mesh[meshes.names[0]].routes()}
    assert [ways[name] for name in meshes.names[1:]] == [1, 2, 3, 4, 5]


def test_a_cut_link_heals_around_in_time() -> None:
    meshes = Meshes(3)
    meshes.start_all()
    meshes.settle()
    meshes.world.run(3.0)
    at = meshes.world.now
    meshes.world.underlay.cut(meshes.names[0], meshes.names[1])
    assert not meshes.is_whole()
    meshes.settle(3.0)
    assert meshes.world.now - at < 1.8
    assert {view.path for view in meshes.mesh[meshes.names[0]].connections()} == {"relay", "vxlan"}
    meshes.world.run(30.0)
    assert meshes.is_whole()
    meshes.world.underlay.heal_all()
    assert meshes.world.run(
        3.0, lambda: {view.path for view in meshes.mesh[meshes.names[0]].connections()} == {"vxlan"}
    )
    assert meshes.is_whole()


def test_a_one_way_cut_is_no_link() -> None:
    meshes = Meshes(3)
    meshes.start_all()
    meshes.settle()
    meshes.world.underlay.cuts[meshes.names[0], meshes.names[1]] = None
    assert meshes.world.run(3.0, meshes.is_whole)
    ways = {view.destination: view.next_hop for view in meshes.mesh[meshes.names[1]].routes()}
    assert ways[meshes.names[0]] == meshes.names[2]


@pytest.mark.parametrize("seed", range(3))
def test_both_sides_of_a_partition_work_and_heal(seed: int) -> None:
    meshes = Meshes(9, seed)
    meshes.start_all()
    meshes.settle()
    left, right = meshes.names[:4], meshes.names[4:]
    meshes.world.underlay.divide(left, right)
    meshes.world.run(30.0)
    for name in meshes.names:
        side = left if name in left else right
        assert {view.destination for view in meshes.mesh[name].routes()} == {*side} - {name}
    meshes.world.underlay.heal_all()
    meshes.settle(10.0)


def test_new_hosts_join_both_sides_of_a_partition() -> None:
    meshes = Meshes(6, targets=lambda number: (number % 2,) if number > 1 else (0,) if number else ())
    meshes.world.underlay.divide(meshes.names[::2], meshes.names[1::2])
    meshes.start_all()
    meshes.world.run(20.0)
    assert len(meshes.mesh[meshes.names[0]].routes()) == len(meshes.mesh[meshes.names[1]].routes()) == 2
    meshes.world.underlay.heal_all()
    meshes.settle(70.0)


def test_an_address_changes_under_way() -> None:
    meshes = Meshes(4)
    meshes.start_all()
    meshes.settle()
    meshes.world.run(5.0)
    meshes.world.move(meshes.names[2], UnderlayIp("10.9.0.9"))
    meshes.settle(10.0)
    assert meshes.mesh[meshes.names[2]].addresses == ("10.9.0.9",)
    meshes.world.run(40.0)
    assert meshes.is_whole()
    for name in meshes.names:
        assert address(2) not in meshes.world.hosts[name].kernel.tables.vteps


def test_a_nic_goes_down_and_comes_back() -> None:
    meshes = Meshes(3)
    meshes.start_all()
    meshes.settle()
    meshes.world.move(meshes.names[1])
    meshes.world.run(20.0)
    assert len(meshes.mesh[meshes.names[0]].routes()) == 1
    assert meshes.mesh[meshes.names[1]].routes() == ()
    meshes.world.move(meshes.names[1], address(1))
    back = meshes.world.now
    meshes.settle(5.0)
    assert meshes.world.now - back < 3.0


def test_the_second_address_serves_when_the_first_does_not() -> None:
    meshes = Meshes(2)
    host = meshes.world.hosts[meshes.names[1]]
    meshes.world.move(meshes.names[1], UnderlayIp("10.8.0.2"), address(1))
    host.addresses = (address(1),)  # the first is on a NIC that leads nowhere
    meshes.start_all()
    meshes.settle()
    assert meshes.mesh[meshes.names[0]].routes()[0].remote == address(1)


def test_a_narrow_path_narrows_all_and_a_wide_underlay_is_used() -> None:
    meshes = Meshes(3)
    for host in meshes.world.hosts.values():
        host.mtu = 9000
    meshes.start_all()
    meshes.settle()
    meshes.world.run(5.0)
    assert {host.container_mtu for host in meshes.world.hosts.values()} == {8950}
    meshes.world.underlay.mtus |= dict.fromkeys(
        [(meshes.names[0], meshes.names[1]), (meshes.names[1], meshes.names[0])], 1460
    )
    meshes.world.run(8.0)
    assert {host.container_mtu for host in meshes.world.hosts.values()} == {1410}
    assert meshes.is_whole()
    meshes.world.underlay.mtus.clear()
    meshes.world.run(45.0)
    assert {host.container_mtu for host in meshes.world.hosts.values()} == {8950}


def test_a_path_too_narrow_for_ipv6_is_none_and_says_so() -> None:
    meshes = Meshes(2)
    meshes.world.underlay.mtus |= dict.fromkeys([meshes.names, meshes.names[::-1]], 1300)  # type: ignore[list-item]
    meshes.start_all()
    meshes.world.run(10.0)
    assert meshes.mesh[meshes.names[0]].routes() == ()
    (view,) = meshes.mesh[meshes.names[0]].connections()
    assert (view.control, view.path) == ("established", "none")
    assert "1280" in view.error


def test_without_discovery_only_targets_are_dialed() -> None:
    meshes = Meshes(4, no_discovery=True)
    meshes.start_all()
    meshes.settle()
    meshes.world.run(10.0)
    connected = {
        name: [view.peer for view in meshes.mesh[name].connections() if view.control == "established"]
        for name in meshes.names
    }
    assert connected[meshes.names[1]] == [meshes.names[0]]
    assert len(connected[meshes.names[0]]) == 3


@pytest.mark.parametrize("seed", range(6))
def test_a_random_underlay_is_used_as_far_as_it_goes(seed: int) -> None:
    rng = Random(seed)
    meshes = Meshes(12, seed, targets=lambda number: tuple(range(12)))
    for i in range(12):
        for j in range(i):
            if j != i - 1 and rng.random() < 0.7:
                meshes.world.underlay.cut(meshes.names[i], meshes.names[j])
    meshes.start_all()
    meshes.settle(20.0)


def test_a_newcomer_with_a_taken_first_choice_makes_nobody_move() -> None:
    meshes = Meshes(8)
    wanted = first_choice(meshes.names[3])
    numbers = (number for number in range(100, 10000) if first_choice(peer_name(number)) == wanted)
    newcomers = [next(numbers) for _ in range(3)]
    assert any(peer_name(number) < meshes.names[3] for number in newcomers)
    meshes.start_all()
    meshes.settle()
    before = {name: meshes.mesh[name].short_id for name in meshes.names}
    for number in newcomers:
        meshes.add(number)
        meshes.start_all()
        meshes.settle(5.0)
    assert {name: meshes.mesh[name].short_id for name in before} == before


def test_peers_that_start_together_with_one_choice_settle_it_by_name() -> None:
    wanted = first_choice(peer_name(0))
    rivals = [number for number in range(1, 20000) if first_choice(peer_name(number)) == wanted][:4]
    meshes = Meshes(1)
    for number in rivals:
        meshes.add(number)
    meshes.start_all()
    meshes.settle(10.0)
    assert len({meshes.mesh[name].short_id for name in meshes.names}) == 5
