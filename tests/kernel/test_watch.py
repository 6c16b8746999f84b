"""What a change on the host is about: containers' ports, which we make ourselves, or anything else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ripstop.kernel import netns
from ripstop.kernel.watch import Change, Watch
from tests.namespaces import inside, namespace

PORT = "rs0123456789"


@pytest.fixture
def host() -> Iterator[Path]:
    with namespace("w") as path:
        yield path


@pytest.fixture
def watch(host: Path) -> Iterator[Watch]:
    with netns.opened(str(host)) as descriptor, netns.entered(descriptor):
        made = Watch()
    yield made
    made.close()


def test_ports_that_come_are_no_news_and_ports_that_go_are(host: Path, watch: Watch) -> None:
    inside(host, "ip", "link", "add", PORT, "type", "ifb")
    inside(host, "ip", "link", "set", PORT, "up")
    assert watch.drain() is Change.NOTHING
    inside(host, "ip", "link", "delete", PORT)
    assert watch.drain() is Change.GONE
    assert watch.drain() is Change.NOTHING


def test_everything_else_is_looked_at(host: Path, watch: Watch) -> None:
    inside(host, "ip", "link", "add", "eth9", "type", "ifb")
    assert Change.DEVICES in watch.drain()
    inside(host, "ip", "link", "set", "eth9", "up")
    inside(host, "ip", "address", "add", "192.0.2.9/24", "dev", "eth9")
    assert Change.DEVICES in watch.drain()
    inside(host, "ip", "link", "add", PORT, "type", "ifb")
    inside(host, "ip", "link", "delete", "eth9")
    assert Change.DEVICES in watch.drain()
