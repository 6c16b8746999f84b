"""A server that plays the Kubernetes API: Nodes and Leases, versions, watches, preconditions, and its moods.

Source: "Kubernetes API Concepts": one counter of versions for all objects; a watch tells what came after a version, or
fails with 410 if that is forgotten; bookmarks; lists in pages; conflicts are 409.
"""

import asyncio
import contextlib
import copy
import json
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, Self, TypeVar
from uuid import uuid4

from aiohttp import web

T = TypeVar("T")
Object = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TOKEN = "a-service-account-token"
NODES, LEASES = "nodes", "leases"
KINDS = {NODES: ("v1", "Node"), LEASES: ("coordination.k8s.io/v1", "Lease"), "configmaps": ("v1", "ConfigMap")}


GROUPS = {
    "apps/v1": {"daemonsets": ("DaemonSet", True)},
    "rbac.authorization.k8s.io/v1": {
        "clusterroles": ("ClusterRole", False), "clusterrolebindings": ("ClusterRoleBinding", False),
        "roles": ("Role", True), "rolebindings": ("RoleBinding", True),
    },
    "coordination.k8s.io/v1": {"leases": ("Lease", True)},
}  # fmt: skip
CORE = {"nodes": ("Node", False), "serviceaccounts": ("ServiceAccount", True), "configmaps": ("ConfigMap", True)}


