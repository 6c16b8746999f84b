"""One lab for all tests of multicast that leave it as they found it, and a group for each."""

from collections.abc import Iterator
from itertools import count

import pytest

from ripstop.lab.lab import Lab
from tests.e2e.conftest import lab_name

_numbers = count(1)


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    """Three hosts, h1 and h3 only by way of h2, two containers on each; nothing joined."""
    with Lab(hosts=3, name=lab_name(), containers=2, topology="chain") as lab:
        for container in lab.containers:
            container.wait_until_valid()
        yield lab


@pytest.fixture
def group() -> str:
    """A group that no other test uses."""
    return f"239.7.7.{next(_numbers)}"


@pytest.fixture
def group6() -> str:
    """The same of IPv6."""
    return f"ff15::7:{next(_numbers):x}"
