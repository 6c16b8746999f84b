from collections.abc import Iterator
from uuid import uuid4

import pytest

from ripstop.lab import state
from ripstop.lab.removal import remove


@pytest.fixture
def name() -> Iterator[str]:
    """A lab name that no other run has; nothing of that lab stays, even if a test fails."""
    unique = f"t{uuid4().hex[:10]}"
    yield unique
    remove(unique)
    (state.ROOT / f"{unique}.lock").unlink(missing_ok=True)  # of owners that were killed
