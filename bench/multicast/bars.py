"""The bars, and what numbers are called.  Pure."""

from collections.abc import Sequence

from bench.multicast.copies import MEMBERS
from bench.multicast.scale import GROUPS, ONE, SOURCES
from bench.results import Target
from bench.ways import KERNEL, UNDERLAY


def _at_most(number: str, want: float) -> Target:
    return Target(number, "", want, kind="value", at_most=True)


TARGETS: Sequence[Target] = (
    Target("judged_pps", UNDERLAY, 0.75),
    Target("judged_pps", KERNEL, 1.5),
    Target("judged_mbps", "", 800.0, kind="value"),
    *(_at_most(f"copies_{members}_wrong", 0) for members in MEMBERS),
    _at_most("long_lost", 0),
    _at_most("long_reordered", 0),
    _at_most("own_x1_lost", 0),
    _at_most("own_x10_lost", 0),
    _at_most("all_x1_lost", 0),
    _at_most("all_highest_lost", 0),
    _at_most("join_p99_ms", 20),
    _at_most("join_late", 0),
    _at_most("leave_p99_ms", 100),
    Target("one_way_p50_us", UNDERLAY, 20, kind="difference", at_most=True),
    Target("one_way_p99_us", UNDERLAY, 100, kind="difference", at_most=True),
    Target("scale_pps", ONE, 0.95, of=GROUPS),
    Target("scale_pps", ONE, 0.95, of=SOURCES),
)

SINGLE = {  # numbers of Ripstop alone
    **{f"copies_{m}_sent": f"copies of a packet that leave the sender's host, {m} of 5 with members" for m in MEMBERS},
    **{f"copies_{m}_elsewhere": f"packets where none should be, {m} of 5 with members" for m in MEMBERS},
    **{f"copies_{m}_wrong": f"interfaces with more or fewer than wanted, {m} of 5" for m in MEMBERS},
    "lossless_pps": "highest rate without loss, 1 → 2 hosts, packets/s",
    "long_pps": "long run, packets/s",
    "long_packets": "  packets sent",
    "long_lost": "  lost",
    "long_reordered": "  reordered",
    "own_x1_mbps": "10 groups, a receiver each, Mbit/s in all",
    "own_x1_lost": "  lost",
    "own_x10_mbps": "10 groups, a receiver each, 10 times that",
    "own_x10_lost": "  lost",
    "all_x1_mbps": "10 groups, all to each of 10, Mbit/s sent",
    "all_x1_lost": "  lost",
    "all_highest_mbps": "10 groups, all to each of 10, as far as it goes",
    "all_highest_lost": "  lost",
    "join_p50_ms": "join to first packet, p50, ms",
    "join_p99_ms": "  p99",
    "join_max_ms": "  max",
    "join_stolen": "  not counted so far, as another machine had a processor meanwhile",
    "join_all_p50_ms": "  with these, p50",
    "join_all_p99_ms": "  p99",
    "join_late": "  joins without a packet within 5 s",
    "leave_p50_ms": "leave to last packet, p50, ms",
    "leave_p99_ms": "  p99",
    "leave_max_ms": "  max",
    "leave_stolen": "  not counted so far, as another machine had a processor meanwhile",
    "leave_all_p50_ms": "  with these, p50",
    "leave_all_p99_ms": "  p99",
}

SCALE = {  # numbers that differ by load
    "scale_pps": ("1300 B, 1 → 1 host", "packets/s", "{:,.0f}"),
    "scale_lost": ("  lost", "share", "{:.4f}"),
    "scale_daemon_cores": ("  busy with both daemons", "cores", "{:.3f}"),
    "scale_sender_rows": ("rows on the sender's host", "", "{:,.0f}"),
    "scale_sender_maps_mb": ("  their maps", "MB", "{:.1f}"),
    "scale_sender_rss_mb": ("  its daemon, RSS", "MB", "{:.0f}"),
    "scale_receiver_rows": ("rows on the receivers' host", "", "{:,.0f}"),
    "scale_receiver_maps_mb": ("  their maps", "MB", "{:.1f}"),
    "scale_receiver_rss_mb": ("  its daemon, RSS", "MB", "{:.0f}"),
}
