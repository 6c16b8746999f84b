"""`/metrics` for Prometheus: on the unix socket, and if wanted on a TCP address that has nothing else.

Whoever can reach that address may be anybody.  So there are few connections at once, each for one request and a short
time, whatever comes or stays away.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

from ripstop.api.web import web
from ripstop.core.errors import RipstopError

log = logging.getLogger("ripstop.api")
PATH = "/metrics"
MAX_SCRAPERS = 16  # connections at once; a few scrapers need one each, for a moment
PATIENCE = 10.0  # seconds for request and answer; Prometheus' own default for a scrape
_BACKLOG = 16  # connections that wait to be taken
_PAUSE = 1.0  # seconds until we try again when the system has no descriptor or memory for a connection
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Scrape = Callable[[bool], Awaitable[bytes]]  # takes whether it is to be OpenMetrics, returns the text


def endpoint(scrape: Scrape) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler of `PATH`."""

    async def serve(request: web.Request) -> web.Response:
        openmetrics = "application/openmetrics-text" in request.headers.get("Accept", "")
        text = await scrape(openmetrics)
        return web.Response(body=text, headers={"Content-Type": _OPENMETRICS if openmetrics else _TEXT})

    return serve


def listen(address: str, port: int) -> socket.socket:
    """Take a TCP address; nobody is answered before `ScrapeServer.run`.

    Raises:
        OSError: it is in use, or none of this host's.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family, backlog=_BACKLOG, dualstack_ipv6=address == "::")
    listener.setblocking(False)
    return listener


class ScrapeServer:
    """Answers `GET /metrics` and nothing else."""

    def __init__(self, listener: socket.socket, scrape: Scrape, patience: float = PATIENCE) -> None:
        self._listener, self._patience = listener, patience
        self._app = web.Application(middlewares=[_refusals])
        self._app.router.add_get(PATH, endpoint(scrape), allow_head=False)

    async def run(self) -> None:
        """Run until cancelled; closes the listener."""
        runner = web.AppRunner(self._app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        server = runner.server
        assert server is not None, "set up"
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    connection, _ = await loop.sock_accept(self._listener)
                except OSError as error:
                    log.warning("cannot take a connection of a scraper: %s", error.strerror)
                    await asyncio.sleep(_PAUSE)
                    continue
                if len(server.connections) >= MAX_SCRAPERS:
                    connection.close()
                    await asyncio.sleep(0)  # accepting never waits while somebody hammers at the door
                    continue
                try:
                    transport, _ = await loop.connect_accepted_socket(server, connection)
                except OSError:  # whoever it was has gone meanwhile
                    connection.close()
                    continue
                loop.call_later(self._patience, transport.abort)  # nothing if it is closed by then
        finally:
            self._listener.close()
            await runner.cleanup()


@web.middleware
async def _refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer in a line what is not served, and one request on each connection."""
    response: web.StreamResponse
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = web.Response(status=error.status, text=f"{error.reason}; only GET {PATH} is served here\n")
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
    except RipstopError as error:
        log.error("%s %s: %s", request.method, request.path, error)
        response = web.Response(status=500, text=f"{error}\n")
    response.force_close()
    return response
