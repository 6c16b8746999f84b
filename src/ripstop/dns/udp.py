"""Questions and answers as datagrams."""

import socket
from collections import Counter
from functools import partial
from random import Random
from typing import Final

from ripstop.dns.batch import COUNT, SLOT, Batch, Descriptor
from ripstop.dns.fast import ID
from ripstop.dns.responder import Responder
from ripstop.wire.dns import HEADER

RECEIVE_BUFFER = 1024 * 1024  # bytes of the kernel's: some 1300 questions, which we answer in 10 ms
_TURN = 8  # batches until others have theirs
_IP_PKTINFO, _IPV6_RECVPKTINFO, _IP_FREEBIND, _IPV6_FREEBIND = 8, 49, 15, 78  # linux/in.h, linux/in6.h


def listen(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """Return a socket at an address, which need not exist yet.

    Raises:
        OSError: somebody else has it.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        else:
            opened.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        if kind == socket.SOCK_STREAM:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif address in ("0.0.0.0", "::"):  # answers must come from the address that was asked
            opened.setsockopt(
                *(
                    (socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
                    if address == "::"
                    else (socket.IPPROTO_IP, _IP_PKTINFO, 1)
                )
            )
        opened.bind((address, port))
    except OSError:
        opened.close()
        raise
    return opened


class Datagrams:
    """Answers what comes to a UDP socket."""

    def __init__(
        self, opened: socket.socket, batch: Batch, responder: Responder, rng: Random, counters: Counter[str]
    ) -> None:
        self.socket: Final = opened
        self._descriptor = Descriptor(opened.fileno())
        self._batch, self._responder, self._counters = batch, responder, counters
        self._random = rng.random
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)

    def ready(self, _events: int = 0) -> None:
        """Answer what has come, but not for ever."""
        batch, fd = self._batch, self._descriptor
        for _ in range(_TURN):
            count = batch.receive(fd)
            if count:
                self._counters["udp"] += count
                self._counters["unsent"] += batch.send(fd, self._answer(count))
            if count < COUNT:
                break

    def _answer(self, count: int) -> int:
        """Put answers in the place of questions, those without one left out; return how many there are.

        This is where the time goes: one turn for a question that was asked before is less than a microsecond.
        """
        batch = self._batch
        packets, lengths, kept = batch.packets, batch.lengths, self._responder.fast.kept
        place = answers = 0  # where a packet begins; how many have an answer
        for index, size in enumerate(batch.sizes(count)):
            answer = kept.get(packets[place + ID : place + size].tobytes())
            if answer is None:
                if not self._respond(index, packets[place : place + size].tobytes()):
                    place += SLOT
                    continue
            else:
                if not isinstance(answer, bytes):
                    answer = answer[int(self._random() * len(answer))]
                end = ID + len(answer)
                packets[place + ID : place + end] = answer
                lengths[2 * index + 1] = end
            if answers != index:
                batch.move(index, answers)
            answers += 1
            place += SLOT
        return answers

    def _respond(self, index: int, message: bytes) -> bool:
        """Make the answer to a datagram; return whether there is one now."""
        batch = self._batch
        found = self._responder.fast.find(message)
        if found is not None:
            answer = found if isinstance(found, bytes) else found[int(self._random() * len(found))]
            batch.answer(index, message[:ID] + answer)
            return True
        if batch.is_cut(index):
            message = message[:HEADER]  # whatever it asks, it cannot be read
        sender = batch.sender(index)
        later = partial(self._send, sender, batch.control(index))
        made = self._responder.respond(message, sender[0], later)
        if made is not None:
            batch.answer(index, made)
        return made is not None

    def _send(
        self, to: tuple[str, int] | tuple[str, int, int, int], control: list[tuple[int, int, bytes]], answer: bytes
    ) -> None:
        """Send an answer that took its time."""
        try:
            self.socket.sendmsg([answer], control, socket.MSG_DONTWAIT, to)
        except OSError:  # the client has gone, or its network
            self._counters["unsent"] += 1
