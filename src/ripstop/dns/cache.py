"""What others answered, as long as they said that it holds; pure."""

from dataclasses import dataclass

from ripstop.wire.dns_answer import Stored

MAX_BYTES = 8 * 1024 * 1024  # of answers, counted with what is around each
_AROUND = 600  # bytes, about


@dataclass(frozen=True, slots=True)
class Key:
    """What makes two questions the same."""

    question: bytes  # lower case
    dnssec: bool  # the answer has signatures
    unchecked: bool  # nobody is to check them


class Cache:
    """Answers by question; the oldest go when there are too many bytes."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._kept: dict[Key, tuple[float, Stored]] = {}  # since when; in the order in which they came
        self._max_bytes, self._bytes = max_bytes, 0

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, key: Key, stored: Stored, now: float) -> None:
        """Keep an answer, if it holds for any time."""
        self._drop(key)
        if stored.ttl:
            self._kept[key] = now, stored
            self._bytes += _size(stored)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def get(self, key: Key, now: float) -> tuple[Stored, int] | None:
        """Return an answer and its age in whole seconds, if it still holds."""
        since, stored = self._kept.get(key, (0.0, None))
        if stored is None:
            return None
        age = int(now - since)
        if age < stored.ttl:
            return stored, age
        self._drop(key)
        return None

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._bytes = 0

    def _drop(self, key: Key) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self._bytes -= _size(dropped[1])


def _size(stored: Stored) -> int:
    return _AROUND + len(stored.body)
