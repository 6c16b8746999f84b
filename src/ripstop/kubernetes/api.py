"""The API server, as far as we need it: Nodes to read and watch, Leases to write with preconditions.

Source: "Kubernetes API Concepts", on resource versions, watches, bookmarks and 410.
"""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Self, TypeVar

import aiohttp
import msgspec

from ripstop.core.errors import RipstopError
from ripstop.core.names import PeerName
from ripstop.kubernetes.objects import (
    CLUSTER,
    CLUSTER_LEASE,
    FOUNDER,
    NODE,
    PEER,
    RANGE,
    ROLE,
    UID,
    UNAVAILABLE,
    Lease,
    Node,
    lease_name,
)
from ripstop.kubernetes.settings import Settings

TIMEOUT = 10.0  # seconds for all but lists and watches
LIST_TIMEOUT = 60.0  # seconds for one page
PAGE = 500  # Nodes in one answer
MAX_OBJECT = 8 << 20  # bytes; etcd's own limit is 1.5 MiB
WATCH_SLACK = 15.0  # seconds that a watch may take longer than it was asked to
T = TypeVar("T")
_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_NODES, _LEASES = "/api/v1/nodes", "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
_ADVICE = {
    401: "; its token was not taken: is the service account still there?",
    403: "; the service account may not: apply the ClusterRole and Role of the manifest",
}


