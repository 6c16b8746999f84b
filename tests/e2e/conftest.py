"""Labs for end-to-end tests: real daemons in namespaces, one name per test so that parallel runs never meet."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from ripstop.lab.lab import Lab


def lab_name() -> str:
    """Return a name that no other lab has."""
    return f"t{uuid4().hex[:6]}"


@pytest.fixture
def bare_host() -> Iterator[Lab]:
    """One host without a daemon, one empty container."""
    with Lab(hosts=1, name=lab_name(), containers=1, daemons=False) as lab:
        yield lab


@pytest.fixture
def pair() -> Iterator[Lab]:
    """Two hosts, one container on each, everything up."""
    with Lab(hosts=2, name=lab_name(), containers=1) as lab:
        yield lab


@pytest.fixture
def chain() -> Iterator[Lab]:
    """Three hosts, h1 and h3 only by way of h2, one container on each."""
    with Lab(hosts=3, name=lab_name(), containers=1, topology="chain") as lab:
        yield lab
