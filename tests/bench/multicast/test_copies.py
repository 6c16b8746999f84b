import pytest

from bench.multicast.copies import MEMBERS, expected, numbers
from ripstop.lab.lab import Lab

LAB = Lab(6, name="never-up", containers=2)


@pytest.mark.parametrize("members", MEMBERS)
def test_the_sender_sends_one_copy_to_each_host_with_members(members: int) -> None:
    wanted = expected(LAB, members)
    assert wanted["h1"] == members
    assert sum(wanted[f"h{i}"] for i in range(2, 7)) == members
    assert sum(copies for name, copies in wanted.items() if "c" in name) == members + 1


def test_a_packet_where_none_should_be_is_seen() -> None:
    wanted = expected(LAB, 1)
    counted = {name: copies * 100 for name, copies in wanted.items()}
    assert numbers(1, counted, wanted, 100) == {
        "copies_1_sent": 1.0,
        "copies_1_elsewhere": 0.0,
        "copies_1_wrong": 0.0,
    }
    stray = numbers(1, counted | {"h6": 3}, wanted, 100)
    assert (stray["copies_1_elsewhere"], stray["copies_1_wrong"]) == (3.0, 1.0)
