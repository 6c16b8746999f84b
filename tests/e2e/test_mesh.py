"""The mesh on real traffic: relays, cuts, deaths, restarts, strangers."""

import struct
import time

from ripstop.lab import traffic
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from tests.e2e.conftest import lab_name
from tests.e2e.polling import eventually

GROUP = "239.1.2.3"


def state_of(host: Host, nickname: str) -> str:
    """Return how one host sees another."""
    return next(peer.state for peer in host.client.call("peers") if peer.nickname == nickname)


def drops(host: Host) -> dict[str, int]:
    return {drop.reason: drop.count for drop in host.status().drops}


def test_relayed_hosts_are_one_ethernet(chain: Lab) -> None:
    assert state_of(chain.host("h1"), "h3") == "relayed"
    first, third = chain.container("h1c1"), chain.container("h3c1")
    assert first.ping(third.address()) is not None
    assert first.ping(f"{third.link_local()}%eth0") is not None
    receivers = [chain.container("h2c1"), third]
    with traffic.feeding(first, receivers, GROUP, group=True, rate=2000, count=2000) as feed:
        _, received = feed.finish()
    assert [(got.received, got.lost, got.duplicated) for got in received] == [(2000, 0, 0)] * 2


def test_a_cut_is_healed_over_another_way_and_back(chain: Lab) -> None:
    first, second = chain.container("h1c1"), chain.container("h2c1")
    chain.heal("h1", "h3")
    eventually(lambda: state_of(chain.host("h1"), "h3") == "direct")
    chain.cut("h1", "h2")
    eventually(lambda: state_of(chain.host("h1"), "h2") == "relayed")
    eventually(lambda: first.ping(second.address()) is not None)
    chain.heal("h1", "h2")
    eventually(lambda: state_of(chain.host("h1"), "h2") == "direct")
    assert first.ping(second.address(), count=5) is not None


def test_both_sides_of_a_partition_work_and_heal(chain: Lab) -> None:
    chain.cut("h1", "h2")
    h1, h2 = chain.host("h1"), chain.host("h2")
    eventually(lambda: state_of(h1, "h2") == "unreachable" and state_of(h2, "h1") == "unreachable")
    assert chain.container("h2c1").ping(chain.container("h3c1").address()) is not None
    h1.detach(chain.container("h1c1"))  # each side still gives addresses
    held = {h1.attach(chain.container("h1c1")).addresses, h2.client.call("ports")[0].addresses}
    held.add(chain.host("h3").client.call("ports")[0].addresses)
    assert len(held) == 3
    chain.heal("h1", "h2")
    eventually(lambda: chain.container("h1c1").ping(chain.container("h3c1").address()) is not None)


def test_a_killed_daemon_loses_no_packet(pair: Lab) -> None:
    sender, receiver = pair.container("h1c1"), pair.container("h2c1")
    assert (
        sender.ping(receiver.address()) is not None
    )  # until ARP is answered the sender's kernel keeps 101 packets only
    for victim in ("h1", "h2"):
        with traffic.feeding(sender, [receiver], receiver.address(), rate=10_000, count=60_000, size=200) as unicast:
            pair.host(victim).kill_daemon()
            pair.host(victim).restart_daemon()
            _, (got,) = unicast.finish()
        assert (got.received, got.lost, got.reordered) == (60_000, 0, 0)
    with traffic.feeding(sender, [receiver], GROUP, group=True, rate=10_000, count=60_000, size=200) as multicast:
        pair.host("h2").kill_daemon()
        time.sleep(2.5)  # a daemon that stays away for a while is what is tested
        pair.host("h2").restart_daemon()
        _, (got,) = multicast.finish()
    assert (got.received, got.lost, got.duplicated) == (60_000, 0, 0)


def test_a_dead_host_is_noticed_and_comes_back(chain: Lab) -> None:
    chain.host("h3").stop_daemon()
    eventually(lambda: state_of(chain.host("h1"), "h3") in ("left", "unreachable"))
    chain.host("h3").start_daemon()
    eventually(lambda: state_of(chain.host("h1"), "h3") == "relayed")


