"""Tables as map elements: what is written, in which order, and who has departed.  No kernel is asked."""

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ripstop.core.names import NO_PEER, ShortId, UnderlayIp
from ripstop.core.overlay.forwarding import ForwardingTables, Hop, Tree
from ripstop.kernel import abi
from ripstop.kernel.datapath_tables import Image, Put, Remove, Step, UseOwn, departed, image, parse_address, steps

ids = st.integers(1, 9).map(ShortId)
addresses = st.integers(1, 20).map(lambda n: UnderlayIp(f"192.0.2.{n}"))
hops = st.builds(Hop, peer=ids, remote=addresses, local=addresses, mtu=st.integers(576, 9000))
trees = st.builds(Tree, parent=ids, children=st.lists(hops, max_size=4).map(tuple))
tables = st.builds(
    ForwardingTables,
    own=ids,
    vteps=st.dictionaries(addresses, ids),
    routes=st.dictionaries(ids, hops),
    trees=st.dictionaries(ids, trees),
)
A, B, C = (UnderlayIp(f"192.0.2.{n}") for n in (1, 2, 3))
ONE, TWO = ShortId(1), ShortId(2)


def apply(start: Image, taken: Iterable[Step]) -> Image:
    """Return the image after the steps."""
    own = start.own
    held = {name: dict(getattr(start, name)) for name in ("vteps", "routes", "trees")}
    for step in taken:
        match step:
            case UseOwn(new):
                own = new
            case Put(table, key, value):
                held[table][key] = value
            case Remove(table, key):
                del held[table][key]
    return Image(own, **held)


@given(tables, tables)
def test_steps_lead_there(actual: ForwardingTables, desired: ForwardingTables) -> None:
    start, end = image(actual, fast=True), image(desired, fast=True)
    assert apply(start, steps(start, end)) == end


@given(tables)
def test_nothing_to_do_means_no_steps(held: ForwardingTables) -> None:
    assert list(steps(image(held, fast=True), image(held, fast=True))) == []


@given(tables, tables)
def test_new_comes_before_old_goes(actual: ForwardingTables, desired: ForwardingTables) -> None:
    taken = list(steps(image(actual, fast=True), image(desired, fast=True)))
    kinds = [isinstance(step, Remove) for step in taken]
    assert kinds == sorted(kinds)
    puts = [step.table for step in taken if isinstance(step, Put)]
    removes = [step.table for step in taken if isinstance(step, Remove)]
    order = ["vteps", "routes", "trees"]
    assert puts == sorted(puts, key=order.index)
    assert removes == sorted(removes, key=order.index, reverse=True)


def test_hop_in_bytes() -> None:
    held = image(ForwardingTables(own=ONE, routes={TWO: Hop(ShortId(7), B, A, 1450)}), fast=True)
    ((key, value),) = held.routes.items()
    assert key == (2).to_bytes(4, "little")
    assert abi.HOP.packer.unpack(value) == (bytes([192, 0, 2, 2]), bytes([192, 0, 2, 1]), 7, 1450, abi.HopFlags.FAST)
    slow = image(ForwardingTables(own=ONE, routes={TWO: Hop(ShortId(7), B, A, 1450)}), fast=False)
    assert abi.HOP.packer.unpack(slow.routes[key])[-1] == 0


def test_tree_in_bytes() -> None:
    children = tuple(Hop(ShortId(n), B, A, 1450) for n in range(2, 70))
    held = image(ForwardingTables(own=ONE, trees={ONE: Tree(NO_PEER, children)}), fast=True)
    (value,) = held.trees.values()
    parent, count, _, packed = abi.TREE.packer.unpack(value)
    assert (parent, count) == (NO_PEER, abi.MAX_CHILDREN)
    assert abi.HOP.packer.unpack_from(packed, abi.HOP.packer.size)[2] == 3


def test_departed_peers() -> None:
    before = ForwardingTables(own=ONE, vteps={A: ONE, B: TWO})
    assert departed(image(before, True), image(before, True)) == frozenset()
    assert departed(image(before, True), image(replace(before, vteps={A: ONE}), True)) == {TWO}
    assert departed(image(before, True), image(replace(before, vteps={A: ONE, B: TWO, C: TWO}), True)) == frozenset()
    taken_over = replace(before, vteps={A: ONE, C: TWO})
    assert departed(image(before, True), image(taken_over, True)) == {TWO}, "the id is another's now"


def test_address_round_trip() -> None:
    assert parse_address(bytes([192, 0, 2, 7])) == "192.0.2.7"
