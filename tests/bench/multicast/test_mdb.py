import struct
from ipaddress import IPv4Address

from bench.multicast.mdb import answer, request


def test_a_request_has_the_lengths_that_it_says() -> None:
    message = request(7, IPv4Address("239.1.2.3"), IPv4Address("192.0.2.9"))
    assert struct.unpack_from("=I", message)[0] == len(message)
    assert struct.unpack_from("=I", message, 20)[0] == 7  # struct br_port_msg
    entry = struct.unpack_from("=HH", message, 24)
    assert entry == (4 + 28, 1)  # struct br_mdb_entry: linux/if_bridge.h
    assert struct.unpack_from("=HH", message, 24 + 32) == (4 + 8, 0x8002)


def test_a_request_names_group_and_host() -> None:
    message = request(7, IPv4Address("239.1.2.3"), IPv4Address("192.0.2.9"))
    assert message[24 + 4 + 8 :][:4] == IPv4Address("239.1.2.3").packed
    assert message[24 + 4 + 24 :][:2] == b"\x08\x00"
    assert message.endswith(struct.pack("=HH", 8, 5) + IPv4Address("192.0.2.9").packed)


def test_an_answer_has_an_error_or_none() -> None:
    assert answer(struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -17)) == 17
    assert answer(struct.pack("=IHHIIi", 36, 2, 0, 1, 0, 0)) == 0
