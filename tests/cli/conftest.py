"""Directories short enough for a unix socket, and a daemon that answers from a list."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.fake_daemon import FakeDaemon, running


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the environment of whoever runs the tests out of them."""
    for name in ("RIPSTOP_RUN_DIR", "RIPSTOP_STATE_DIR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """An empty directory of a few characters: a unix socket's path has room for 107."""
    path = Path(tempfile.mkdtemp(prefix="rs-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def fake(run_dir: Path) -> Iterator[FakeDaemon]:
    """A daemon with canned answers, listening in `run_dir`."""
    with running(run_dir) as daemon:
        yield daemon
