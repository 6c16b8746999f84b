"""One container speaks, others hear: a broadcast, a multicast feed to all, and one to a single member."""

import contextlib

from ripstop.lab import traffic
from ripstop.lab.demo.stage import Stage
from ripstop.lab.sniffer import sniffing

GROUP = "239.192.0.1"  # organization-local scope: RFC 2365, section 6.2
RATE = 10_000.0  # packets a second
SECONDS = 5.0
BROADCASTS = 100
EXACT_GROUP = "239.192.0.2"
EXACT_SECONDS = 2.0


def broadcast(stage: Stage) -> None:
    """Send broadcasts and count who heard them."""
    source, others = stage.guests[0], [guest.node for guest in stage.guests[1:]]
    with traffic.feeding(source.node, others, source.broadcast, size=100, rate=1000.0, count=BROADCASTS) as feed:
        sent, received = feed.finish()
    heard = [got.received for got in received]
    stage.say(f"{source.name} sends {sent.sent} broadcasts to {source.broadcast}; heard: {heard}")
    stage.outcome.expect(heard == [BROADCASTS] * len(others), f"of {BROADCASTS} broadcasts, {heard} were heard")


def multicast(stage: Stage) -> None:
    """Feed a group that all other containers have joined, and count what each got."""
    source, others = stage.guests[0], [guest.node for guest in stage.guests[1:]]
    stage.say(f"{source.name} feeds {GROUP}: {RATE:,.0f} packets/s of 1300 B for {SECONDS:g} s ...")
    with traffic.feeding(source.node, others, GROUP, group=True, rate=RATE, seconds=SECONDS) as feed:
        sent, received = feed.finish()
    outcome = stage.outcome
    outcome.multicast_sent = sent.sent
    outcome.multicast_received = [got.received for got in received]
    outcome.multicast_lost = sum(max(0, sent.sent - got.received) for got in received)
    for node, got in zip(others, received, strict=True):
        stage.say(f"  {node.name}: {got.received:,} received, {sent.sent - got.received} lost, "
                  f"{got.duplicated} twice, {got.reordered} late")  # fmt: skip
    outcome.expect(outcome.multicast_lost == 0, f"the feed lost {outcome.multicast_lost} packets")
    outcome.expect(sent.pps > 0.8 * RATE, f"only {sent.pps:,.0f} packets/s were sent")
    outcome.expect(not any(got.duplicated for got in received), "packets of the feed came twice")


def exact(stage: Stage) -> None:
    """Feed a group that one container has joined, and listen where it must not be: a host without members gets none."""
    source, member = stage.guests[0], stage.guest("h2c1")
    quiet = [(stage.lab.host("h3"), "its NIC"), *((stage.guest(name).node, "") for name in ("h2c2", "h3c1", "h3c2"))]
    with contextlib.ExitStack() as stack:
        passed = stack.enter_context(sniffing(stage.lab.host("h2"), "eth0", EXACT_GROUP))
        counts = [stack.enter_context(sniffing(node, "eth0", EXACT_GROUP)) for node, _ in quiet]
        with traffic.feeding(
            source.node, [member.node], EXACT_GROUP, group=True, rate=RATE, seconds=EXACT_SECONDS
        ) as feed:
            sent, [got] = feed.finish()
    places = ", ".join(f"{node.name}{f' at {where}' if where else ''} {count.packets}"
                       for (node, where), count in zip(quiet, counts, strict=True))  # fmt: skip
    stage.say(f"{source.name} feeds {EXACT_GROUP}, which {member.name} alone has joined: it got {got.received:,} of "
              f"{sent.sent:,}; elsewhere: {places}")  # fmt: skip
    outcome = stage.outcome
    outcome.multicast_strays = sum(count.packets for count in counts)
    outcome.expect(got.received == sent.sent, f"{member.name} got {got.received} of {sent.sent} packets")
    outcome.expect(passed.packets >= sent.sent, f"of {sent.sent} packets, h2's NIC has shown {passed.packets}")
    outcome.expect(outcome.multicast_strays == 0, f"{outcome.multicast_strays} packets went where nobody wanted them")
