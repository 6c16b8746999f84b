"""Conditions of a simulated underlay."""

from random import Random

from ripstop.core.names import PeerName
from ripstop.sim.network import RETRANSMIT, Underlay

A, B, C = (PeerName(letter * 16) for letter in "abc")


def test_cuts_and_divisions() -> None:
    underlay = Underlay()
    underlay.cut(A, B)
    assert underlay.is_cut(A, B)
    assert underlay.is_cut(B, A)
    assert not underlay.is_cut(A, C)
    underlay.heal(B, A)
    assert not underlay.is_cut(A, B)
    underlay.divide((A,), (B, C))
    assert underlay.is_cut(A, C)
    assert not underlay.is_cut(B, C)
    underlay.heal_all()
    assert not underlay.is_cut(A, C)


def test_loss_and_duplication_are_as_frequent_as_asked() -> None:
    rng = Random(1)
    underlay = Underlay(loss=0.2, duplicate=0.1)
    copies = [underlay.copies(rng) for _ in range(10000)]
    assert 0.18 < copies.count(0) / 10000 < 0.22
    assert 0.06 < copies.count(2) / 10000 < 0.10
    stalls = [underlay.stall(rng) for _ in range(10000)]
    assert 0.18 < len([stall for stall in stalls if stall >= RETRANSMIT]) / 10000 < 0.22
    assert Underlay().copies(rng) == 1
    assert Underlay().stall(rng) == 0.0
