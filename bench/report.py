"""Results as a table for people, as files, and as a chart."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bench.results import Results
from bench.ways import DIRECT, KERNEL, LEAN, RELAYED, TITLES, UNDERLAY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIRECTORY = Path(__file__).parent / "results"
ROWS = {
    "tcp1_gbps": ("TCP, 1 stream", "Gbit/s", "{:.2f}"),
    "tcp1_gbps_per_core": ("  per busy core", "Gbit/s", "{:.2f}"),
    "tcp8_gbps": ("TCP, 8 streams", "Gbit/s", "{:.2f}"),
    "tcp8_gbps_per_core": ("  per busy core", "Gbit/s", "{:.2f}"),
    "icmp_rr_p50_us": ("round trip, ICMP, p50", "µs", "{:.1f}"),
    "icmp_rr_p99_us": ("  p99", "µs", "{:.1f}"),
    "udp_rr_p50_us": ("request/response, UDP, p50", "µs", "{:.1f}"),
    "udp_rr_p99_us": ("  p99", "µs", "{:.1f}"),
    "tcp_rr_p50_us": ("request/response, TCP, p50", "µs", "{:.1f}"),
    "tcp_rr_p99_us": ("  p99", "µs", "{:.1f}"),
    "udp_pps": ("UDP 1300 B, arrived", "packets/s", "{:,.0f}"),
    "udp_lost": ("  lost", "share", "{:.4f}"),
    "multicast_pps": ("multicast 1300 B, arrived at each of 2", "packets/s", "{:,.0f}"),
    "multicast_lost": ("  lost", "share", "{:.4f}"),
}


def table(results: Results) -> str:
    """Return numbers and ratios, one line for each number."""
    ways = list(results.medians)
    comparisons = [f"{way}/{UNDERLAY}" for way in ways if way != UNDERLAY]
    comparisons += [f"{way}/{against}" for against in (KERNEL, LEAN) for way in (DIRECT, RELAYED)]
    comparisons = [c for c in comparisons if any(c in shown for shown in results.ratios.values())]
    letters = {way: TITLES[way][1] for way in ways}
    heads = [
        "",
        "",
        *(TITLES[way] for way in ways),
        *(f"{letters[a]}/{letters[b]}" for a, b in map(_split, comparisons)),
    ]
    lines = [heads]
    for number, (title, unit, form) in ROWS.items():
        if number in results.medians[ways[0]]:
            values = [form.format(results.medians[way][number]) for way in ways]
            shown = results.ratios.get(number, {})
            lines.append([title, unit, *values, *(f"{shown[c]:.2f}" if c in shown else "" for c in comparisons)])
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return rows as text: the first two columns to the left, numbers to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            f"{cell:<{w}}" if i < 2 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def verdicts(results: Results) -> str:
    """Return one line for each bar."""
    return "\n".join(f"{'pass' if v.passed else 'MISS'}  {v.target}: {v.value:.2f}" for v in results.targets)


def save(
    results: Results,
    directory: Path = DIRECTORY,
    *,
    prefix: str = "",
    draw: Callable[[Results, Path], None] | None = None,
) -> Path:
    """Write JSON and chart, also as `latest`, their names beginning with `prefix`; return where the JSON is."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{prefix}{results.date.replace(':', '')}.json"
    latest = directory / f"{prefix}latest.json"
    for target in (path, latest):
        target.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    for target in (path.with_suffix(".png"), latest.with_suffix(".png")) if draw is not nothing else ():
        (draw or chart)(results, target)
    return path


def nothing(_results: Results, _path: Path) -> None:
    """Draw nothing, for numbers that need no picture."""


def chart(results: Results, path: Path) -> None:
    """Draw every way as its share of the underlay (of the first way, if that was not measured)."""
    import matplotlib as mpl

    mpl.use("Agg")  # no display
    from matplotlib import pyplot as plt

    panels = {
        "more is better": ["tcp1_gbps", "tcp1_gbps_per_core", "tcp8_gbps", "udp_pps", "multicast_pps"],
        "less is better": ["icmp_rr_p50_us", "udp_rr_p50_us", "tcp_rr_p50_us", "icmp_rr_p99_us"],
    }
    names = {"tcp1_gbps_per_core": "TCP, 1 stream,\nper busy core", "multicast_pps": "multicast\n1 → 2",
             "udp_pps": "UDP\npackets/s", "icmp_rr_p99_us": "round trip,\nICMP, p99"}  # fmt: skip
    ways = list(results.medians)
    figure, axes = plt.subplots(1, 2, figsize=(13, 4.5), width_ratios=[5, 4])
    for axis, (title, numbers) in zip(axes, panels.items(), strict=True):
        shown = [number for number in numbers if number in results.medians[ways[0]]]
        for i, way in enumerate(ways):
            heights = [results.medians[way][number] / results.medians[ways[0]][number] for number in shown]
            width = 0.8 / len(ways)
            places = [place + (i - len(ways) / 2 + 0.5) * width for place in range(len(shown))]
            bars = axis.bar(places, heights, width * 0.95, label=TITLES[way])
            labels = [ROWS[number][2].format(results.medians[way][number]) for number in shown]
            axis.bar_label(bars, labels, fontsize=6, rotation=90, padding=2)
        axis.set_xticks(range(len(shown)), [names.get(n, ROWS[n][0].replace(", ", ",\n")) for n in shown], fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.margins(y=0.2)
    axes[0].set_ylabel(f"compared with {TITLES[ways[0]]}")
    axes[0].legend(fontsize=8, loc="lower left")
    finish(figure, results, path)


def finish(figure: "Figure", results: Results, path: Path) -> None:
    """Say beside a chart what it was measured on, and write it."""
    from matplotlib import pyplot as plt

    machine = results.machine
    figure.suptitle(
        f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, {results.date}", fontsize=8
    )
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _split(comparison: str) -> tuple[str, str]:
    way, _, against = comparison.partition("/")
    return way, against
