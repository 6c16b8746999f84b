"""Every error we raise on purpose, split by who must act.  Anything else that escapes is a bug."""


class RipstopError(Exception):
    """The root; its text is one line that says what happened, to what, and what to do."""


class ProtocolError(RipstopError):
    """The remote peer broke the protocol: drop the connection, keep the daemon."""


class RequestError(RipstopError):
    """The caller asked for something we must refuse: answer with `status`, change nothing."""

    status = 400


class NotFoundError(RequestError):
    """What the request names does not exist here."""

    status = 404


class ConflictError(RequestError):
    """What the request wants is taken, or is already so."""

    status = 409


class ExhaustedError(RequestError):
    """No address is left, neither here nor with a peer that could be asked."""

    status = 507


class NotReadyError(RequestError):
    """The answer needs peers that could not be reached in time: ask again later."""

    status = 503


class StartError(RipstopError):
    """The daemon cannot start here: say why, leave nothing behind, exit 1."""


class KernelError(RipstopError):
    """The kernel refused `operation` on `target`: the reconciler retries with back-off."""

    def __init__(self, operation: str, target: str, errno: int, detail: str = "") -> None:
        super().__init__(f"{operation} {target}: {detail or f'errno {errno}'}")
        self.operation, self.target, self.errno = operation, target, errno
