"""Entries of groups as bytes and back.  No kernel is asked."""

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.multicast.tables import Selector
from ripstop.core.names import PortId, ShortId, UnderlayIp
from ripstop.core.overlay.forwarding import ForwardingTables, Hop, Tree
from ripstop.kernel import abi
from ripstop.kernel.abi import DeviceFlags
from ripstop.kernel.datapath_tables import children_of, image, mark_of
from ripstop.kernel.groups import (
    Branches,
    Receivers,
    pack_branches,
    pack_receivers,
    parse_branches,
    parse_receivers,
)
from ripstop.kernel.selectors import pack_selector, parse_selector

HERE, THERE = UnderlayIp("192.0.2.1"), UnderlayIp("192.0.2.2")
addresses = st.one_of(st.just(b""), st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))
groups = st.builds(Selector, addresses, addresses).filter(lambda s: not {s.group[:12], s.source[:12]} & {bytes(12)})
ids = st.lists(st.integers(1, 65535).map(ShortId), max_size=abi.MAX_CHILDREN, unique=True).map(tuple)
slots = st.lists(st.integers(0, abi.MAX_DEVICES - 1), max_size=40, unique=True)


def tree_of(children: tuple[ShortId, ...]) -> bytes:
    """Return a tree with these children as its map has it."""
    hops = tuple(Hop(child, THERE, HERE, 1450) for child in children)
    (value,) = image(ForwardingTables(trees={ShortId(1): Tree(ShortId(0), hops)}), fast=True).trees.values()
    return value


@given(groups)
def test_selector_round_trip(selector: Selector) -> None:
    key = pack_selector(selector)
    assert len(key) == abi.GROUP_KEY.packer.size
    assert pack_selector(parse_selector(key)) == key
    if not selector.group.startswith(bytes(10) + b"\xff\xff") and not selector.source.startswith(bytes(10)):
        assert parse_selector(key) == selector


def test_selector_in_bytes() -> None:
    assert pack_selector(Selector(bytes([239, 1, 2, 3]))) == bytes(10) + b"\xff\xff\xef\1\2\3" + bytes(16)
    assert pack_selector(Selector(b"")) == bytes(32)


@given(slots, st.booleans(), st.data())
def test_receivers_round_trip(taken: list[int], by_source: bool, data: st.DataObject) -> None:
    devices = {slot: (7 * slot + 3, DeviceFlags.PORT) for slot in taken}
    ports = tuple(sorted(PortId(ifindex) for ifindex, _ in devices.values()))
    chosen = tuple(port for port in ports if data.draw(st.booleans()))
    receivers = Receivers(chosen, by_source)
    assert parse_receivers(pack_receivers(receivers, devices), devices) == receivers


@given(ids, st.booleans(), st.data())
def test_branches_round_trip(children: tuple[ShortId, ...], by_source: bool, data: st.DataObject) -> None:
    chosen = tuple(sorted(child for child in children if data.draw(st.booleans())))
    branches, tree = Branches(chosen, by_source), tree_of(children)
    assert parse_branches(pack_branches(branches, tree), tree) == branches


@given(ids, ids)
def test_branches_for_another_tree_are_all_of_it(children: tuple[ShortId, ...], others: tuple[ShortId, ...]) -> None:
    value = pack_branches(Branches((), False), tree_of(children))
    expected = () if children == others else tuple(sorted(others))
    assert parse_branches(value, tree_of(others)).children == expected


@given(ids)
def test_tree_says_who_is_in_it(children: tuple[ShortId, ...]) -> None:
    tree = tree_of(children)
    assert children_of(tree) == children
    assert abi.TREE.packer.unpack(tree)[2] == mark_of(children)


def test_branches_without_a_tree() -> None:
    value = pack_branches(Branches((ShortId(2),), True), None)
    assert parse_branches(value, None) == Branches((), True)
