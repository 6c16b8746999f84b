#!/usr/bin/python3 -IS
"""The network plugin in Python: hands all it is given to the daemon, and knows what to do when that does not answer.

The courier, which carries this program, asks first, and becomes it when there was no answer; where there is no courier
for a machine, all is done here.  Most of the time that it takes is Python's to start.  So it imports only what is built
into the interpreter, and what is needed without a daemon alone, `REST`, is not even compiled.  The daemon knows the
specification.
"""

import _socket
import posix
import sys

TYPE_CHECKING = False  # `typing` takes longer to import than all this
if TYPE_CHECKING:
    from typing import Any

RUN_DIR = "/run/ripstop"  # where the daemon's socket is; `ripstop cni install` puts its own here
TIME_LIMIT = 60  # seconds without an answer; runtimes wait for two minutes or more
MAX_CONFIG = 1 << 20  # bytes; the daemon refuses what is longer, so no more needs to be read
PARAMETERS = (b"CNI_COMMAND", b"CNI_CONTAINERID", b"CNI_NETNS", b"CNI_IFNAME", b"CNI_ARGS")
REST = ""  # `ripstop cni install` puts rest.py here


def main() -> int:
    """Serve one call; return the exit code."""
    words = [posix.environ.get(name, b"") for name in PARAMETERS]
    run_dir = posix.environ.get(b"RIPSTOP_RUN_DIR", b"").decode("utf-8", "surrogateescape") or RUN_DIR
    answer = b""
    trouble: OSError | None = None
    try:
        words.append(standard_input())
        if sys.argv[1:] and sys.argv[1].isdigit():  # by the courier, to which the daemon gave no answer
            trouble = error_of(int(sys.argv[1]))
        elif words[0] != b"VERSION":
            answer = ask(run_dir, b"\0".join(words))
    except OSError as error:
        trouble = error
    if not answer:
        answer = rest(run_dir, words, trouble)
    written = 1  # the first byte is the exit code
    while written < len(answer):
        written += posix.write(1, answer[written:])
    return answer[0]


def error_of(number: int) -> "OSError | None":
    """Return an error by its number, None for 0."""
    return OSError(number, posix.strerror(number)) if number else None


def standard_input() -> bytes:
    """Read the configuration."""
    config = b""
    while len(config) <= MAX_CONFIG and (part := posix.read(0, 65536)):
        config += part
    return config


def ask(run_dir: str, body: bytes) -> bytes:
    """Hand a call to the daemon; return its answer, b"" if it ends before that.

    The socket blocks, and the kernel minds the time: one that does not block would be refused when many ask at once.
    """
    limit = TIME_LIMIT.to_bytes(8, sys.byteorder) + bytes(8)  # struct timeval
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    for option in (_socket.SO_RCVTIMEO, _socket.SO_SNDTIMEO):
        connection.setsockopt(_socket.SOL_SOCKET, option, limit)
    connection.connect(run_dir + "/cni.sock")
    connection.sendall(len(body).to_bytes(4, "big") + body)
    answer = b""
    while part := connection.recv(65536):
        answer += part
    return answer


def rest(run_dir: str, words: list[bytes], trouble: "OSError | None") -> bytes:
    """Return the answer to what the daemon is not asked, or has not answered."""
    names: dict[str, Any] = {"__name__": "rest"}
    exec(REST, names)
    found: bytes = names["answer"](run_dir, words, trouble, ask, TIME_LIMIT)  # see rest.py
    return found


if __name__ == "__main__":
    posix._exit(main())  # noqa: SLF001  it is public; without it the interpreter's farewell takes a millisecond
