"""`ripstop multicast top`: how fast packets to groups come in and go out, from two looks at their counters."""

import sys
import time
from collections.abc import Sequence

import msgspec

from ripstop.api.types import MulticastStream
from ripstop.cli.multicast_places import By, Place, Rate, by_place, show_places
from ripstop.cli.output import Column, count, print_json, print_table
from ripstop.client import Client


class Rates(msgspec.Struct):
    """What `top --json` prints, one line for each two looks."""

    seconds: float  # between the two
    silent: int  # sources that sent nothing
    rates: list[Rate]  # the fastest first
    places: list[Place] = []  # the same by port or by host, if that was asked for


def top(client: Client, seconds: float, times: int, by: By | None, *, json: bool) -> None:
    """Print rates again and again, for ever if `times` is 0; of each source, or what it comes to by place."""
    before, since = client.call("multicast").streams, time.monotonic()
    shown = 0
    while not times or shown < times:
        time.sleep(seconds)
        status, now = client.call("multicast"), time.monotonic()
        after = status.streams
        found = rates(before, after, now - since)
        if by:
            found.places = by_place(found.rates, status.members, by)
        if json:
            print_json(found)
        else:
            if shown:
                print()
            if by:
                show_places(found.places, by, found.seconds)
            else:
                show_rates(found)
        sys.stdout.flush()  # whoever reads a pipe wants to see it now
        before, since = after, now
        shown += 1


def rates(before: Sequence[MulticastStream], after: Sequence[MulticastStream], seconds: float) -> Rates:
    """Return how fast each source was, in frames, bits and copies per second."""
    known = {_key(stream): stream for stream in before}
    found = [_rate(known.get(_key(stream)), stream, seconds) for stream in after]
    fast = sorted((rate for rate in found if rate.packets), key=lambda rate: (-rate.packets, rate.group, rate.source))
    return Rates(seconds, len(found) - len(fast), fast)


def show_rates(found: Rates) -> None:
    """Print rates as a table, with the sum of each."""
    columns = (Column("GROUP"), Column("SOURCE"), Column("HOST"), Column("CONTAINER"), *(
        Column(heading, ">") for heading in ("PACKETS/S", "MBIT/S", "DELIVERED/S", "SENT/S", "DROPPED/S")
    ))  # fmt: skip
    rows = [
        (rate.group, rate.source, rate.host or rate.peer, rate.container, *_numbers([rate])) for rate in found.rates
    ]
    if len(rows) > 1:
        rows.append(("all", "", "", "", *_numbers(found.rates)))
    print_table(columns, rows, empty=f"no packets to groups within {found.seconds:.1f} s")
    if found.silent:
        print(f"{count(found.silent, 'source')} silent")


def _key(stream: MulticastStream) -> tuple[str, ...]:
    return stream.group, stream.source, stream.peer, stream.container, stream.ifname


def _rate(before: MulticastStream | None, after: MulticastStream, seconds: float) -> Rate:
    """Return one source's rates; a stream that was forgotten in between has counted from zero again."""
    if before is None or before.packets > after.packets:
        before = msgspec.structs.replace(after, packets=0, bytes=0, delivered=0, sent=0, dropped=0)
    return Rate(
        after.group, after.source, after.host, after.peer, after.container, after.ifname,
        packets=(after.packets - before.packets) / seconds,
        bits=8 * (after.bytes - before.bytes) / seconds,
        delivered=(after.delivered - before.delivered) / seconds,
        sent=(after.sent - before.sent) / seconds,
        dropped=(after.dropped - before.dropped) / seconds,
    )  # fmt: skip


def _numbers(some: Sequence[Rate]) -> tuple[str, ...]:
    """Return the sums as people read them."""
    return (
        f"{sum(rate.packets for rate in some):,.0f}", f"{sum(rate.bits for rate in some) / 1e6:,.2f}",
        f"{sum(rate.delivered for rate in some):,.0f}", f"{sum(rate.sent for rate in some):,.0f}",
        f"{sum(rate.dropped for rate in some):,.0f}",
    )  # fmt: skip
