"""Timers follow the formulas of the RFCs."""

import pytest

from ripstop.core.multicast.messages import Version
from ripstop.core.multicast.timers import Timers


def test_the_defaults_of_the_rfc_give_what_the_rfc_says() -> None:
    timers = Timers(
        robustness=2, query_interval=125.0, max_response=10.0, last_member_interval=1.0, last_member_count=2
    )
    assert timers.membership() == 260.0
    assert timers.membership(Version.V1) == 260.0
    assert timers.last_member_time == 2.0


def test_ours_are_quick_but_give_the_oldest_hosts_their_time() -> None:
    assert Timers().membership(Version.V2) == Timers().membership() == 21.0
    assert Timers().membership(Version.V1) == 30.0
    assert Timers().last_member_time == 0.2


@pytest.mark.parametrize("wrong", [{"robustness": 0}, {"query_interval": -1.0}, {"last_member_count": 0}])
def test_what_is_not_positive_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="not positive"):
        Timers(**wrong)  # type: ignore[arg-type]  # each is a number


def test_hosts_must_answer_before_they_are_asked_again() -> None:
    with pytest.raises(ValueError, match="not below"):
        Timers(query_interval=10.0, max_response=10.0)