def _resources(group: str, kinds: dict[str, tuple[str, bool]]) -> Object:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    found = [
        {"name": name, "singularName": "", "kind": kind, "namespaced": namespaced, "verbs": verbs}
        for name, (kind, namespaced) in kinds.items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": found}


def _groups() -> list[Object]:
    versions = {group: {"groupVersion": group, "version": group.partition("/")[2]} for group in GROUPS}
    return [
        {"name": group.partition("/")[0], "versions": [version], "preferredVersion": version}
        for group, version in versions.items()
    ]


DISCOVERY: dict[str, Object] = {  # what `kubectl` asks before all else
    "/version": {"major": "1", "minor": "31", "gitVersion": "v1.31.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups()},
    "/api/v1": _resources("v1", CORE),
    **{f"/apis/{group}": _resources(group, kinds) for group, kinds in GROUPS.items()},
}


class ApiServer:
    """Runs in a thread of its own; everything that tests call may be called from theirs."""

    def __init__(self, *, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, str]] = []  # method, path and query
        self.token = TOKEN  # "": it wants none
        self._objects: dict[str, dict[str, Object]] = {kind: {} for kind in KINDS}
        self._version, self._forgotten = 100, 0
        self._log: list[tuple[int, str, Object]] = []  # what happened to Nodes
        self._moods: list[tuple[str, int]] = []  # refusals to come: a part of the path, and the status
        self._changed = asyncio.Condition()
        self._streams: set[web.StreamResponse] = set()
        self._slowness = 0.0
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self._listeners: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def listen(self, port: int = 0) -> int:
        """Listen on the loopback of the namespace that this thread is in; return the port."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        self._do(self._serve(listener))
        return int(listener.getsockname()[1])

    def stop(self) -> None:
        """Be away: nobody listens, connections are cut."""
        self._do(self._close())

    def cut(self) -> None:
        """Cut every watch in the middle of a line."""
        self._do(self._cut())

    def put(self, kind: str, name: str, **parts: Any) -> Object:
        """Make an object, or change one; return it as it is now."""
        return self._do(self._put(kind, name, parts))

    def delete(self, kind: str, name: str) -> None:
        """Delete an object."""
        self._do(self._delete(kind, name))

    def get(self, kind: str, name: str) -> Object | None:
        """Return an object."""
        return copy.deepcopy(self._objects[kind].get(name))

    def names(self, kind: str) -> list[str]:
        """Return which objects there are."""
        return sorted(self._objects[kind])

    def node(self, name: str, address: str, uid: str = "", **parts: Any) -> Object:
        """Make a Node, or one anew."""
        addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]
        unavailable = {"type": "NetworkUnavailable", "status": "True", "reason": "NoRouteCreated"}
        meta: Object = {"uid": uid} if uid else {}
        return self.put(
            NODES, name, metadata=meta, status={"addresses": addresses, "conditions": [unavailable]}, **parts
        )

    def compact(self) -> None:
        """Forget all that has happened so far."""

        async def compact() -> None:
            self._log.clear()
            self._forgotten = self._version

        self._do(compact())

    def bookmark(self) -> int:
        """Tell every watch how far it has come, though nothing happened to Nodes; return the version."""

        async def bookmark() -> int:
            async with self._changed:
                self._version += 1
                meta: Object = {"resourceVersion": str(self._version), "creationTimestamp": None}
                note: Object = {"kind": "Node", "apiVersion": "v1", "metadata": meta, "spec": {}, "status": {}}
                self._log.append((self._version, "BOOKMARK", note))
                self._changed.notify_all()
            return self._version

        return self._do(bookmark())

    def refuse(self, path: str, *statuses: int) -> None:
        """Answer the next requests whose path has `path` in it with these statuses; -1 hangs up, 0 says nothing."""
        self._moods += [(path, status) for status in statuses]

    def slow(self, seconds: float) -> None:
        """Take so long for everything from now on."""
        self._slowness = seconds

    @property
    def watches(self) -> int:
        """How many watches are open."""
        return len(self._streams)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        done: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(30)

    async def _serve(self, listener: socket.socket) -> None:
        if self._runner is None:
            app = web.Application(middlewares=[self._mood])
            prefix = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
            for path, kind in (("/api/v1/nodes", NODES), (prefix, LEASES)):
                app.router.add_get(path, self._on(self._list, kind))
                app.router.add_post(path, self._on(self._create, kind))
                app.router.add_get(path + "/{name}", self._on(self._read, kind))
                app.router.add_patch(path + "/{name}", self._on(self._patch, kind))
                app.router.add_delete(path + "/{name}", self._on(self._remove, kind))
            app.router.add_patch("/api/v1/nodes/{name}/status", self._on(self._patch, NODES))
            app.router.add_get("/api/v1/namespaces/{namespace}/configmaps/{name}", self._on(self._read, "configmaps"))
            for path, found in DISCOVERY.items():
                app.router.add_get(path, _fixed(found))
            self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await self._runner.setup()
        self._listeners.append(listener)
        await web.SockSite(self._runner, listener, ssl_context=self._context).start()

    async def _close(self) -> None:
        if self._runner is not None:
            await self._cut()
            await self._runner.cleanup()
            self._runner = None
        while self._listeners:
            self._listeners.pop().close()

    async def _cut(self) -> None:
        for stream in list(self._streams):
            with contextlib.suppress(ConnectionError):
                await stream.write(b'{"type":"MODIFIED","object":{"kind":"No')
            transport = stream._req.transport if stream._req else None  # noqa: SLF001 - there is no other way to cut it
            if transport is not None:
                transport.abort()

    @staticmethod
    def _on(handler: Callable[[web.Request, str], Awaitable[web.StreamResponse]], kind: str) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await handler(request, kind)

        return serve

    @web.middleware
    async def _mood(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self.requests.append((request.method, request.path_qs))
            if self._slowness:
                await asyncio.sleep(self._slowness)
            return await self._in_mood(request, handler)
        except web.HTTPException as error:
            return refusal(error.status, error.reason)

    async def _in_mood(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        for mood in self._moods:
            if mood[0] in request.path_qs:
                self._moods.remove(mood)
                if mood[1] <= 0:
                    if mood[1] == 0:
                        await asyncio.sleep(3600)
                    assert request.transport is not None
                    request.transport.abort()
                return refusal(mood[1] if mood[1] > 0 else 500, "it is in that mood")
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return refusal(401, "Unauthorized")
        return await handler(request)

    async def _put(self, kind: str, name: str, parts: Object) -> Object:
        async with self._changed:
            known = self._objects[kind].get(name)
            made: Object = copy.deepcopy(known) if known else {"metadata": {"name": name, "uid": str(uuid4())}}
            made["apiVersion"], made["kind"] = KINDS[kind]
            merge(made, parts)
            return self._keep(kind, name, made, "MODIFIED" if known else "ADDED")

    def _keep(self, kind: str, name: str, made: Object, what: str) -> Object:
        self._version += 1
        made["metadata"]["resourceVersion"] = str(self._version)
        self._objects[kind][name] = made
        self._note(kind, what, made)
        return copy.deepcopy(made)

    def _note(self, kind: str, what: str, thing: Object) -> None:
        if kind == NODES:
            self._log.append((self._version, what, copy.deepcopy(thing)))
            self._changed.notify_all()

    async def _delete(self, kind: str, name: str) -> None:
        async with self._changed:
            gone = self._objects[kind].pop(name)
            self._version += 1
            gone["metadata"]["resourceVersion"] = str(self._version)
            self._note(kind, "DELETED", gone)

    async def _list(self, request: web.Request, kind: str) -> web.StreamResponse:
        if request.query.get("watch"):
            return await self._watch(request)
        label = request.query.get("labelSelector", "")
        items = [one for _, one in sorted(self._objects[kind].items())]
        if label:
            items = [one for one in items if label in one["metadata"].get("labels", {})]
        begin, limit = int(request.query.get("continue", "0")), int(request.query.get("limit", "0")) or len(items)
        meta = {"resourceVersion": str(self._version)}
        if begin + limit < len(items):
            meta["continue"] = str(begin + limit)
        group, what = KINDS[kind]
        page = items[begin : begin + limit]
        return web.json_response({"kind": f"{what}List", "apiVersion": group, "metadata": meta, "items": page})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        at = int(request.query["resourceVersion"])
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        self._streams.add(stream)
        try:
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                    if at < self._forgotten:
                        gone = failure(410, f"too old resource version: {at} ({self._forgotten})")
                        await stream.write(line("ERROR", gone))
                        return stream
                    while True:
                        for version, what, thing in await self._news(at):
                            at = version
                            if what != "BOOKMARK" or request.query.get("allowWatchBookmarks"):
                                await stream.write(line(what, thing))
        finally:
            self._streams.discard(stream)
        return stream

    async def _news(self, at: int) -> list[tuple[int, str, Object]]:
        """Wait until something has happened after that version."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._log) and self._log[-1][0] > at)
            return [entry for entry in self._log if entry[0] > at]

    async def _read(self, request: web.Request, kind: str) -> web.StreamResponse:
        return web.json_response(self._find(request, kind))

    def _find(self, request: web.Request, kind: str) -> Object:
        name = request.match_info["name"]
        if name not in self._objects[kind]:
            raise web.HTTPNotFound(reason=f'{kind} "{name}" not found')
        return self._objects[kind][name]

    async def _create(self, request: web.Request, kind: str) -> web.StreamResponse:
        body = await request.json()
        name = body["metadata"]["name"]
        if name in self._objects[kind]:
            raise web.HTTPConflict(reason=f'{kind} "{name}" already exists')
        return web.json_response(await self._put(kind, name, body), status=201)

    async def _patch(self, request: web.Request, kind: str) -> web.StreamResponse:
        found, body = self._find(request, kind), await request.json()
        wanted = body.get("metadata", {}).pop("resourceVersion", None)
        if wanted is not None and wanted != found["metadata"]["resourceVersion"]:
            raise web.HTTPConflict(
                reason="the object has been modified; please apply your changes to the latest version"
            )
        if request.content_type == "application/strategic-merge-patch+json":
            conditions = {one["type"]: one for one in found["status"].get("conditions", [])}
            conditions |= {one["type"]: one for one in body["status"]["conditions"]}
            body["status"]["conditions"] = list(conditions.values())
        return web.json_response(await self._put(kind, request.match_info["name"], body))

    async def _remove(self, request: web.Request, kind: str) -> web.StreamResponse:
        found = self._find(request, kind)
        body = json.loads(await request.read() or b"{}")
        for key, value in body.get("preconditions", {}).items():
            if found["metadata"][key] != value:
                raise web.HTTPConflict(reason=f"Precondition failed: {key} in precondition: {value}")
        await self._delete(kind, request.match_info["name"])
        return web.json_response({"kind": "Status", "apiVersion": "v1", "status": "Success"})


def _fixed(found: Object) -> Handler:
    async def serve(_request: web.Request) -> web.StreamResponse:
        return web.json_response(found)

    return serve


def merge(into: Object, parts: Object) -> None:
    """Merge as RFC 7386 says: objects by key, null removes, all else replaces."""
    for key, value in parts.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def line(what: str, thing: Object) -> bytes:
    """Return one line of a watch."""
    return json.dumps({"type": what, "object": thing}).encode() + b"\n"


def failure(code: int, message: str) -> Object:
    """Return a `Status` that says no."""
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}


def refusal(status: int, reason: str) -> web.Response:
    """Return a response that says no."""
    return web.json_response(failure(status, reason), status=status)


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[tuple[ApiServer, int]]:
    """Run a server on this namespace's loopback; yield it and its port."""
    with ApiServer(context=context) as server:
        yield server, server.listen()
