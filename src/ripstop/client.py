"""The HTTP client: all that the command line and other programs know of the daemon.

Synchronous, over the unix socket `<run-dir>/ripstop.sock`, standard library only, one connection per call.
"""

import contextlib
import http.client
import socket
import struct
from pathlib import Path
from typing import Any, Literal, overload

import msgspec

from ripstop.api.routes import BY_NAME, Call
from ripstop.api.types import (
    AttachRequest,
    Connection,
    Detached,
    DetachRequest,
    DnsStatus,
    ErrorAnswer,
    Exposed,
    ExposeRequest,
    GroupRequest,
    GuardRequest,
    IpamStatus,
    LookupRequest,
    Moved,
    MulticastMember,
    MulticastStatus,
    MulticastTrace,
    Name,
    NameRequest,
    Peer,
    Port,
    PrimeRequest,
    RemovePeersRequest,
    Report,
    ResetRequest,
    Route,
    Status,
    Target,
    TargetsRequest,
    TraceRequest,
    Version,
)
from ripstop.core.errors import RipstopError

SOCKET_NAME = "ripstop.sock"
TIMEOUT = 10.0  # seconds of silence after which a daemon counts as unreachable
MAX_ANSWER = 64 << 20  # bytes; a report of a thousand hosts is far below
_PATIENT = AttachRequest | ExposeRequest | PrimeRequest | RemovePeersRequest | ResetRequest  # these say how long
_UCRED = struct.Struct("iII")  # pid, uid, gid; Source: unix(7), SO_PEERCRED


class DaemonUnreachableError(RipstopError):
    """Nobody answers on the socket; the text says which, what is wrong with it and what to do."""

    def __init__(self, text: str, *, dead: bool = False) -> None:
        super().__init__(text)
        self.dead = dead  # nobody listens; False: somebody may, but is silent or out of our reach


