"""Signals while something must be cleaned up: turned into exceptions first, held back during the cleaning."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """Have SIGTERM and SIGHUP unwind the main thread as Ctrl-C does, so that every `finally` runs."""

    def unwind(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)  # as a shell reports death by a signal

    before = {number: signal.signal(number, unwind) for number in ENDING if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Keep signals that would end us waiting until the block is done; processes started inside ignore them too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
