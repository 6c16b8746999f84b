"""What must not hurt: a link that goes while another comes, and a daemon that is killed."""

import time
from contextlib import AbstractContextManager

from ripstop.lab import traffic
from ripstop.lab.demo.feeds import GROUP, RATE
from ripstop.lab.demo.stage import Guest, Stage

HEAL_TIMEOUT = 20.0  # seconds
PROBE_RATE = 1000.0  # packets a second; the gap in such a stream is the outage, to a millisecond
THERE_PORT, BACK_PORT = "7711", "7712"
SHOWN = 1.0  # seconds of feed before and after a fault, to show that it runs
LONG = 60.0  # seconds; longer than any of this takes


def cut(stage: Stage) -> None:
    """Cut h1-h2 while h1-h3 comes up, and measure how long traffic between h1 and h2 stands still."""
    a, b = stage.guest("h1c1"), stage.guest("h2c1")
    with _probes(a, b, THERE_PORT) as there, _probes(b, a, BACK_PORT) as back:
        there.wait_until_heard()
        back.wait_until_heard()
        start = time.monotonic()
        stage.lab.cut("h1", "h2")
        stage.lab.heal("h1", "h3")
        stage.say("h1-h2 is cut, h1-h3 comes up; waiting for h1c1 to reach h2c1 over h3 ...")
        healed = False
        while not healed and time.monotonic() < start + HEAL_TIMEOUT:
            healed = a.node.ping(b.address) is not None
        time.sleep(SHOWN)
        (_, [to_b]), (_, [to_a]) = there.stop(), back.stop()
    if not stage.outcome.expect(healed, f"h1c1 cannot reach h2c1 {HEAL_TIMEOUT:g} s after the cut"):
        return
    stage.outcome.expect(None not in (to_a.sent, to_b.sent), "the streams between h1c1 and h2c1 did not end in order")
    stage.outcome.heal_s = max(to_a.max_gap_ms, to_b.max_gap_ms) / 1000
    path = stage.path(a, b)
    stage.outcome.expect(path == "via h3", f"h1c1 reaches h2c1 {path}, not via h3")
    stage.say(f"healed: {path}; traffic stood still for {stage.outcome.heal_s:.2f} s")
    stage.lab.wait()


def _probes(source: Guest, target: Guest, port: str) -> AbstractContextManager[traffic.Feed]:
    """Send a thin stream that outlives the outage."""
    return traffic.feeding(
        source.node,
        [target.node],
        target.address,
        size=100,
        rate=PROBE_RATE,
        seconds=LONG,
        idle=HEAL_TIMEOUT,
        port=port,
    )


def kill(stage: Stage) -> None:
    """Kill the relay's daemon with SIGKILL under a multicast feed, start it again, and count what is missing."""
    host = stage.lab.host("h3")
    source, others = stage.guests[0], [guest.node for guest in stage.guests[1:]]
    with traffic.feeding(source.node, others, GROUP, group=True, rate=RATE, seconds=LONG) as feed:
        feed.wait_until_heard()
        time.sleep(SHOWN)
        pid = host.daemon_pid()
        host.kill_daemon()
        stage.say(f"kill -9 {pid}: the daemon of h3, over which h2 gets the feed of {source.name}")
        time.sleep(SHOWN)
        start = time.monotonic()
        host.restart_daemon()
        stage.say(f"started again and settled after {time.monotonic() - start:.2f} s")
        time.sleep(SHOWN)
        stage.outcome.expect(feed.running(), "the feed ended before the daemon was back")
        sent, received = feed.stop()
    lost = sum(max(0, sent.sent - got.received) for got in received)
    stage.outcome.lost_in_restart = lost
    stage.say(f"of {sent.sent:,} packets, {len(received)} receivers lost {lost}")
    stage.outcome.expect(lost == 0, f"{lost} packets were lost while the daemon was restarted")
