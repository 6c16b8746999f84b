"""The HTTP server on the unix socket: parses, asks the handler of the call's name, renders; ten lines of deciding."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ripstop.api import scrape as scraping
from ripstop.api.routes import CALLS, Call
from ripstop.api.scrape import Scrape
from ripstop.api.types import ErrorAnswer
from ripstop.api.web import web
from ripstop.core.errors import RequestError, RipstopError

log = logging.getLogger("ripstop.api")
MAX_REQUEST = 64 * 1024  # bytes
BACKLOG = 1024  # connections that wait to be taken: as many containers may start at once
Handler = Callable[[Any], Awaitable[Any]]  # takes the decoded request (None if the call has none), returns the answer


def application(handlers: Mapping[str, Handler], scrape: Scrape) -> web.Application:
    """Return the application that serves every call, with an entry in `handlers` for each, and metrics."""
    app = web.Application(client_max_size=MAX_REQUEST, middlewares=[_errors])
    for call in CALLS:
        app.router.add_route(call.method, call.path, _endpoint(call, handlers[call.name]))
    app.router.add_get(scraping.PATH, scraping.endpoint(scrape), allow_head=False)
    return app


def _endpoint(call: Call, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        asked = None
        if call.request is not None:
            try:
                asked = msgspec.json.decode(await request.read() or b"{}", type=call.request)
            except msgspec.DecodeError as error:
                raise RequestError(f"{call.path}: {error}") from None
        return _json(200, await handler(asked))

    return serve


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except RequestError as error:
        return _json(error.status, ErrorAnswer(str(error)))
    except RipstopError as error:
        log.error("%s %s: %s", request.method, request.path, error)
        return _json(500, ErrorAnswer(str(error)))
    except web.HTTPException as error:
        return _json(error.status, ErrorAnswer(f"{request.method} {request.path}: {error.reason}"))


def _json(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


async def serve(app: web.Application, path: Path) -> web.AppRunner:
    """Listen on a unix socket that only root can open; the returned runner's `cleanup` ends it."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    path.unlink(missing_ok=True)  # the lock on the run directory says that nobody listens there
    site = web.UnixSite(runner, str(path), backlog=BACKLOG)
    await site.start()
    path.chmod(0o600)
    return runner
