"""The process: `python -m ripstop.dns.main FD --domain ripstop.local ...`, started by the daemon."""

import argparse
import gc
import math
import resource
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path
from random import Random, SystemRandom

from ripstop.dns.access import Access, is_own
from ripstop.dns.batch import Batch
from ripstop.dns.feed import Feed
from ripstop.dns.forwarding import Forwarder
from ripstop.dns.listeners import Listeners
from ripstop.dns.loop import Loop
from ripstop.dns.resolvconf import ResolvConf, without_own
from ripstop.dns.responder import Responder, Send
from ripstop.dns.tcp import Streams
from ripstop.dns.udp import Datagrams
from ripstop.dns.upstream import Upstream
from ripstop.dns.zone import Zone
from ripstop.wire.dns import Query, Rcode, reply
from ripstop.wire.dns_feed import Listen, Rows
from ripstop.wire.dns_report import Report

REPORT_INTERVAL = 1.0  # seconds


class Server:
    """Everything together."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._loop = Loop()
        self._counters: Counter[str] = Counter()
        self._rng = Random(SystemRandom().getrandbits(128))
        self._zone = Zone(args.domain, args.ttl, IPv4Network(args.universe))
        self._resolv_conf = ResolvConf(Path(args.resolv_conf))
        self._access = Access((args.universe, *args.allow), is_own)
        upstream = Upstream(self._loop, self._received, self._failed)
        # Of the generator for orders, whoever has seen enough knows all that follows; ids and case must not be guessed.
        self._forwarder = Forwarder(upstream, SystemRandom(), self._counters)
        self._responder = Responder(self._zone, self._forward, self._rng, self._counters)
        self._batch = Batch()
        self._armed = math.inf
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

    def _forward(self, query: Query, client: str, limit: int, send: Send) -> None:
        """Ask others, if whoever asks us may; the servers are as of now."""
        now = self._loop.now()
        if not self._access.allows(client, now):
            self._counters["refused"] += 1
            send(reply(query, Rcode.REFUSED))
            return
        servers = self._resolv_conf.servers(now)
        self._forwarder.use(without_own(servers, self._listeners.places, is_own))
        self._forwarder.ask(query, client, limit, send, now)
        self._arm()

    def _received(self, exchange: int, message: bytes) -> None:
        self._forwarder.received(exchange, message, self._loop.now())
        self._arm()

    def _failed(self, exchange: int) -> None:
        self._forwarder.failed(exchange, self._loop.now())
        self._arm()

    def _arm(self) -> None:
        """Wake up when the forwarder next has something to do."""
        if self._forwarder.deadline < self._armed:
            self._armed = self._forwarder.deadline
            self._loop.call_at(self._armed, self._late)

    def _late(self) -> None:
        self._armed = math.inf
        self._forwarder.tick(self._loop.now())
        self._arm()

    def _serve(self, datagrams: socket.socket, stream: socket.socket) -> Callable[[], None]:
        served = Datagrams(datagrams, self._batch, self._responder, self._rng, self._counters)
        streams = Streams(stream, self._loop, self._responder, self._counters)
        self._loop.watch(datagrams.fileno(), served.ready)

        def end() -> None:
            self._loop.forget(datagrams.fileno())
            datagrams.close()
            streams.close()

        return end

    def _tick(self) -> None:
        self._report()
        self._loop.call_at(self._loop.now() + REPORT_INTERVAL, self._tick)

    def _report(self) -> None:
        self._feed.report(
            Report(self._listeners.state(), len(self._zone), self._forwarder.servers, dict(self._counters))
        )


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
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each question to others and each TCP client has one
    gc.disable()  # names are many, and there are no cycles: looking for them would cost answers
    Server(parser.parse_args(arguments)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
