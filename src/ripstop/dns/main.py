"""The process: `python -m ripstop.dns.main FD --domain ripstop.local ...`, started by the daemon.

When the daemon goes it goes too, or, told where to wait for who comes next, answers on for a while.
"""

import argparse
import gc
import math
import os
import resource
import signal
import socket
import sys
from collections import Counter
from ipaddress import IPv4Network
from pathlib import Path
from random import Random, SystemRandom

from ripstop.dns.access import Access, is_own
from ripstop.dns.batch import Batch
from ripstop.dns.feed import Feed
from ripstop.dns.forwarding import DEADLINE, Forwarder
from ripstop.dns.handover import Estate, Offer
from ripstop.dns.listeners import Listeners
from ripstop.dns.loop import Loop
from ripstop.dns.place import Service, Sockets
from ripstop.dns.resolvconf import ResolvConf, without_own
from ripstop.dns.responder import Responder, Send
from ripstop.dns.tcp import Streams
from ripstop.dns.udp import Datagrams
from ripstop.dns.upstream import Upstream
from ripstop.dns.zone import Zone
from ripstop.wire.dns import Query, Rcode, reply
from ripstop.wire.dns_feed import Listen, Rows
from ripstop.wire.dns_handover import TAKEN, Place
from ripstop.wire.dns_report import Report

REPORT_INTERVAL = 1.0  # seconds
LINGER = 300.0  # seconds to answer on without a daemon; what we know gets no better


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
        self._feed = Feed(socket.socket(fileno=args.feed), self._loop, self._take, self._left)
        self._path: Path | None = args.handover
        self._offer: Offer | None = None
        self._is_alone = self._is_to_end = False

    def run(self) -> None:
        """Run until nobody needs us."""
        self._tick()
        try:
            self._loop.run()
        finally:
            if self._offer is not None:
                self._offer.close()

    def end(self, *_signal: object) -> None:
        """End with the daemon: who ends all of its processes, as a terminal does, means us too."""
        self._is_to_end = True
        if self._is_alone:
            sys.exit()

    def _take(self, message: Rows | Listen) -> None:
        if isinstance(message, Rows):
            self._responder.apply(message)
        elif self._path is None:
            self._listeners.listen(message.addresses)
        else:
            self._succeed(self._path, message.addresses)
            self._path = None

    def _succeed(self, path: Path, places: tuple[Place, ...]) -> None:
        """Take the place of who answers still, and wait there for who comes next."""
        estate = Estate(path)
        self._listeners.listen(places, estate.take)
        try:
            self._offer = Offer(path, self._loop, lambda: self._listeners.sockets, self._succeeded)
        except OSError as error:  # no space, most likely: names are answered, if not over the daemon's next start
            print(f"cannot make {path}: {error.strerror}", file=sys.stderr)
        estate.close()

    def _left(self) -> None:
        """Answer on without the daemon, if we answer anything."""
        self._is_alone = True
        if self._offer is None or self._is_to_end or not self._listeners.sockets:
            self._loop.stop()
        else:
            self._loop.call_at(self._loop.now() + LINGER, self._loop.stop)

    def _succeeded(self, word: bytes) -> None:
        """End; if another answers now, not before those who asked us have their answers."""
        if word == TAKEN:
            self._offer = None
            self._listeners.retire()
            self._loop.call_at(self._loop.now() + DEADLINE, self._loop.stop)
        else:
            self._loop.stop()

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

    def _serve(self, sockets: Sockets) -> Service:
        datagrams = Datagrams(sockets[0], self._batch, self._responder, self._rng, self._counters)
        return Service(self._loop, datagrams, Streams(sockets[1], self._loop, self._responder, self._counters))

    def _tick(self) -> None:
        self._report()
        self._loop.call_at(self._loop.now() + REPORT_INTERVAL, self._tick)

    def _report(self) -> None:
        self._feed.report(
            Report(self._listeners.state(), len(self._zone), self._forwarder.servers, dict(self._counters))
        )


def main(arguments: list[str] | None = None) -> int:
    """Answer until nobody needs us."""
    parser = argparse.ArgumentParser(prog="ripstop.dns")
    parser.add_argument("feed", type=int)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--ttl", type=int, required=True)
    parser.add_argument("--universe", required=True)
    parser.add_argument("--allow", action="append", default=[])
    parser.add_argument("--resolv-conf", default="/etc/resolv.conf")
    parser.add_argument("--handover", type=Path)
    nice = max(0, os.getpriority(os.PRIO_PROCESS, 0))  # not the daemon's: whoever asks much must not profit from it
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each question to others and each TCP client has one
    gc.disable()  # names are many, and there are no cycles: looking for them would cost answers
    server = Server(parser.parse_args(arguments))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.end)
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
