"""What a kubelet says to a container runtime: the Container Runtime Interface, by `curl`, as gRPC is HTTP/2.

Source: kubernetes/cri-api, pkg/apis/runtime/v1/api.proto (numbers of fields); gRPC over HTTP2 (framing, trailers);
Protocol Buffers, "Encoding".
"""

import subprocess
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Message = Mapping[int, Any]  # by number of the field: text, bytes, a number, a message, or a list of one of these
_VARINT, _BYTES = 0, 2  # wire types


class CriError(Exception):
    """The runtime refuses, and why."""


def call(socket: Path, method: str, message: Message, seconds: float = 60.0) -> dict[int, list[Any]]:
    """Call the runtime service; return the fields of its answer.

    Raises:
        CriError: it refuses.
    """
    body = encode(message)
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--http2-prior-knowledge", "--unix-socket", str(socket),
         "--max-time", f"{seconds:g}", "--header", "content-type: application/grpc", "--header", "te: trailers",
         "--dump-header", "/dev/stderr", "--data-binary", "@-", f"http://localhost/runtime.v1.RuntimeService/{method}"],
        input=b"\0" + len(body).to_bytes(4, "big") + body, capture_output=True, check=False,
    )  # fmt: skip
    said = dict(line.partition(": ")[::2] for line in done.stderr.decode().replace("\r", "").splitlines())
    if done.returncode or said.get("grpc-status") != "0":
        raise CriError(f"{method}: {urllib.parse.unquote(said.get('grpc-message', done.stderr.decode()))}")
    return decode(done.stdout[5:])


def encode(message: Message) -> bytes:
    """Return a message's wire form."""
    return b"".join(
        _field(number, one)
        for number, value in message.items()
        for one in (value if isinstance(value, list) else [value])
    )


def text_map(entries: Mapping[str, str]) -> list[Message]:
    """Return what a field of type map<string, string> is given."""
    return [{1: key, 2: value} for key, value in entries.items()]


def decode(body: bytes) -> dict[int, list[Any]]:
    """Return the fields of a message: bytes and numbers, as often as they come."""
    found: dict[int, list[Any]] = {}
    while body:
        key, body = _read_varint(body)
        value, body = _read_varint(body)
        if key & 7 == _BYTES:
            found.setdefault(key >> 3, []).append(body[:value])
            body = body[value:]
        else:
            assert key & 7 == _VARINT, f"wire type {key & 7}"
            found.setdefault(key >> 3, []).append(value)
    return found


def _field(number: int, value: object) -> bytes:
    match value:
        case int():
            return _varint(number << 3 | _VARINT) + _varint(value)
        case str():
            content = value.encode()
        case bytes():
            content = value
        case Mapping():
            content = encode(value)
        case _:
            raise TypeError(f"{value!r}")
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _read_varint(body: bytes) -> tuple[int, bytes]:
    value = shift = at = 0
    while body[at] & 0x80:
        value |= (body[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return value | body[at] << shift, body[at + 1 :]
