"""Results as tables for people, and as a chart."""

from collections.abc import Mapping
from pathlib import Path

from bench.multicast.bars import SCALE, SINGLE
from bench.multicast.rates import SCENARIOS
from bench.multicast.scale import LOADS, ONE
from bench.report import aligned, finish
from bench.results import Results
from bench.ways import DIRECT, KERNEL, TITLES, UNDERLAY

_WAYS = (UNDERLAY, KERNEL, DIRECT)


def tables(results: Results) -> str:
    """Return what was measured: by way, of Ripstop alone, and by load."""
    parts = [_by_way(results), _single(results.medians.get(DIRECT, {})), _by_load(results)]
    return "\n\n".join(aligned(part) for part in parts if len(part) > 1)


def chart(results: Results, path: Path) -> None:
    """Draw rates as shares of the underlay's, and of those with one group."""
    import matplotlib as mpl

    mpl.use("Agg")  # no display
    from matplotlib import pyplot as plt

    medians = results.medians
    names = [name for name in SCENARIOS if f"{name}_pps" in medians.get(DIRECT, {})]
    loads = [load for load in LOADS if "scale_pps" in medians.get(load, {})]
    figure, (rates, scale) = plt.subplots(1, 2, figsize=(14, 4.5), width_ratios=[5, 1.3])
    for i, way in enumerate(_WAYS if names else ()):
        values = [medians[way][f"{name}_pps"] for name in names]
        shares = [medians[way][f"{name}_pps"] / medians[UNDERLAY][f"{name}_pps"] for name in names]
        bars = rates.bar([place + (i - 1) * 0.27 for place in range(len(names))], shares, 0.25, label=TITLES[way])
        rates.bar_label(bars, [f"{value:,.0f}" for value in values], fontsize=6, rotation=90, padding=2)
    rates.set_xticks(range(len(names)), [SCENARIOS[name].title.replace(", ", ",\n") for name in names], fontsize=7)
    rates.set_title("packets/s at each receiver, compared with (a)", fontsize=10)
    rates.margins(y=0.25)
    if names:
        rates.legend(fontsize=8, loc="lower left")
    bars = scale.bar(range(len(loads)), [medians[load]["scale_pps"] / medians[ONE]["scale_pps"] for load in loads])
    scale.bar_label(bars, [f"{medians[load]['scale_pps']:,.0f}" for load in loads], fontsize=7)
    scale.set_xticks(range(len(loads)), [LOADS[load].title.replace(" ", "\n") for load in loads], fontsize=7)
    scale.set_title("packets/s with more joined", fontsize=10)
    finish(figure, results, path)


def _by_way(results: Results) -> list[list[str]]:
    lines = [["", "", *(TITLES[way] for way in _WAYS), "c/a", "c/b"]]
    rows = {
        **{f"{name}_pps": (it.title, "packets/s", "{:,.0f}") for name, it in SCENARIOS.items()},
        "one_way_p50_us": ("one way, 200 B, 5,000 packets/s, p50", "µs", "{:.1f}"),
        "one_way_p99_us": ("  p99", "µs", "{:.1f}"),
    }
    for number, (title, unit, form) in rows.items():
        if number not in results.medians.get(DIRECT, {}):
            continue
        lines.append([title, unit, *_cells(results, number, form)])
        if number.endswith("_pps"):
            name = number.removesuffix("_pps")
            lines.append(["", "Mbit/s", *_cells(results, f"{name}_mbps", "{:,.0f}")[:3], "", ""])
            lines.append(["", "share lost", *_cells(results, f"{name}_lost", "{:.4f}")[:3], "", ""])
    return lines


def _cells(results: Results, number: str, form: str) -> list[str]:
    ratios = results.ratios.get(number, {})
    values = [form.format(results.medians[way][number]) for way in _WAYS]
    shown = [ratios.get(f"{DIRECT}/{against}") for against in (UNDERLAY, KERNEL)]
    return values + ["" if ratio is None else f"{ratio:.2f}" for ratio in shown]


def _single(numbers: Mapping[str, float]) -> list[list[str]]:
    lines = [["of ripstop alone", "", ""]]
    lines += [[title, "", f"{numbers[number]:,.5g}" if numbers[number] % 1 else f"{numbers[number]:,.0f}"]
              for number, title in SINGLE.items() if number in numbers]  # fmt: skip
    return lines


def _by_load(results: Results) -> list[list[str]]:
    loads = [load for load in LOADS if "scale_pps" in results.medians.get(load, {})]
    lines = [["joined on the receivers' host", "", *(LOADS[load].title for load in loads)]]
    for number, (title, unit, form) in SCALE.items() if loads else ():
        lines.append([title, unit, *(form.format(results.medians[load][number]) for load in loads)])
    return lines