def test_a_cable_that_is_pulled_and_put_back(pair: Lab) -> None:
    h1, h2 = pair.host("h1"), pair.host("h2")
    pair.unplug("h2")
    eventually(lambda: state_of(h1, "h2") == "unreachable")
    pair.plug("h2")
    eventually(lambda: pair.container("h1c1").ping(pair.container("h2c1").address()) is not None)
    h2.run(["ip", "link", "set", "eth0", "down"])
    eventually(lambda: state_of(h1, "h2") == "unreachable")
    assert any("no underlay device" in problem for problem in h2.status().problems)
    h2.run(["ip", "link", "set", "eth0", "up"])
    eventually(lambda: pair.container("h1c1").ping(pair.container("h2c1").address()) is not None)


def test_a_changed_address_is_followed(pair: Lab) -> None:
    h1, h2 = pair.host("h1"), pair.host("h2")
    h2.run(["ip", "address", "delete", str(h2.interface), "dev", "eth0"])
    h2.run(["ip", "address", "add", "192.0.2.77/24", "dev", "eth0"])
    eventually(lambda: any(c.path_address == "192.0.2.77" for c in h1.client.call("connections")))
    eventually(lambda: pair.container("h1c1").ping(pair.container("h2c1").address()) is not None)


def test_strangers_on_the_vxlan_port_are_dropped_and_counted(pair: Lab) -> None:
    h1 = pair.host("h1")
    vxlan = struct.pack("!BBHI", 0x08, 0, 0, 5 << 8) + b"\xff" * 6 + b"\x02" + b"\0" * 5 + b"\x08\x06" + b"\0" * 46
    script = (
        "import socket,sys; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
        "s.sendto(bytes.fromhex(sys.argv[1]),(sys.argv[2],6784))"
    )
    bridge = pair.switch.run(["ip", "-br", "link", "show", "type", "bridge"]).stdout.split()[0]
    pair.switch.run(["ip", "address", "add", "192.0.2.98/24", "dev", bridge])
    before = drops(h1)
    pair.switch.run(["python3", "-c", script, vxlan.hex(), str(h1.interface.ip)])
    eventually(lambda: sum(drops(h1).values()) > sum(before.values()))
    (reason,) = [name for name, count in drops(h1).items() if count > before.get(name, 0)]
    assert "stranger" in reason.lower()


def test_random_bytes_on_the_control_port_are_dropped_counted_and_logged_once(pair: Lab) -> None:
    h1, h2 = pair.host("h1"), pair.host("h2")
    script = (
        "import socket,sys,random\n"
        "for seed in range(20):\n"
        "    s=socket.create_connection((sys.argv[1],6783)); s.sendall(random.Random(seed).randbytes(3000))\n"
        "    s.settimeout(5)\n"
        "    try:\n"
        "        while s.recv(100): pass\n"
        "    except ConnectionResetError: pass\n"
    )
    h2.run(["python3", "-c", script, str(h1.interface.ip)])
    assert h1.client.call("report").control["bad_messages"] == 20
    assert h1.log.read_text().count("dropped a connection") == 1
    assert pair.container("h1c1").ping(pair.container("h2c1").address()) is not None


def test_oversized_frames_are_dropped_and_counted(pair: Lab) -> None:
    first, second = pair.container("h1c1"), pair.container("h2c1")
    first.run(["ip", "link", "set", "eth0", "mtu", "1500"])
    pair.host("h1").run(["sh", "-c", "ip -o link | grep -o 'rs[0-9a-f]*' | xargs -I@ ip link set @ mtu 1500"])
    before = drops(pair.host("h1"))
    assert first.run(["ping", "-M", "do", "-s", "1460", "-c", "1", "-W", "1", second.address()], check=False).returncode
    after = drops(pair.host("h1"))
    assert {name for name in after if after[name] > before.get(name, 0)} == {"too_big"}
    assert first.ping(second.address()) is not None


def test_jumbo_underlays_are_used() -> None:
    with Lab(hosts=2, name=lab_name(), containers=1, mtu=9000) as lab:
        eventually(lambda: lab.host("h1").status().mtu == 8950)
        eventually(lambda: "mtu 8950" in lab.container("h1c1").run(["ip", "link", "show", "eth0"]).stdout)
        big = ["ping", "-M", "do", "-s", "8900", "-c", "2", "-W", "2", lab.container("h2c1").address()]
        eventually(lambda: lab.container("h1c1").run(big, check=False).returncode == 0)
