"""Asks what `answering.py` answers: standard library only.

    python asking.py PROTOCOL ADDRESS PORT TIMES SIZE [SOURCE PORT]

Prints a line for each answer: who answered, whom it saw, how many bytes; or the error.
"""

import socket
import sys


def ask(protocol: str, address: str, port: int, size: int, source: int) -> bytes:
    """Return one answer."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(type=kind) as asker:
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        asker.settimeout(5)
        if source:
            asker.bind(("", source))
        asker.connect((address, port))
        asker.send(str(size).encode())
        if protocol == "udp":
            return asker.recv(65535)
        parts = []
        while part := asker.recv(65536):
            parts.append(part)
        return b"".join(parts)


def main() -> None:
    """Ask so many times."""
    protocol, address, port, times, size, *source = sys.argv[1:]
    for _ in range(int(times)):
        try:
            answer = ask(protocol, address, int(port), int(size), int(source[0]) if source else 0)
        except OSError as error:
            print("error", type(error).__name__, 0, flush=True)
        else:
            name, peer, *_ = answer.decode().split()
            print(name, peer, len(answer), flush=True)


if __name__ == "__main__":
    main()
