"""One switch for all tests of a module; each starts with the same tables and nothing learnt."""

from collections.abc import Iterator

import pytest

from tests.bpf.switch import Switch
from tests.bpf.tables import TABLES


@pytest.fixture(scope="module")
def bench() -> Iterator[Switch]:
    """A switch for the module."""
    switch = Switch()
    try:
        yield switch
    finally:
        switch.close()


@pytest.fixture
def switch(bench: Switch) -> Switch:
    """The switch with `TABLES`, an empty FDB, and no groups."""
    bench.datapath.apply(TABLES)
    bench.forget_groups()
    bench.hush()
    return bench
