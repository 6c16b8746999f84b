"""What a scraper on the host reads while containers talk."""

import http.client
import json
import subprocess
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from ripstop.lab.traffic import feeding
from tests.e2e.conftest import lab_name
from tests.e2e.multicast.sockets import inside, numbered, say, send
from tests.e2e.polling import eventually
from tests.e2e.test_start import refused

ADDRESS, ADDRESS_V6, PORT = "127.0.0.1", "::1", 6782
IGMP = 2  # protocol number
GROUP, UNWANTED = "239.8.8.1", "239.8.8.2"


@pytest.fixture(scope="module")
def pair() -> Iterator[Lab]:
    """Two hosts with metrics over TCP, one container on each."""
    with Lab(hosts=2, name=lab_name(), containers=1, flags=(f"--metrics={ADDRESS}:{PORT}",)) as lab:
        for container in lab.containers:
            container.wait_until_valid()
        yield lab


def get(host: Host, path: str = "/metrics", method: str = "GET", address: str = ADDRESS) -> tuple[int, str]:
    """Ask over TCP from the host's own namespace."""
    connection = http.client.HTTPConnection(address, PORT, timeout=10)
    with inside(host):
        connection.connect()
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def parsed(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return labels and value of each sample, by name."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(at: Host, name: str, /, **labels: str) -> float:
    """Scrape, and return the sum of what has these labels."""
    status, text = get(at)
    assert status == 200
    return sum(number for had, number in parsed(text).get(name, ()) if labels.items() <= had.items())


def test_the_unix_socket_says_the_same_as_the_address(pair: Lab) -> None:
    host = pair.host("h1")
    command = ["curl", "-sSf", "--unix-socket", str(host.run_dir / "ripstop.sock"), "http://localhost/metrics"]
    assert parsed(host.run(command).stdout).keys() == parsed(get(host)[1]).keys()


def test_the_address_has_nothing_but_metrics(pair: Lab) -> None:
    host = pair.host("h1")
    assert get(host, "/v1/status")[0] == 404
    assert get(host, "/v1/down", "POST")[0] == 404
    assert get(host, method="POST")[0] == 405
    assert host.daemon_pid() is not None and host.status().settled


def test_it_says_how_the_host_stands(pair: Lab) -> None:
    host = pair.host("h1")
    status = host.status()
    eventually(lambda: value(host, "ripstop_paths", path="vxlan") == 1)
    assert value(host, "ripstop_build_info", version=status.version) == 1
    assert value(host, "ripstop_peers", state="direct") == status.reachable == 1
    assert value(host, "ripstop_connections", state="established") == status.connections
    assert (value(host, "ripstop_settled"), value(host, "ripstop_problems")) == (1, 0)
    assert (value(host, "ripstop_ports"), value(host, "ripstop_mtu_bytes")) == (1, status.mtu)
    ipam = json.loads(host.ripstop("status", "ipam", "--json").stdout)
    assert value(host, "ripstop_ipam_free_addresses") == ipam["free"]
    assert value(host, "ripstop_ipam_allocated_addresses") == len(ipam["allocations"])
    owned = {peer["peer"]: peer["addresses"] for peer in ipam["peers"]}
    assert value(host, "ripstop_ipam_owned_addresses") == owned[status.name]
    assert value(host, "process_resident_memory_bytes") > 1e6


def test_frames_are_counted_as_they_go(pair: Lab) -> None:
    here, there = pair.host("h1"), pair.host("h2")
    target = pair.container("h2c1").address()
    sent = value(here, "ripstop_frames_total", direction="sent", via="fast")
    size = value(here, "ripstop_frame_bytes_total", direction="sent", via="fast")
    delivered = value(there, "ripstop_delivered_frames_total")
    assert pair.container("h1c1").ping(target, count=20, seconds=20.0) is not None
    eventually(lambda: value(here, "ripstop_frames_total", direction="sent", via="fast") >= sent + 20)
    eventually(lambda: value(here, "ripstop_frame_bytes_total", direction="sent", via="fast") >= size + 20 * 148)
    eventually(lambda: value(there, "ripstop_delivered_frames_total") >= delivered + 20)
    assert value(there, "ripstop_fdb_entries", where="peer") >= 1


def test_a_feed_shows_where_it_comes_in_and_where_it_goes(pair: Lab) -> None:
    here, there = pair.host("h1"), pair.host("h2")
    source, receiver = pair.container("h1c1"), pair.container("h2c1")
    labels = {"group": GROUP, "source": source.address(), "host": "h1"}
    with feeding(source, [receiver], GROUP, group=True, rate=500, size=200, seconds=60) as feed:
        feed.wait_until_heard()
        eventually(lambda: value(here, "ripstop_multicast_stream_sent_total", **labels, ifname="eth0") > 100)
        eventually(lambda: value(there, "ripstop_multicast_stream_delivered_total", **labels) > 100)
        assert value(there, "ripstop_multicast_members", why="report") >= 1
        assert value(here, "ripstop_multicast_remote_members", why="peer") >= 1
        assert value(here, "ripstop_multicast_groups") >= 1
        assert value(there, "ripstop_multicast_rows", map="receivers") >= 1
        assert value(there, "ripstop_multicast_messages_total", family="ipv4", message="report", ifname="eth0") >= 1
        assert value(there, "ripstop_multicast_queries_total", family="ipv4") >= 1
        feed.stop()
    (shown,) = [row for row in here.client.call("multicast").streams if row.group == GROUP]
    eventually(lambda: value(here, "ripstop_multicast_stream_packets_total", **labels) == shown.packets)
    assert value(here, "ripstop_multicast_stream_bytes_total", **labels) == shown.bytes
    assert value(here, "ripstop_multicast_streams_left_out") == 0


def test_a_drop_shows_by_its_reason(pair: Lab) -> None:
    host, sender = pair.host("h1"), pair.container("h1c1")
    before = value(host, "ripstop_drops_total", reason="no_member")
    send(sender, UNWANTED, numbered(50))
    eventually(lambda: value(host, "ripstop_drops_total", reason="no_member") >= before + 50)
    labels = {"group": UNWANTED, "source": sender.address()}
    eventually(lambda: value(host, "ripstop_multicast_stream_dropped_total", **labels) == 50)


def test_a_refusal_shows_by_port_and_reason(pair: Lab) -> None:
    host, container = pair.host("h2"), pair.container("h2c1")
    labels = {"container": host.client.call("ports")[0].container, "ifname": "eth0", "reason": "malformed"}
    before = value(host, "ripstop_multicast_refusals_total", **labels)
    say(container, IGMP, "224.0.0.22", b"\x22 no report")
    eventually(lambda: value(host, "ripstop_multicast_refusals_total", **labels) == before + 1)


def test_a_silent_client_does_not_hold_up_the_daemon(pair: Lab) -> None:
    host = pair.host("h1")
    silent = http.client.HTTPConnection(ADDRESS, PORT, timeout=30)
    with inside(host):
        silent.connect()
    assert get(host)[0] == 200
    assert host.status().settled
    with silent.sock:
        assert silent.sock.recv(1) == b""  # the daemon has had enough


def test_an_address_in_use_is_named(bare_host: Lab) -> None:
    host = bare_host.host("h1")
    program = f"import socket; s=socket.create_server(('{ADDRESS}',{PORT})); print(flush=True); s.accept()"
    user = host.start(["python3", "-c", program])
    try:
        assert user.stdout is not None and user.stdout.readline()
        line = refused(host, f"--metrics={ADDRESS}:{PORT}")
        assert f"TCP {ADDRESS}:{PORT} is in use" in line and "--metrics" in line
    finally:
        user.kill()
        user.communicate()


def test_an_address_of_another_host_is_refused(bare_host: Lab) -> None:
    line = refused(bare_host.host("h1"), f"--metrics=198.51.100.1:{PORT}")
    assert f"cannot listen on TCP 198.51.100.1:{PORT} for --metrics: Cannot assign" in line


def test_up_takes_an_address_of_ipv6(bare_host: Lab) -> None:
    host = bare_host.host("h1")
    host.ripstop("up", f"--metrics=[{ADDRESS_V6}]:{PORT}")
    try:
        assert get(host, address=ADDRESS_V6)[0] == 200
        with pytest.raises(ConnectionRefusedError):
            get(host)
    finally:
        host.ripstop("down")
    with pytest.raises((ConnectionRefusedError, subprocess.CalledProcessError)):
        get(host, address=ADDRESS_V6)
