"""Whether another host runs with our name: its state was copied, and both would own the same addresses.

Nobody in the mesh can tell two such hosts apart, so it is settled before we say a word: we look where we were last.
Whoever answers there with our name is the original, and has never been away.
"""

import asyncio
from collections.abc import Iterable, Mapping

from ripstop.core.errors import ProtocolError, StartError
from ripstop.core.events import Endpoint
from ripstop.core.mesh.memory import recall
from ripstop.core.mesh.messages import Hello, PeerRecord
from ripstop.core.names import PeerName, UnderlayIp
from ripstop.daemon.sensors import source_address
from ripstop.wire.control import Decoder

LOOK_TIMEOUT = 1.0  # seconds for connection and hello; only spent by a host whose address has changed
_READ_SIZE = 65536  # bytes


async def refuse_double(name: PeerName, saved: Mapping[str, bytes]) -> None:
    """Return if nobody with our name is where we were last.

    Raises:
        StartError: somebody is.
    """
    places = [one for one in _former_places(name, saved) if source_address(UnderlayIp(one.address)) != one.address]
    found = await asyncio.gather(*(_name_at(place) for place in places))
    for place, other in zip(places, found, strict=True):
        if other == name:
            raise StartError(
                f"the host at {place.address} runs with the name of this one, {name}: the state here is a copy of its;"
                " delete the state directory and start again"
            )


def _former_places(name: PeerName, saved: Mapping[str, bytes]) -> Iterable[Endpoint]:
    for entry in recall(saved).entries:
        if isinstance(entry.value, PeerRecord) and entry.value.name == name:
            yield from (Endpoint(address, entry.value.port) for address in entry.value.addresses)


async def _name_at(place: Endpoint) -> PeerName | None:
    """Return the name of the peer that listens somewhere, None if nobody says one."""
    decoder = Decoder()
    try:
        async with asyncio.timeout(LOOK_TIMEOUT):
            reader, writer = await asyncio.open_connection(place.address, place.port)
            try:
                while received := await reader.read(_READ_SIZE):
                    for message in decoder.feed(received):
                        if isinstance(message, Hello):
                            return message.name
            finally:
                writer.close()
    except (OSError, TimeoutError, ProtocolError):
        return None
    return None
