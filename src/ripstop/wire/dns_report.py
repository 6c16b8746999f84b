"""What the name server tells its daemon, and how both frame what they say."""

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from ripstop.core.errors import ProtocolError

FRAME_LIMIT = 64 * 1024 * 1024  # bytes of one message: a million names
_LENGTH = 4  # bytes
_encoder = msgspec.msgpack.Encoder()
T = TypeVar("T")


class Listening(msgspec.Struct, frozen=True, array_like=True):
    """One address that it was told to answer on."""

    address: str
    port: int
    problem: str = ""  # why it does not answer there; empty: it does


class Report(msgspec.Struct, frozen=True, array_like=True):
    """How the name server is doing; counters count from its start."""

    listening: tuple[Listening, ...]
    names: int
    upstreams: tuple[str, ...]  # whom it asks what it does not know
    counters: dict[str, int]


def encode(message: msgspec.Struct) -> bytes:
    """Return one frame."""
    body = _encoder.encode(message)
    return len(body).to_bytes(_LENGTH, "big") + body


class Frames(Generic[T]):
    """Takes bytes as they come and gives whole messages of type `T`."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[T]) -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, received: bytes) -> Iterator[T]:
        """Yield the messages that `received` completes, in order.

        Raises:
            ProtocolError: not what the other end of ours would say.
        """
        self._buffer += received
        while len(self._buffer) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._buffer[:_LENGTH], "big")
            if end > FRAME_LIMIT:
                raise ProtocolError(f"a message of {end} bytes, limit {FRAME_LIMIT}")
            if len(self._buffer) < end:
                break
            body = bytes(self._buffer[_LENGTH:end])
            del self._buffer[:end]
            try:
                yield self._decoder.decode(body)
            except msgspec.DecodeError as error:
                raise ProtocolError(f"not a message: {error}") from None