class ApiError(RipstopError):
    """The API server refused, or could not be asked."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status  # of HTTP; 0: no answer

    @property
    def is_gone(self) -> bool:
        """Whether what was asked for is not there."""
        return self.status == 404

    @property
    def is_conflict(self) -> bool:
        """Whether it is not as we took it to be, or is there already."""
        return self.status in (409, 412, 422)

    @property
    def is_expired(self) -> bool:
        """Whether the API server has forgotten the version that we know."""
        return self.status == 410


class Change(msgspec.Struct, frozen=True):
    """One line of a watch."""

    type: str
    object: msgspec.Raw


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _NodeList(msgspec.Struct):
    metadata: _ListMeta
    items: tuple[Node, ...] = ()


class _LeaseList(msgspec.Struct):
    items: tuple[Lease, ...] = ()


class _Failure(msgspec.Struct):
    """`Status`, the body of every refusal."""

    message: str = ""
    code: int = 0


class Api:
    """A session with the API server; use it as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._leases = _LEASES.format(settings.namespace)
        self._open = contextlib.AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None
        self._trusted = 0.0  # when the certificates that the session trusts were written

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._open.aclose()

    async def node(self, name: str) -> Node:
        """Return a Node as it is now."""
        return await self._get(f"{_NODES}/{name}", Node)

    async def nodes(self) -> tuple[tuple[Node, ...], str]:
        """Return all Nodes as they are now, and the version of that."""
        found: list[Node] = []
        following = ""
        while True:
            query = {"limit": str(PAGE), **({"continue": following} if following else {})}
            page = await self._get(_NODES, _NodeList, query, LIST_TIMEOUT)
            found += page.items
            following = page.metadata.continue_
            if not following:
                return tuple(found), page.metadata.resource_version

    async def watch(self, version: str, seconds: float) -> AsyncIterator[Change]:
        """Yield what happens to Nodes after `version`, for so many seconds.

        Raises:
            ApiError: `is_expired` if that is too long ago.
        """
        query = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(seconds)),
        }
        timeout = aiohttp.ClientTimeout(total=seconds + WATCH_SLACK, sock_connect=TIMEOUT)
        async with self._request("GET", _NODES, query=query, limit=timeout) as response:
            pending = b""
            async for chunk in response.content.iter_any():
                *lines, pending = (pending + chunk).split(b"\n")
                if len(pending) > MAX_OBJECT:
                    raise ApiError(f"an object of a watch is larger than {MAX_OBJECT} bytes")
                for line in lines:
                    if line.strip():
                        yield _change(line)

    async def mark_available(self, name: str) -> None:
        """Write into a Node that its network is there."""
        now = _now()
        condition = {
            "type": UNAVAILABLE, "status": "False", "reason": "RipstopIsUp", "message": "Ripstop forwards",
            "lastTransitionTime": now, "lastHeartbeatTime": now,
        }  # fmt: skip
        await self._write("PATCH", f"{_NODES}/{name}/status", {"status": {"conditions": [condition]}}, _STRATEGIC)

    async def leases(self) -> tuple[Lease, ...]:
        """Return all Leases of ours."""
        return (await self._get(self._leases, _LeaseList, {"labelSelector": ROLE}, LIST_TIMEOUT)).items

    async def cluster(self) -> Lease:
        """Return what all nodes must agree on."""
        return await self._get(f"{self._leases}/{CLUSTER_LEASE}", Lease)

    async def found_cluster(self, founder: PeerName, universe: str) -> Lease:
        """Say what all nodes must agree on; `is_conflict` if somebody was faster."""
        return await self._make(CLUSTER_LEASE, CLUSTER, {FOUNDER: founder, RANGE: universe})

    async def make_lease(self, node: Node) -> Lease:
        """Say that a Node's peer may own addresses; `is_conflict` if that is known."""
        return await self._make(lease_name(node.peer), PEER, {NODE: node.name, UID: node.metadata.uid})

    async def take(self, lease: Lease, holder: str, seconds: int) -> Lease:
        """Write ourselves into a Lease and return it; `is_conflict` if it has changed."""
        now = _now(micro=True)
        spec: dict[str, object] = {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": now}
        if lease.holder != holder:
            spec |= {"acquireTime": now, "leaseTransitions": (lease.spec.lease_transitions or 0) + 1}
        # a merge patch that names the version fails if another one is there, as a whole update does
        body = {"metadata": {"resourceVersion": lease.metadata.resource_version}, "spec": spec}
        found = await self._write("PATCH", f"{self._leases}/{lease.metadata.name}", body, _MERGE)
        return _decode(found, Lease)

    async def drop(self, lease: Lease) -> None:
        """Delete a Lease; `is_conflict` if it has changed, and none if it is gone."""
        conditions = {"uid": lease.metadata.uid, "resourceVersion": lease.metadata.resource_version}
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": conditions}
        try:
            await self._write("DELETE", f"{self._leases}/{lease.metadata.name}", body)
        except ApiError as error:
            if not error.is_gone:
                raise

    async def config_map(self, namespace: str, name: str) -> dict[str, str]:
        """Return what a ConfigMap holds."""
        found = await self._get(f"/api/v1/namespaces/{namespace}/configmaps/{name}", dict)
        held = found.get("data", {})
        return {str(key): str(value) for key, value in held.items()} if isinstance(held, dict) else {}

    async def _make(self, name: str, role: str, annotations: dict[str, str]) -> Lease:
        meta = {"name": name, "labels": {ROLE: role}, "annotations": annotations}
        body = {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": meta, "spec": {}}
        return _decode(await self._write("POST", self._leases, body), Lease)

    async def _get(self, path: str, kind: type[T], query: dict[str, str] | None = None, seconds: float = TIMEOUT) -> T:
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self._request("GET", path, query=query, limit=timeout) as response:
            return _decode(await response.read(), kind)

    async def _write(self, method: str, path: str, body: object, kind: str = "application/json") -> bytes:
        timeout, coded = aiohttp.ClientTimeout(total=TIMEOUT), msgspec.json.encode(body)
        async with self._request(method, path, body=coded, kind=kind, limit=timeout) as response:
            return await response.read()

    @contextlib.asynccontextmanager
    async def _request(
        self, method: str, path: str, *, limit: aiohttp.ClientTimeout, query: dict[str, str] | None = None,
        body: bytes | None = None, kind: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:  # fmt: skip
        headers = {"Accept": "application/json", "Content-Type": kind, "User-Agent": "ripstop"}
        url = self._settings.server + path
        try:
            headers |= self._credentials()
            session = await self._connected()
            async with session.request(
                method, url, params=query, data=body, headers=headers, timeout=limit, allow_redirects=False
            ) as response:
                if response.status >= 300:
                    raise _refusal(method, path, response.status, await response.read())
                yield response
        except TimeoutError:
            raise ApiError(f"{method} {url}: no answer in time") from None
        except (aiohttp.ClientError, OSError, ssl.SSLError) as error:
            raise ApiError(f"{method} {url}: {error or type(error).__name__}") from None

    def _credentials(self) -> dict[str, str]:
        """Return the token, read anew each time: the kubelet replaces it before it expires."""
        if self._settings.token is None:
            return {}
        return {"Authorization": f"Bearer {self._settings.token.read_text().strip()}"}

    async def _connected(self) -> aiohttp.ClientSession:
        """Return the session; a new one if the certificates that we are to trust are other ones now."""
        trusted = self._settings.authority.stat().st_mtime if self._settings.authority else 1.0
        if self._session is None or trusted != self._trusted:
            await self._open.aclose()
            context = ssl.create_default_context(cafile=self._settings.authority) if self._settings.authority else True
            connector = aiohttp.TCPConnector(ssl=context, socket_factory=_socket)
            self._session, self._trusted = aiohttp.ClientSession(connector=connector), trusted
            await self._open.enter_async_context(self._session)
        return self._session


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Return a socket that notices within a minute when the other end is gone without a word."""
    family, kind, protocol, *_ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    for level, option, value in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),  # seconds
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),  # seconds
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    ):
        made.setsockopt(level, option, value)
    return made


def _change(line: bytes) -> Change:
    change = _decode(line, Change)
    if change.type == "ERROR":
        failure = _decode(bytes(change.object), _Failure)
        raise ApiError(f"watch of Nodes: {failure.message or 'refused'}", failure.code)
    return change


def _decode(text: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise ApiError(f"the API server's answer cannot be read: {error}") from None


def _refusal(method: str, path: str, status: int, body: bytes) -> ApiError:
    try:
        message = msgspec.json.decode(body, type=_Failure).message
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = ""
    text = f"{method} {path}: HTTP status {status}"
    return ApiError(f"{text}{message and ': '}{message}{_ADVICE.get(status, '')}", status)


def _now(*, micro: bool = False) -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def decode_node(change: Change) -> Node:
    """Return the Node of a change."""
    return _decode(bytes(change.object), Node)
