"""What holds for all tests."""

import signal

import pytest
from hypothesis import settings

settings.register_profile("laws", deadline=None)  # how long an example takes is for benchmarks to tell
settings.load_profile("laws")


@pytest.fixture(scope="session", autouse=True)
def _interrupts() -> None:
    """Let what tests start be interrupted: what a shell runs in the background ignores that, with all its heirs."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
