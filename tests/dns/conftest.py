"""A network namespace for each test, in which port 53 is free."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ripstop.kernel import netns
from tests.dns.servers import Server
from tests.namespaces import inside, namespace


@pytest.fixture
def host() -> Iterator[Path]:
    """Be in a namespace with nothing but loopback."""
    with namespace("dns") as path:
        inside(path, "ip", "link", "set", "lo", "up")
        with netns.opened(str(path)) as descriptor, netns.entered(descriptor):
            yield path


@pytest.fixture
def resolv_conf(tmp_path: Path) -> Path:
    """Return where the host's resolvers are written."""
    return tmp_path / "resolv.conf"


@pytest.fixture
def serve(host: Path, resolv_conf: Path) -> Iterator[Callable[..., Server]]:
    """Return what starts a name server, with more flags if wanted."""
    started: list[Server] = []

    def start(*flags: str) -> Server:
        started.append(Server(resolv_conf, *flags))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    """Return a name server that knows nothing and answers nowhere yet."""
    return serve()
