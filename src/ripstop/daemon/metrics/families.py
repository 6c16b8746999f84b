"""From a snapshot to Prometheus' metric families; pure.

Names follow https://prometheus.io/docs/practices/naming/; docs/metrics.md lists them and a test compares the two.
Labels are few and have few values: none is a peer or an address, but for the busiest streams, whose number is bounded.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from ripstop.api import types
from ripstop.core.ipam.status import AllocatorStatus
from ripstop.core.names import PeerName
from ripstop.daemon.metrics.snapshot import GroupCounts, KernelCounts, MeshCounts, Snapshot

_STREAM_LABELS = ("group", "source", "host", "container", "ifname")
_STREAM_COUNTS = {
    "packets": "Packets of one source to one group that came in here.",
    "bytes": "Bytes of whole frames of one source to one group that came in here.",
    "delivered": "Copies of one source's packets to one group that went to ports of this host.",
    "sent": "Copies of one source's packets to one group that went to other hosts.",
    "dropped": "Packets of one source to one group that nobody got.",
}


def render(families: Iterable[Metric], *, openmetrics: bool) -> bytes:
    """Write families down in Prometheus' text format 0.0.4, or in that of OpenMetrics 1.0.0."""
    found = _Collected(families)
    if openmetrics:
        return bytes(generate_openmetrics(found))  # type: ignore[no-untyped-call]
    return generate_latest(found)


class _Collected(Collector):
    """Families that are there already, as the library wants to be handed them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield everything that is said of one host."""
    version = snapshot.version
    yield InfoMetricFamily(
        "ripstop_build",
        "What runs here; always 1.",
        {"version": version.version, "protocol": str(version.protocol), "abi": version.abi},
    )
    yield _gauge("ripstop_ports", "Interfaces attached to containers of this host.", snapshot.ports)
    yield from _guards(snapshot)
    yield _gauge("ripstop_mtu_bytes", "MTU of container interfaces; 0 while it is not known.", snapshot.mtu)
    yield from _mesh(snapshot.mesh)
    yield from _datapath(snapshot.datapath)
    yield from _ipam(snapshot.ipam, snapshot.own)
    yield from _multicast(snapshot.multicast, snapshot.datapath)
    yield from _dns(snapshot.dns)


