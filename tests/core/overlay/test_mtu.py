"""The MTU that fits everybody."""

import pytest

from ripstop.core.overlay.mtu import MIN_MTU, VXLAN_OVERHEAD, overlay_mtu, path_mtu


def test_the_overhead_is_what_the_headers_add_up_to() -> None:
    assert VXLAN_OVERHEAD == 14 + 8 + 8 + 20
    assert path_mtu(1500) == 1450


@pytest.mark.parametrize(
    ("underlay", "peers", "fixed", "found"),
    [
        (1500, [], None, 1450),
        (9000, [], None, 8950),
        (9000, [8950, 1450], None, 1450),
        (9000, [8950, 0], None, 8950),
        (1500, [8950], None, 1450),
        (1500, [0, 0], None, 1450),
        (1500, [1450], 1400, 1400),
        (1500, [1450], 9000, 1450),
        (1500, [1280], 1400, 1280),
        (1300, [], None, MIN_MTU),
        (1500, [], 1300, 1300),
    ],
)
def test_the_least_of_all_but_never_too_little(underlay: int, peers: list[int], fixed: int | None, found: int) -> None:
    assert overlay_mtu(underlay, peers, fixed) == found