class RefusedError(RipstopError):
    """The daemon refused; the text is its own."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status  # as in HTTP: 4xx the request is wrong, 5xx the daemon could not


class BadAnswerError(RipstopError):
    """What came back is no answer of our API: another version, or another program on that socket."""


class Client:
    """Asks one daemon; every call opens and closes a connection of its own."""

    def __init__(self, run_dir: Path, timeout: float = TIMEOUT) -> None:
        self.socket = run_dir / SOCKET_NAME
        self._timeout = timeout  # seconds

    @overload
    def call(self, name: Literal["version"]) -> Version: ...
    @overload
    def call(self, name: Literal["status"]) -> Status: ...
    @overload
    def call(self, name: Literal["peers"]) -> list[Peer]: ...
    @overload
    def call(self, name: Literal["connections"]) -> list[Connection]: ...
    @overload
    def call(self, name: Literal["routes"]) -> list[Route]: ...
    @overload
    def call(self, name: Literal["targets"]) -> list[Target]: ...
    @overload
    def call(self, name: Literal["ipam"]) -> IpamStatus: ...
    @overload
    def call(self, name: Literal["ports"]) -> list[Port]: ...
    @overload
    def call(self, name: Literal["report"]) -> Report: ...
    @overload
    def call(self, name: Literal["attach"], request: AttachRequest) -> Port: ...
    @overload
    def call(self, name: Literal["detach"], request: DetachRequest) -> Detached: ...
    @overload
    def call(self, name: Literal["guard"], request: GuardRequest) -> list[Port]: ...
    @overload
    def call(self, name: Literal["expose"], request: ExposeRequest) -> Exposed: ...
    @overload
    def call(self, name: Literal["hide"]) -> Exposed: ...
    @overload
    def call(self, name: Literal["connect"], request: TargetsRequest) -> list[Target]: ...
    @overload
    def call(self, name: Literal["forget"], request: TargetsRequest) -> list[Target]: ...
    @overload
    def call(self, name: Literal["multicast"]) -> MulticastStatus: ...
    @overload
    def call(self, name: Literal["trace"], request: TraceRequest) -> MulticastTrace: ...
    @overload
    def call(self, name: Literal["join"], request: GroupRequest) -> list[MulticastMember]: ...
    @overload
    def call(self, name: Literal["leave"], request: GroupRequest) -> list[MulticastMember]: ...
    @overload
    def call(self, name: Literal["dns"]) -> DnsStatus: ...
    @overload
    def call(self, name: Literal["names"]) -> list[Name]: ...
    @overload
    def call(self, name: Literal["lookup"], request: LookupRequest) -> list[Name]: ...
    @overload
    def call(self, name: Literal["add_name"], request: NameRequest) -> list[Name]: ...
    @overload
    def call(self, name: Literal["remove_name"], request: NameRequest) -> list[Name]: ...
    @overload
    def call(self, name: Literal["prime"], request: PrimeRequest) -> None: ...
    @overload
    def call(self, name: Literal["rmpeer"], request: RemovePeersRequest) -> Moved: ...
    @overload
    def call(self, name: Literal["reset"], request: ResetRequest) -> Moved: ...
    @overload
    def call(self, name: Literal["down"]) -> None: ...

    def call(self, name: str, request: msgspec.Struct | None = None) -> Any:
        """Make one call of `ripstop.api.routes.CALLS` and return its typed answer.

        Raises:
            DaemonUnreachableError: no daemon, or one that stays silent.
            RefusedError: the daemon said no.
            BadAnswerError: the answer makes no sense.
        """
        call = BY_NAME[name]
        body = msgspec.json.encode(request) if request is not None else None
        patience = request.wait if isinstance(request, _PATIENT) else 0.0  # it may take that long
        status, answer = self._exchange(call, body, self._timeout + patience)
        if not 200 <= status < 300:
            raise RefusedError(status, self._refusal(status, answer))
        if call.answer is None:
            return None
        try:
            return msgspec.json.decode(answer, type=call.answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._bad(name, str(error)) from None

    def daemon_pid(self) -> int:
        """Return the process that listens on the socket, even if it answers nothing any more.

        Raises:
            DaemonUnreachableError: nobody listens.
        """
        with contextlib.closing(self._connect(self._timeout)) as connection:
            credentials = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, _uid, _gid = _UCRED.unpack(credentials)
        return int(pid)

    def _exchange(self, call: Call, body: bytes | None, timeout: float) -> tuple[int, bytes]:
        """Send one request and return status and body of what comes back."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        with contextlib.closing(self._connect(timeout)) as connection:
            try:
                connection.request(call.method, call.path, body, headers)
                response = connection.getresponse()
                answer = response.read(MAX_ANSWER)
            except TimeoutError:
                raise self._unreachable(f"a daemon is there but gave no answer within {timeout:g} s") from None
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise self._unreachable(f"the daemon hung up on `{call.name}` ({reason}); look into its log") from None
            except (http.client.HTTPException, ValueError) as error:
                raise self._bad(call.name, f"{type(error).__name__} {error}".rstrip()) from None
        return response.status, answer

    def _connect(self, timeout: float) -> "_UnixConnection":
        """Open the socket, or say what is wrong with it."""
        connection = _UnixConnection(self.socket, timeout)
        try:
            connection.connect()
        except FileNotFoundError:
            raise DaemonUnreachableError(
                f"no daemon: {self.socket} does not exist; start one with `ripstop up`,"
                " or say where it runs with --run-dir or RIPSTOP_RUN_DIR",
                dead=True,
            ) from None
        except ConnectionRefusedError:
            raise DaemonUnreachableError(
                f"no daemon: {self.socket} exists but nobody listens, so the daemon has died;"
                " the kernel keeps forwarding; start it again with `ripstop up`, or clear up with `ripstop down`",
                dead=True,
            ) from None
        except PermissionError:
            raise DaemonUnreachableError(f"no access to {self.socket}: permission denied; run as root") from None
        except TimeoutError:
            raise self._unreachable(f"a daemon is there but took no connection within {timeout:g} s") from None
        except OSError as error:
            raise DaemonUnreachableError(f"no daemon: {self.socket}: {error.strerror or error}") from None
        return connection

    def _refusal(self, status: int, answer: bytes) -> str:
        """Return the daemon's own words, or what can be said without them."""
        try:
            return msgspec.json.decode(answer, type=ErrorAnswer).error
        except (msgspec.DecodeError, UnicodeDecodeError):
            return f"{self.socket} answered with HTTP status {status} and no reason"

    def _unreachable(self, text: str) -> DaemonUnreachableError:
        return DaemonUnreachableError(f"{self.socket}: {text}")

    def _bad(self, name: str, why: str) -> BadAnswerError:
        return BadAnswerError(
            f"{self.socket}: cannot read the answer to `{name}`: {why}; is the daemon of another version? "
            "then restart it with `ripstop down` and `ripstop up`"
        )


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(str(self._path))
        except OSError:
            self.close()
            raise
