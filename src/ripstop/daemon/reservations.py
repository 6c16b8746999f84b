"""Which interfaces somebody is working on, so that nobody else does."""

import contextlib
from collections.abc import Iterator

from ripstop.core.errors import ConflictError


class Reservations:
    """Interfaces by name; true while there is any."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Have an interface for oneself for the length of a block.

        Raises:
            ConflictError: somebody else has it.
        """
        if name in self._names:
            raise ConflictError("another request is working on this interface; try again")
        self._names.add(name)
        try:
            yield
        finally:
            self._names.discard(name)
