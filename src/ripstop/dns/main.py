"""The process: `python -m ripstop.dns.main FD --domain ripstop.local ...`, started by the daemon."""

import argparse
import gc
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Network
from random import Random, SystemRandom

from ripstop.dns.batch import Batch
from ripstop.dns.feed import Feed
from ripstop.dns.listeners import Listeners
from ripstop.dns.loop import Loop
from ripstop.dns.responder import Responder
from ripstop.dns.udp import Datagrams
from ripstop.dns.zone import Zone
from ripstop.wire.dns import Query, Rcode, reply
from ripstop.wire.dns_feed import Listen, Rows
from ripstop.wire.dns_report import Report

REPORT_INTERVAL = 1.0  # seconds


class _Nobody:
    def ask(self, query: Query, client: str, limit: int, send: Callable[[bytes], None]) -> None:
        send(reply(query, Rcode.REFUSED))


class Server:
    """Everything together."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._loop = Loop()
        self._counters: Counter[str] = Counter()
        self._rng = Random(SystemRandom().getrandbits(128))
        self._zone = Zone(args.domain, args.ttl, IPv4Network(args.universe))
        self._responder = Responder(self._zone, _Nobody(), self._rng, self._counters)
        self._batch = Batch()
        self._listeners = Listeners(self._loop, self._serve, self._report)
        self._feed = Feed(socket.socket(fileno=args.feed), self._loop, self._take)

    def run(self) -> None:
        """Run until the daemon has gone."""
        self._tick()
        self._loop.run()

    def _take(self, message: Rows | Listen) -> None:
        if isinstance(message, Listen):
            self._listeners.listen(message.addresses)
        else:
            self._responder.apply(message)

    def _serve(self, datagrams: socket.socket, stream: socket.socket) -> Callable[[], None]:
        served = Datagrams(datagrams, self._batch, self._responder, self._rng, self._counters)
        self._loop.watch(datagrams.fileno(), served.ready)

        def end() -> None:
            self._loop.forget(datagrams.fileno())
            datagrams.close()
            stream.close()

        return end

    def _tick(self) -> None:
        self._report()
        self._loop.call_at(self._loop.now() + REPORT_INTERVAL, self._tick)

    def _report(self) -> None:
        self._feed.report(Report(self._listeners.state(), len(self._zone), (), dict(self._counters)))


def main(arguments: list[str] | None = None) -> int:
    """Answer until the daemon has gone."""
    parser = argparse.ArgumentParser(prog="ripstop.dns")
    parser.add_argument("feed", type=int)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--ttl", type=int, required=True)
    parser.add_argument("--universe", required=True)
    parser.add_argument("--allow", action="append", default=[])
    parser.add_argument("--resolv-conf", default="/etc/resolv.conf")
    for number in (signal.SIGINT, signal.SIGTERM):  # the daemon says when; a terminal tells all of its processes
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # names are many, and there are no cycles: looking for them would cost answers
    Server(parser.parse_args(arguments)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