def _guards(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge("ripstop_guarded_ports", "Interfaces of containers that are guarded.", snapshot.guarded)
    stopped = CounterMetricFamily(
        "ripstop_port_stopped",
        "Frames of one guarded interface that were stopped, by drop reason.",
        labels=("container", "ifname", "reason"),
    )
    for one in snapshot.stopped:
        stopped.add_metric((one.container, one.ifname, one.reason), one.count)
    yield stopped


def _mesh(mesh: MeshCounts) -> Iterator[Metric]:
    yield _gauges(
        "ripstop_peers",
        "Other hosts known, by how frames reach them.",
        "state",
        _tally((peer.state for peer in mesh.peers if peer.state != "self"), "direct", "relayed", "unreachable", "left"),
    )
    yield _gauges(
        "ripstop_connections",
        "Control connections to other hosts, by state.",
        "state",
        _tally((found.control for found in mesh.connections), "established", "connecting", "closed"),
    )
    yield _gauges(
        "ripstop_paths",
        "Data paths to other hosts, by kind.",
        "path",
        _tally((found.path for found in mesh.connections), "vxlan", "relay", "none"),
    )
    yield _gauge("ripstop_routes", "Other hosts to which frames can be sent, directly or relayed.", mesh.routes)
    yield _gauges(
        "ripstop_targets",
        "Addresses dialed by order of the user, by state.",
        "state",
        _tally((target.state for target in mesh.targets), "connected", "dialing", "waiting"),
    )
    yield _gauge(
        "ripstop_settled",
        "Whether all known hosts are reachable, all targets connected and the kernel's tables written.",
        int(mesh.settled),
    )
    yield _gauge("ripstop_problems", "Lines that `ripstop status` has under problems.", mesh.problems)
    control = mesh.control
    yield _counters(
        "ripstop_control_connections",
        "Control connections that came about, by who began.",
        "direction",
        {"inbound": control["accepted"], "outbound": control["dialed"]},
    )
    yield _counters(
        "ripstop_control_failures",
        "Control connections dropped for what came in, for too many of them, or as the other host did not read.",
        "reason",
        {name: control[name] for name in ("bad_messages", "refused", "overruns")},
    )
    yield _counters(
        "ripstop_probe_failures",
        "Probes of data paths that could not be sent, or made no sense when they came.",
        "reason",
        mesh.probes,
    )


def _datapath(datapath: KernelCounts) -> Iterator[Metric]:
    counters = datapath.counters
    frames = CounterMetricFamily(
        "ripstop_frames",
        "Frames that crossed the underlay, those to probe paths too; segments that travel as one count once.",
        labels=("direction", "via"),
    )
    size = CounterMetricFamily(
        "ripstop_frame_bytes",
        "Bytes of frames that crossed the underlay, with the outer header where they went via the fast path.",
        labels=("direction", "via"),
    )
    for direction in ("sent", "received", "relayed"):
        for via in ("fast", "companion"):
            counter = counters[f"{direction}_{via}"]
            frames.add_metric((direction, via), counter.packets)
            size.add_metric((direction, via), counter.bytes)
    yield frames
    yield size
    copies, delivered = counters["flood_copies"], counters["delivered"]
    yield _counter("ripstop_flood_copies", "Of frames sent or relayed, the copies along a tree.", copies.packets)
    yield _counter("ripstop_flood_copy_bytes", "Bytes of copies along a tree.", copies.bytes)
    yield _counter("ripstop_delivered_frames", "Frames handed to ports of this host.", delivered.packets)
    yield _counter("ripstop_delivered_bytes", "Bytes of frames handed to ports of this host.", delivered.bytes)
    yield _counters("ripstop_drops", "Frames that went no further, by reason.", "reason", datapath.drops)
    yield _gauges("ripstop_fdb_entries", "MAC addresses learnt, by where they are.", "where", datapath.stations)


def _ipam(status: AllocatorStatus, own: PeerName) -> Iterator[Metric]:
    """Say how this host stands for addresses: all that depends on how they are shared out."""
    owned = sum(share.addresses for share in status.shares if share.peer == own and not share.lost)
    for name, text, value in (
        ("ready", "Whether the range is divided, so that addresses can be given out.", int(not status.why)),
        ("range_addresses", "Addresses in the range of the overlay.", len(status.universe)),
        ("owned_addresses", "Addresses that are this host's to give out.", owned),
        ("free_addresses", "Addresses that can be given out here without asking anybody.", status.free),
        ("allocated_addresses", "Addresses held by containers of this host and by itself.", len(status.held)),
        ("pending_requests", "Requests for addresses that wait.", len(status.waiting)),
        ("contested_ranges", "Ranges that two hosts own and nobody gives out.", len(status.contested)),
    ):
        yield _gauge(f"ripstop_ipam_{name}", text, value)


def _multicast(multicast: GroupCounts, datapath: KernelCounts) -> Iterator[Metric]:
    yield _gauge("ripstop_multicast_groups", "Groups that anybody is known to want.", multicast.groups)
    yield _gauges(
        "ripstop_multicast_members",
        "Memberships behind ports of this host, by why; a router is one for each family.",
        "why",
        multicast.members,
    )
    yield _gauges(
        "ripstop_multicast_remote_members",
        "Memberships of other hosts, by why; a group counts once for each host.",
        "why",
        multicast.remote,
    )
    yield _gauges(
        "ripstop_multicast_rows",
        "Entries of the kernel's maps that say where groups go: to ports, or along trees.",
        "map",
        datapath.rows,
    )
    heard = CounterMetricFamily(
        "ripstop_multicast_messages",
        "IGMP, MLD and PIM messages of hosts behind a port, whether they had an effect or not.",
        labels=("container", "ifname", "family", "message"),
    )
    for one in multicast.heard:
        heard.add_metric((one.container, one.ifname, one.family, one.message), one.count)
    yield heard
    refusals = CounterMetricFamily(
        "ripstop_multicast_refusals",
        "What hosts behind a port said of groups and what had no effect, by reason.",
        labels=("container", "ifname", "reason"),
    )
    for refusal in multicast.refusals:
        refusals.add_metric((refusal.container, refusal.ifname, refusal.reason), refusal.count)
    yield refusals
    yield _counters("ripstop_multicast_queries", "Queries sent to ports.", "family", multicast.queries)
    yield from _streams(multicast.streams)
    yield _gauge("ripstop_multicast_known_streams", "Sources of groups that were seen lately.", datapath.known_streams)
    yield _gauge(
        "ripstop_multicast_streams_left_out",
        "Sources of groups that have no series of their own, as others are busier.",
        datapath.known_streams - len(datapath.streams),
    )


def _streams(streams: Iterable[types.MulticastStream]) -> Iterator[Metric]:
    """Say what came of each stream; those that look alike, as their ports are gone, are one."""
    sums: dict[tuple[str, ...], Counter[str]] = {}
    for stream in streams:
        labels = (stream.group, stream.source, stream.host, stream.container, stream.ifname)
        sums.setdefault(labels, Counter()).update({name: getattr(stream, name) for name in _STREAM_COUNTS})
    for name, text in _STREAM_COUNTS.items():
        family = CounterMetricFamily(f"ripstop_multicast_stream_{name}", text, labels=_STREAM_LABELS)
        for alike, counts in sums.items():
            family.add_metric(alike, counts[name])
        yield family


def _dns(dns: types.DnsStatus) -> Iterator[Metric]:
    yield _gauge("ripstop_dns_names", "Different names known, of this host and others.", dns.names)
    hidden = sum(host.addresses for host in dns.hosts if host.hidden)
    answered = sum(host.addresses for host in dns.hosts) - hidden
    yield _gauges(
        "ripstop_dns_addresses",
        "Addresses under names, once for each name; hidden are those on hosts that frames do not reach.",
        "state",
        {"answered": answered, "hidden": hidden},
    )
    server = dns.server
    yield _gauge("ripstop_dns_server_up", "Whether the name server runs.", int(server is not None and server.pid > 0))
    yield _counter("ripstop_dns_server_restarts", "How often it died.", server.restarts if server else 0)
    listening = server.listening if server else ()
    yield _gauges(
        "ripstop_dns_listeners",
        "Addresses on which names are to be answered, by whether they are.",
        "state",
        _tally(("failed" if place.since is None else "answering" for place in listening), "answering", "failed"),
    )
    yield _counters(
        "ripstop_dns_events",
        "What the name server did since it started: queries by transport, by who answered, and what went wrong.",
        "event",
        server.counters if server else {},
    )


def _tally(found: Iterable[str], *known: str) -> dict[str, int]:
    """Count what was found; what is known to be possible is told even where there is none."""
    return {**dict.fromkeys(known, 0), **Counter(found)}


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for which, value in values.items():
        family.add_metric((which,), value)
    return family


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value)


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for which, value in values.items():
        family.add_metric((which,), value)
    return family
