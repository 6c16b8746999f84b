"""What the kubelet asks: is the agent alive, is this node's network ready."""

import contextlib
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from ripstop.core.errors import RipstopError
from ripstop.kubernetes.cluster import Cluster


@contextlib.asynccontextmanager
async def serving(address: str, cluster: Cluster) -> AsyncIterator[None]:
    """Answer `/livez` and `/readyz` at ADDRESS:PORT; with an empty address nowhere.

    Raises:
        RipstopError: the address cannot be had.
    """
    if not address:
        yield
        return

    async def live(_request: web.Request) -> web.Response:
        return _answer(200, cluster)

    async def ready(_request: web.Request) -> web.Response:
        return _answer(200 if cluster.daemon is not None else 503, cluster)

    app = web.Application()
    app.router.add_get("/livez", live)
    app.router.add_get("/readyz", ready)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, _, port = address.rpartition(":")
    try:
        await web.TCPSite(runner, host, int(port)).start()
    except OSError as error:
        await runner.cleanup()
        raise RipstopError(f"cannot listen on {address}: {error.strerror}; give another --health") from None
    try:
        yield
    finally:
        await runner.cleanup()


def _answer(status: int, cluster: Cluster) -> web.Response:
    """Say how it is; what the API server does or does not do is shown, and no reason to be restarted or avoided."""
    told = {"daemon": cluster.daemon, "nodes": len(cluster.nodes), "listed": cluster.is_listed,
            "errors": cluster.errors}  # fmt: skip
    return web.Response(status=status, body=msgspec.json.encode(told), content_type="application/json")
