"""From samples to medians, ratios and verdicts; pure."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

import msgspec

from bench.ways import DIRECT, KERNEL, REFERENCES, UNDERLAY

Sample = Mapping[str, Mapping[str, float]]  # way → number → value; all taken one right after the other


class Target(msgspec.Struct, frozen=True):
    """A bar: how a number of ripstop, direct, must compare with the same number of another way."""

    number: str
    against: str  # way
    want: float
    kind: str = "ratio"  # or "difference", or "value": of the number itself, whatever it is elsewhere
    at_most: bool = False
    of: str = DIRECT  # the way that is judged

    @property
    def text(self) -> str:
        """The bar in words."""
        sign = "≤" if self.at_most else "≥"
        bar = {
            "ratio": f"{self.want:g} × {self.against}",
            "difference": f"{self.against} + {self.want:g}",
            "value": f"{self.want:g}",
        }[self.kind]
        return f"{self.number}{'' if self.of == DIRECT else f' of {self.of}'} {sign} {bar}"

    def value(self, samples: Sequence["Sample"]) -> float:
        """Return what was measured of what the bar is about."""
        if self.kind == "value":
            return median(sample[self.of][self.number] for sample in samples)
        compare = ratio if self.kind == "ratio" else difference
        return compare(samples, self.number, self.of, self.against)


class Verdict(msgspec.Struct, frozen=True):
    """What became of a bar."""

    target: str
    value: float
    passed: bool


class Results(msgspec.Struct):
    """One run, as it is written to `bench/results/`."""

    date: str
    quick: bool
    machine: Mapping[str, str]
    settings: Mapping[str, str]
    medians: Mapping[str, Mapping[str, float]]  # way → number → value
    ratios: Mapping[str, Mapping[str, float]]  # number → "direct/kernel" and so on → median of ratios within samples
    targets: Sequence[Verdict]
    samples: Mapping[str, Sequence[Sample]]  # by measure


TARGETS = (
    Target("tcp1_gbps", UNDERLAY, 0.78),
    Target("tcp1_gbps", KERNEL, 1.10),
    Target("tcp1_gbps_per_core", KERNEL, 1.2),
    Target("tcp8_gbps", UNDERLAY, 0.78),
    Target("tcp8_gbps", KERNEL, 1.10),
    Target("tcp8_gbps_per_core", KERNEL, 1.2),
    Target("icmp_rr_p50_us", KERNEL, 0.6, at_most=True),
    Target("icmp_rr_p50_us", UNDERLAY, 3.0, kind="difference", at_most=True),
    Target("udp_pps", UNDERLAY, 0.75),
    Target("udp_pps", KERNEL, 1.5),
    Target("multicast_pps", UNDERLAY, 0.75),
    Target("multicast_pps", KERNEL, 1.5),
)


def in_turn(ways: Sequence[str], number: int, measure: Callable[[str], Mapping[str, float]]) -> Sample:
    """Measure all ways one right after the other, in round `number` beginning with another one than in the last."""
    turn = number % len(ways)
    got = {way: measure(way) for way in (*ways[turn:], *ways[:turn])}
    return {way: got[way] for way in ways}


def medians(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Return the median of every number on every way."""
    return {
        way: {number: median(sample[way][number] for sample in samples) for number in numbers}
        for way, numbers in samples[0].items()
    }


def ratio(samples: Sequence[Sample], number: str, way: str, against: str) -> float:
    """Return the median of the ratios within each sample: a machine that changes speed between samples cancels out."""
    return median(sample[way][number] / sample[against][number] for sample in samples)


def difference(samples: Sequence[Sample], number: str, way: str, against: str) -> float:
    """Return the median of the differences within each sample."""
    return median(sample[way][number] - sample[against][number] for sample in samples)


def ratios(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Return every number's ratios of each way to those that ripstop is compared with."""
    ways = list(samples[0])
    return {
        number: {
            f"{way}/{against}": ratio(samples, number, way, against)
            for against in REFERENCES
            for way in ways
            if against in ways and way != against and all(sample[against][number] for sample in samples)
        }
        for number in samples[0][ways[0]]
    }


def judge(samples: Mapping[str, Sequence[Sample]], targets: Sequence[Target] = TARGETS) -> list[Verdict]:
    """Return what became of every bar whose numbers were measured."""
    verdicts = []
    for target in targets:
        for taken in samples.values():
            ways = taken[0]
            compared = target.kind == "value" or target.against in ways
            if target.of in ways and compared and target.number in ways[target.of]:
                value = target.value(taken)
                passed = value <= target.want if target.at_most else value >= target.want
                verdicts.append(Verdict(target.text, value, passed))
    return verdicts
