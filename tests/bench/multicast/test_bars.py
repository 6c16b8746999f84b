from bench.multicast.bars import TARGETS
from bench.multicast.report import tables
from bench.multicast.scale import GROUPS, ONE, SOURCES
from bench.results import Results, judge
from bench.ways import DIRECT, KERNEL, UNDERLAY

JUDGED = {"judged_pps": 90.0, "judged_mbps": 900.0, "judged_lost": 0.0}
SAMPLES = {
    "judged": [{UNDERLAY: JUDGED | {"judged_pps": 100.0}, KERNEL: JUDGED | {"judged_pps": 50.0}, DIRECT: JUDGED}],
    "joins": [{DIRECT: {"join_p99_ms": 30.0}}],
    "scale": [{ONE: {"scale_pps": 100.0}, GROUPS: {"scale_pps": 96.0}, SOURCES: {"scale_pps": 94.0}}],
}


def test_bars_are_judged_against_ways_loads_and_alone() -> None:
    assert {verdict.target: verdict.passed for verdict in judge(SAMPLES, TARGETS)} == {
        "judged_pps ≥ 0.75 × underlay": True,
        "judged_pps ≥ 1.5 × kernel": True,
        "judged_mbps ≥ 800": True,
        "join_p99_ms ≤ 20": False,
        "scale_pps of groups ≥ 0.95 × one": True,
        "scale_pps of sources ≥ 0.95 × one": False,
    }


def test_tables_leave_out_what_was_not_measured() -> None:
    medians = {way: dict(numbers) for way, numbers in SAMPLES["judged"][0].items()}
    shown = tables(Results("", True, {}, {}, medians, {"judged_pps": {"direct/kernel": 1.8}}, [], {}))
    assert "1300 B, 1 → 2 hosts" in shown
    assert "1.80" in shown
    assert "8000 B" not in shown
    assert "groups" not in shown
