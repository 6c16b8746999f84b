"""`make demo`: play all scenes, print one line of JSON at the end, exit 0 only if all of it held."""

import sys
import time
from collections.abc import Callable

from ripstop.core.errors import RipstopError
from ripstop.lab.demo import faults, feeds, pairs
from ripstop.lab.demo.outcome import CONTAINERS, HOSTS, Outcome
from ripstop.lab.demo.stage import Stage, guests
from ripstop.lab.lab import Lab
from ripstop.lab.signals import raising

SCENES: tuple[tuple[str, tuple[Callable[[Stage], None], ...]], ...] = (
    ("Every pair of containers", (pairs.show,)),
    ("TCP between hosts", (pairs.speed,)),
    ("A broadcast, and a multicast feed", (feeds.broadcast, feeds.multicast)),
    ("A feed that one container has joined", (feeds.exact,)),
    ("A link is cut, another comes up", (faults.cut, pairs.all_ping)),
    ("A daemon is killed", (faults.kill, pairs.all_ping)),
)
LOG_LINES = 25


def main() -> int:
    """Play the demo and return its exit code."""
    outcome = Outcome()
    start = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - start:5.1f} s  {line}", flush=True)

    try:
        with raising():
            _play(outcome, say)
    except RipstopError as error:
        outcome.failures.append(str(error))
    except KeyboardInterrupt:
        outcome.failures.append("interrupted")
    for failure in outcome.failures:
        say(f"FAILED: {failure}")
    print(outcome.to_json(), flush=True)
    return 0 if outcome.ok else 1


def _play(outcome: Outcome, say: Callable[[str], None]) -> None:
    say("== Three hosts: h1 and h3 are linked to h2 alone")
    with Lab(HOSTS, name="demo", topology="chain", containers=CONTAINERS, progress=say) as lab:
        stage = Stage(lab, guests(lab), outcome, say)
        for guest in stage.guests:
            say(f"{guest.name}: {guest.address}, {guest.link_local}")
        try:
            for title, scenes in SCENES:
                say(f"== {title}")
                for scene in scenes:
                    scene(stage)
        except RipstopError as error:
            outcome.failures.append(str(error))
        if not outcome.ok:
            _show_logs(lab, say)
        say("== Taking the lab down")


def _show_logs(lab: Lab, say: Callable[[str], None]) -> None:
    """Show what the daemons said last, for their logs go with the lab."""
    for host in lab.hosts:
        say(f"== Log of {host.name}, whose daemon {'runs' if host.daemon_pid() else 'HAS ENDED'}")
        for line in host.log.read_text(errors="replace").splitlines()[-LOG_LINES:]:
            print(f"         {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
