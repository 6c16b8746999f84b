"""A pod's program, standard library only: answers TCP and UDP with its name and the address of whoever asks.

    python answering.py NAME PORT

A request may name a number: then the answer is padded to that many bytes. It prints "ready" once it listens.
"""

import selectors
import socket
import sys


def answer(name: str, peer: str, request: bytes) -> bytes:
    """Return what is said to `peer`."""
    size = int(request.decode() or "0")
    return f"{name} {peer} ".encode().ljust(size, b".")


def main() -> None:
    """Answer until killed."""
    name, port = sys.argv[1], int(sys.argv[2])
    stream, datagrams = socket.create_server(("", port)), socket.socket(type=socket.SOCK_DGRAM)
    datagrams.bind(("", port))
    chosen = selectors.DefaultSelector()
    chosen.register(stream, selectors.EVENT_READ)
    chosen.register(datagrams, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in chosen.select():
            if key.fileobj is stream:
                connection, (peer, _) = stream.accept()
                with connection:
                    connection.settimeout(10)
                    connection.sendall(answer(name, peer, connection.recv(64)))
            else:
                request, sender = datagrams.recvfrom(64)
                datagrams.sendto(answer(name, sender[0], request), sender)


if __name__ == "__main__":
    main()
