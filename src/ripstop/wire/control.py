"""The bytes of a control connection: a preamble, then frames of a length and one message each.

Preamble: the 8 bytes of `MAGIC` and one byte of version, from both sides before anything else, so that a stranger
is recognised at once.  Frame: length as 4 bytes big-endian, then that many bytes of msgpack.  `docs/protocol.md`
has the fields of each message.
"""

import msgspec

from ripstop.core.errors import ProtocolError
from ripstop.core.mesh.limits import check_message
from ripstop.core.mesh.messages import PROTOCOL_VERSION, Message

MAGIC = b"RIPSTOP\n"
FRAME_LIMIT = 1024 * 1024  # bytes of one message
_PREAMBLE = MAGIC + bytes([PROTOCOL_VERSION])
_LENGTH = 4  # bytes
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def preamble() -> bytes:
    """Return what each side sends first."""
    return _PREAMBLE


def encode(message: Message) -> bytes:
    """Return one frame.

    Raises:
        ValueError: the message is longer than any peer would take.
    """
    body = _encoder.encode(message)
    if len(body) > FRAME_LIMIT:
        raise ValueError(f"{type(message).__name__} of {len(body)} bytes, limit {FRAME_LIMIT}")
    return len(body).to_bytes(_LENGTH, "big") + body


def decode_body(body: bytes) -> Message:
    """Return the message in a frame's body.

    Raises:
        ProtocolError: not msgpack, no message of ours, or a field outside its limits.
    """
    try:
        message = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: arrays nested too deep
        raise ProtocolError(f"not a message: {error}") from None
    check_message(message)
    return message


class Decoder:
    """Takes bytes as they come and gives whole messages; after its first error it is of no more use."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._greeted = False

    def feed(self, received: bytes) -> list[Message]:
        """Return the messages that `received` completes, in order.

        Raises:
            ProtocolError: these are not the bytes of a peer of ours.
        """
        self._buffer += received
        if not self._greeted and not self._take_preamble():
            return []
        messages: list[Message] = []
        start = 0
        while (body_start := start + _LENGTH) <= len(self._buffer):
            length = int.from_bytes(self._buffer[start:body_start], "big")
            if length > FRAME_LIMIT:
                raise ProtocolError(f"a message of {length} bytes, limit {FRAME_LIMIT}")
            if len(self._buffer) < body_start + length:
                break
            messages.append(decode_body(bytes(self._buffer[body_start : body_start + length])))
            start = body_start + length
        del self._buffer[:start]
        return messages

    def _take_preamble(self) -> bool:
        """Return whether the preamble is complete; a wrong byte in it is an error as soon as it shows."""
        head = bytes(self._buffer[: len(_PREAMBLE)])
        if not MAGIC.startswith(head[: len(MAGIC)]):
            raise ProtocolError("a stranger: does not begin like a ripstop peer")
        if len(head) < len(_PREAMBLE):
            return False
        if head != _PREAMBLE:
            raise ProtocolError(f"speaks version {head[-1]} of the protocol, we speak {PROTOCOL_VERSION}")
        del self._buffer[: len(_PREAMBLE)]
        self._greeted = True
        return True
