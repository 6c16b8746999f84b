"""Waiting for what comes about by itself."""

import time
from collections.abc import Callable

PAUSE = 0.02  # seconds between two looks: whoever is waited for needs the processor


def eventually(seen: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something has come about; what it takes is for benchmarks to tell."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(PAUSE)
