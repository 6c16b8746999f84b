"""The network plugin's way in: what it was given comes as it is, what it is to print goes back as it is."""

from collections.abc import Awaitable, Callable

from aiohttp import web

PATH = "/v1/cni"
REFUSED = 422  # the answer is an error in the words of the CNI specification
MAX_BODY = 2 << 20  # bytes

Plugin = Callable[[bytes, Callable[[], bool]], Awaitable[tuple[bool, bytes]]]


def endpoint(plugin: Plugin) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler of `PATH`."""

    async def serve(request: web.Request) -> web.Response:
        body = await request.clone(client_max_size=MAX_BODY).read()
        done, answer = await plugin(body, lambda: request.transport is not None)
        return web.Response(status=200 if done else REFUSED, body=answer, content_type="application/json")

    return serve
