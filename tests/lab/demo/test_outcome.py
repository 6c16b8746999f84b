import json
from dataclasses import replace

import pytest

from ripstop.lab.demo.outcome import PAIRS, Outcome

GOOD = Outcome(
    pairs_ok=PAIRS,
    tcp_gbps=8.123,
    relay_tcp_gbps=5.0,
    multicast_sent=50000,
    multicast_received=[50000] * 5,
    multicast_lost=0,
    multicast_strays=0,
    heal_s=0.98765,
    lost_in_restart=0,
)


def test_the_last_line_has_exactly_these_fields() -> None:
    assert json.loads(GOOD.to_json()) == {
        "ok": True,
        "hosts": 3,
        "pairs_ok": 15,
        "tcp_gbps": 8.12,
        "relay_tcp_gbps": 5.0,
        "multicast": {"sent": 50000, "received": [50000] * 5, "lost": 0, "strays": 0},
        "heal_s": 0.99,
        "lost_in_restart": 0,
    }


@pytest.mark.parametrize(
    "flaw",
    [
        {"pairs_ok": PAIRS - 1},
        {"tcp_gbps": None},
        {"relay_tcp_gbps": None},
        {"multicast_sent": 0},
        {"multicast_lost": 1},
        {"multicast_lost": None},
        {"multicast_strays": 1},
        {"multicast_strays": None},
        {"heal_s": None},
        {"lost_in_restart": 1},
        {"lost_in_restart": None},
        {"failures": ["h1c1 and h2c1 cannot do everything"]},
    ],
)
def test_one_flaw_is_enough(flaw: dict[str, object]) -> None:
    assert not replace(GOOD, **flaw).ok  # type: ignore[arg-type]  # each flaw is of its field's type


def test_an_expectation_that_fails_is_noted() -> None:
    outcome = Outcome()
    assert outcome.expect(True, "not this")
    assert not outcome.expect(False, "but this")
    assert outcome.failures == ["but this"]
