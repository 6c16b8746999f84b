import pytest

from bench.results import Sample, Target, Verdict, in_turn, judge, medians, ratio, ratios
from bench.ways import DIRECT, KERNEL, UNDERLAY


def sample(underlay: float, kernel: float, direct: float, number: str = "tcp1_gbps") -> Sample:
    return {UNDERLAY: {number: underlay}, KERNEL: {number: kernel}, DIRECT: {number: direct}}


def test_medians_are_of_each_way_alone() -> None:
    assert medians([sample(1, 2, 3), sample(9, 1, 4), sample(2, 3, 5)]) == {
        UNDERLAY: {"tcp1_gbps": 2},
        KERNEL: {"tcp1_gbps": 2},
        DIRECT: {"tcp1_gbps": 4},
    }


def test_a_ratio_does_not_see_the_machine_change_its_speed() -> None:
    samples = [sample(10, 5, 8), sample(20, 10, 16), sample(5, 2.5, 4)]
    assert ratio(samples, "tcp1_gbps", DIRECT, UNDERLAY) == pytest.approx(0.8)


def test_ratios_compare_with_underlay_and_kernel() -> None:
    got = ratios([sample(10, 5, 8)])["tcp1_gbps"]
    assert got["direct/underlay"] == pytest.approx(0.8)
    assert got["direct/kernel"] == pytest.approx(1.6)


def test_a_number_that_may_be_zero_has_no_ratio() -> None:
    assert "direct/underlay" not in ratios([sample(0, 5, 8)])["tcp1_gbps"]


def test_bars_are_judged_where_their_numbers_were_taken() -> None:
    assert judge({"tcp1": [sample(10, 8, 8)]}) == [
        Verdict("tcp1_gbps ≥ 0.78 × underlay", 0.8, True),
        Verdict("tcp1_gbps ≥ 1.1 × kernel", 1.0, False),
    ]
    assert judge({"tcp1": [{UNDERLAY: {"tcp1_gbps": 1.0}}]}) == []


def test_a_bar_may_be_a_difference() -> None:
    verdicts = judge({"icmp_rr": [sample(5, 20, 7.5, "icmp_rr_p50_us")]})
    assert [verdict.passed for verdict in verdicts] == [True, True]
    assert verdicts[1].value == pytest.approx(2.5)


def test_bars_read_as_people_write_them() -> None:
    assert Target("icmp_rr_p50_us", UNDERLAY, 3.0, "difference", at_most=True).text == "icmp_rr_p50_us ≤ underlay + 3"


def test_ways_take_turns_at_being_first() -> None:
    order: list[str] = []

    def measure(way: str) -> dict[str, float]:
        order.append(way)
        return {"n": 1.0}

    for number in range(3):
        sample = in_turn(["a", "b", "c"], number, measure)
        assert list(sample) == ["a", "b", "c"]
    assert order == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
