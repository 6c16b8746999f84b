"""One container speaks, all others hear: a broadcast, and a multicast feed."""

from ripstop.lab import traffic
from ripstop.lab.demo.stage import Stage

GROUP = "239.192.0.1"  # organization-local scope: RFC 2365, section 6.2
RATE = 10_000.0  # packets a second
SECONDS = 5.0
BROADCASTS = 100


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
