"""What name servers say to each other when one takes the place of another, on a unix socket of whole messages.

The one that answers gives its sockets to whoever connects, and goes on until it hears a word, or that nobody wants it.
"""

import msgspec

Place = tuple[str, int]  # address, port
MAX_PLACES = 120  # of which sockets are handed over, two each: the kernel lets 253 go with one message
TAKEN = b"taken"  # says the new one: I answer now
END = b"end"  # says the daemon: nobody is to answer any more
_decoder = msgspec.msgpack.Decoder(tuple[Place, ...])


def encode(places: tuple[Place, ...]) -> bytes:
    """Return the message that goes with two sockets of each place: datagrams, connections."""
    return msgspec.msgpack.encode(places)


def decode(message: bytes) -> tuple[Place, ...]:
    """Return the places.

    Raises:
        ValueError: not a message of ours.
    """
    return _decoder.decode(message)
