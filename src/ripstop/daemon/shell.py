"""Performs effects: hands each to the transport, the disk, the kernel or the log."""

import logging
from collections.abc import Callable
from typing import assert_never

from ripstop.core.effects import Close, Dial, Distribute, Notice, Publish, Send, SendProbe, Serve, UseMtu
from ripstop.core.multicast.messages import Family
from ripstop.core.multicast.port import SendQuery
from ripstop.core.names import UnderlayIp
from ripstop.daemon.nameserver import NameServer
from ripstop.daemon.reconciler import Reconciler
from ripstop.kernel.watch import FrameSocket, PortSocket
from ripstop.store.sqlite import Store, StoreError
from ripstop.transport.control import ControlTransport
from ripstop.wire import probe, snoop

log = logging.getLogger("ripstop.mesh")
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

Performed = Dial | Send | Close | SendProbe | Publish | Distribute | SendQuery | Serve | UseMtu | Notice


class Shell:
    """The hands of the driver."""

    def __init__(
        self,
        store: Store,
        control: ControlTransport,
        frames: FrameSocket,
        reconciler: Reconciler,
        source: Callable[[UnderlayIp], UnderlayIp | None],
        ports: PortSocket,
        mac: bytes,
        names: NameServer | None,
    ) -> None:
        self._store, self._control, self._frames, self._reconciler = store, control, frames, reconciler
        self._source = source  # our address towards a remote one
        self._ports, self._mac, self._names = ports, mac, names
        self._unsaved: dict[str, bytes | None] = {}
        self.unsent_probes = 0
        self.sent_queries = dict.fromkeys(Family, 0)
        self.disk_problem = ""  # shown in status while it lasts

    def perform(self, effect: Performed) -> None:
        """Do one thing; never fails, what goes wrong comes back as an event or shows in status."""
        match effect:
            case Dial() | Send() | Close():
                self._control.perform(effect)
            case SendProbe(remote, content, target):
                local = self._source(remote)
                # Without a route to it the probe is lost, as it would be on the way.
                if local is None or self._frames.send(probe.encode(content, local, remote, target)):
                    self.unsent_probes += 1
            case Publish(tables):
                self._reconciler.publish(tables)
            case Distribute(rows, complete):
                self._reconciler.distribute(rows, complete=complete)
            case SendQuery(port, family, query):
                if not self._ports.send(port, snoop.encode(family, query, self._mac)):
                    self.sent_queries[family] += 1  # else: asked again before long; a port that is gone needs none
            case Serve(rows, complete, pending):
                if self._names is not None:
                    self._names.publish(rows, complete=complete, pending=pending)
            case UseMtu(mtu):
                self._reconciler.use_mtu(mtu)
            case Notice(level, text):
                log.log(LEVELS[level], "%s", text)
            case _:
                assert_never(effect)

    def save(self, items: tuple[tuple[str, bytes | None], ...]) -> None:
        """Write to disk, together with whatever an earlier failure left unwritten.

        Raises:
            StoreError: nothing was written; it is tried again with the next call.
        """
        self._unsaved.update(items)
        try:
            self._store.put(self._unsaved.items())
        except StoreError as error:
            if not self.disk_problem:
                log.error("%s", error)
            self.disk_problem = str(error)
            raise
        self._unsaved.clear()
        self.disk_problem = ""
