import pytest

from bench.multicast.loss import bisect


@pytest.mark.parametrize("limit", [1.0, 3.0, 50.0, 99.0])
def test_bisection_ends_below_the_limit_and_close_to_it(limit: float) -> None:
    found = bisect(lambda rate: rate <= limit, top=100.0, steps=10)
    assert limit - 0.1 <= found <= limit


def test_without_loss_at_the_top_nothing_else_is_tried() -> None:
    tried = []

    def is_lossless(rate: float) -> bool:
        tried.append(rate)
        return True

    assert bisect(is_lossless, top=100.0, steps=10) == 100.0
    assert tried == [100.0]


def test_with_loss_everywhere_there_is_no_rate() -> None:
    assert bisect(lambda _rate: False, top=100.0, steps=5) == 0.0
