"""Snapshots as scrapers read them; Prometheus' own parsers are the judges."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import PROCESS_COLLECTOR
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from ripstop.api import types
from ripstop.core.address import Range
from ripstop.core.ipam.status import AllocatorStatus, Share, Waiting
from ripstop.core.multicast.tables import Selector
from ripstop.core.names import ContainerId, PeerName, PortId, ShortId
from ripstop.daemon.metrics.families import families, render
from ripstop.daemon.metrics.snapshot import GroupCounts, Heard, KernelCounts, MeshCounts, Snapshot, Stopped
from ripstop.kernel.abi import CounterClass, DropReason
from ripstop.kernel.datapath import Counter
from ripstop.kernel.streams import Stream

OWN, OTHER = PeerName("a" * 16), PeerName("b" * 16)
UNIVERSE = Range.parse("10.32.0.0/24")
DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def peer(name: PeerName, state: str) -> types.Peer:
    return types.Peer(name, name[:2], 1, 1, (), state)


def connection(control: str, path: str) -> types.Connection:
    return types.Connection(OTHER, "h2", "", "", control, path, "", 0, None, "")


def stream(container: str = "c1", host: str = "h1", packets: int = 5) -> types.MulticastStream:
    return types.MulticastStream(
        "239.1.1.1", "10.32.0.1", host, OWN, container, "eth0", packets, packets * 100, 3, 2, 1, 0.5
    )


SNAPSHOT = Snapshot(
    version=types.Version("0.1.0", 1, "abcdef"),
    own=OWN,
    ports=2,
    guarded=1,
    stopped=[Stopped("c1", "eth0", "spoofed_ip", 14)],
    mtu=1450,
    mesh=MeshCounts(
        peers=[peer(OWN, "self"), peer(OTHER, "direct"), peer(PeerName("c" * 16), "left")],
        connections=[connection("established", "vxlan"), connection("closed", "vxlan"), connection("closed", "none")],
        targets=[types.Target("192.0.2.2:6783", "connected", None)],
        routes=2,
        settled=True,
        problems=1,
        control={"bad_messages": 1, "refused": 2, "overruns": 3, "accepted": 4, "dialed": 5},
        probes={"unsent": 6, "malformed": 7},
    ),
    datapath=KernelCounts(
        counters={name.name.lower(): Counter(10 + name, 1000 + name) for name in CounterClass},
        drops={reason.name.lower(): int(reason) for reason in DropReason},
        stations={"port": 3, "peer": 4},
        rows={"receivers": 5, "branches": 6},
        streams=(Stream(Selector(bytes([239, 1, 1, 1])), PortId(1), ShortId(0), 5, 500, 3, 2, 1, 0.5),),
        known_streams=8,
        port_names={},
    ),
    ipam=AllocatorStatus(
        universe=UNIVERSE,
        ring="r",
        why="",
        members=(OWN, OTHER),
        shares=(Share(OWN, 100, 0.4, 40, True), Share(OTHER, 150, 0.6, 9, True), Share(OWN, 6, 0.0, 0, True, True)),
        free=40,
        held=((1, ContainerId("c1/eth0")), (2, ContainerId("c2/eth0"))),
        waiting=(Waiting(None, ContainerId("c3/eth0"), UNIVERSE, "full", 1.0),),
        contested=(UNIVERSE,),
        strays=(),
        foreign=(),
    ),
    multicast=GroupCounts(
        groups=3,
        members={"report": 2, "static": 1, "router": 0},
        remote={"peer": 4, "router": 1},
        heard=[Heard("c1", "eth0", "ipv4", "report", 9)],
        refusals=[types.MulticastRefusal("c1", "eth0", "rate", 11)],
        queries={"ipv4": 12, "ipv6": 13},
        streams=[stream()],
    ),
    dns=types.DnsStatus(
        "ripstop.local",
        3,
        (types.DnsHost("h1", OWN, 2, False), types.DnsHost("h2", OTHER, 4, True)),
        types.DnsServer(
            7,
            1,
            "",
            (types.DnsListener("10.32.0.1", 53, 1.0, ""), types.DnsListener("192.0.2.1", 53, None, "in use")),
            3,
            (),
            {"udp": 12},
        ),
    ),
)


def samples(found: Iterable[Metric]) -> Samples:
    """Return every value by name and labels; the same must not be said twice."""
    read: Samples = {}
    for family in found:
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in read, key
            read[key] = sample.value
    return read


def scraped(snapshot: Snapshot) -> Samples:
    """Return what a scraper of the old format reads."""
    text = render(families(snapshot), openmetrics=False).decode()
    return samples(text_string_to_metric_families(text))


def test_everything_is_said_with_its_number() -> None:
    read = scraped(SNAPSHOT)

    def value(name: str, **labels: str) -> float:
        return read[name, tuple(sorted(labels.items()))]

    assert value("ripstop_build_info", version="0.1.0", protocol="1", abi="abcdef") == 1
    assert (value("ripstop_ports"), value("ripstop_mtu_bytes"), value("ripstop_routes")) == (2, 1450, 2)
    assert value("ripstop_guarded_ports") == 1
    assert value("ripstop_port_stopped_total", container="c1", ifname="eth0", reason="spoofed_ip") == 14
    assert [value("ripstop_peers", state=state) for state in ("direct", "relayed", "unreachable", "left")] == [
        1, 0, 0, 1,
    ]  # fmt: skip
    assert [value("ripstop_connections", state=s) for s in ("established", "connecting", "closed")] == [1, 0, 2]
    assert [value("ripstop_paths", path=path) for path in ("vxlan", "relay", "none")] == [2, 0, 1]
    assert (value("ripstop_settled"), value("ripstop_problems")) == (1, 1)
    assert value("ripstop_control_connections_total", direction="outbound") == 5
    assert value("ripstop_control_failures_total", reason="overruns") == 3
    assert value("ripstop_probe_failures_total", reason="malformed") == 7
    for direction in ("sent", "received", "relayed"):
        for via in ("fast", "companion"):
            number = CounterClass[f"{direction}_{via}".upper()]
            assert value("ripstop_frames_total", direction=direction, via=via) == 10 + number
            assert value("ripstop_frame_bytes_total", direction=direction, via=via) == 1000 + number
    assert [value("ripstop_dns_addresses", state=state) for state in ("answered", "hidden")] == [2, 4]
    assert [value("ripstop_dns_listeners", state=state) for state in ("answering", "failed")] == [1, 1]
    assert (value("ripstop_dns_names"), value("ripstop_dns_server_up")) == (3, 1)
    assert value("ripstop_dns_events_total", event="udp") == 12
    assert value("ripstop_flood_copies_total") == 10 + CounterClass.FLOOD_COPIES
    assert value("ripstop_delivered_bytes_total") == 1000 + CounterClass.DELIVERED
    assert [value("ripstop_drops_total", reason=r.name.lower()) for r in DropReason] == [*map(int, DropReason)]
    assert (value("ripstop_fdb_entries", where="port"), value("ripstop_fdb_entries", where="peer")) == (3, 4)
    ipam = ("ready", "range_addresses", "owned_addresses", "free_addresses", "allocated_addresses", "pending_requests")
    assert [value(f"ripstop_ipam_{name}") for name in ipam] == [1, 256, 100, 40, 2, 1]
    assert value("ripstop_multicast_remote_members", why="peer") == 4
    assert value("ripstop_multicast_rows", map="branches") == 6
    assert value("ripstop_multicast_queries_total", family="ipv6") == 13
    at_port = {"container": "c1", "ifname": "eth0"}
    assert value("ripstop_multicast_messages_total", **at_port, family="ipv4", message="report") == 9
    assert value("ripstop_multicast_refusals_total", **at_port, reason="rate") == 11
    of_stream = {"group": "239.1.1.1", "source": "10.32.0.1", "host": "h1", **at_port}
    counts = [
        value(f"ripstop_multicast_stream_{name}_total", **of_stream)
        for name in ("packets", "bytes", "delivered", "sent", "dropped")
    ]
    assert counts == [5, 500, 3, 2, 1]
    assert (value("ripstop_multicast_known_streams"), value("ripstop_multicast_streams_left_out")) == (8, 7)


def test_both_formats_say_the_same() -> None:
    text = render(families(SNAPSHOT), openmetrics=True).decode()
    assert text.endswith("# EOF\n")
    assert samples(openmetrics.text_string_to_metric_families(text)) == scraped(SNAPSHOT)  # type: ignore[no-untyped-call]


def test_a_mesh_without_a_ring_is_not_ready_and_owns_nothing() -> None:
    bare = replace(SNAPSHOT.ipam, why="waits for a majority", shares=(), free=0, held=(), waiting=(), contested=())
    read = scraped(replace(SNAPSHOT, ipam=bare))
    assert (read["ripstop_ipam_ready", ()], read["ripstop_ipam_owned_addresses", ()]) == (0, 0)


@given(st.text(max_size=20).filter(lambda text: text.isprintable() or "\n" in text))
def test_whatever_containers_and_hosts_are_called_comes_through(name: str) -> None:
    odd = replace(SNAPSHOT.multicast, streams=[stream(container=name, host=name + '\\"')])
    read = scraped(replace(SNAPSHOT, multicast=odd))
    (labels,) = [dict(labels) for key, labels in read if key == "ripstop_multicast_stream_packets_total"]
    assert (labels["container"], labels["host"]) == (name, name + '\\"')


def test_streams_that_look_alike_are_added_up() -> None:
    alike = replace(SNAPSHOT.multicast, streams=[stream("", packets=5), stream("", packets=7), stream("c1")])
    read = scraped(replace(SNAPSHOT, multicast=alike))
    found = {dict(labels)["container"]: n for (key, labels), n in read.items() if "stream_packets" in key}
    assert found == {"": 12, "c1": 5}


@pytest.mark.parametrize("family", [*families(SNAPSHOT)], ids=lambda family: str(family.name))
def test_names_follow_the_convention(family: Metric) -> None:
    assert re.fullmatch(r"ripstop_[a-z_]+", family.name) and not family.name.endswith("_total")
    assert family.documentation.endswith(".")
    for sample in family.samples:
        assert sample.name == family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")


def test_the_documentation_has_each_of_them_and_no_other() -> None:
    suffix = {"counter": "_total", "info": "_info"}
    said = {f"{f.name}{suffix.get(f.type, '')}": f.type for f in (*families(SNAPSHOT), *PROCESS_COLLECTOR.collect())}
    rows = re.findall(r"^\| `(\w+)`(?: \{[^|]*\})? \| (\w+) \|", DOCS.read_text(), re.MULTILINE)
    assert dict(rows) == {name: "gauge" if kind == "info" else kind for name, kind in said.items()}
    assert len(rows) == len(said)
