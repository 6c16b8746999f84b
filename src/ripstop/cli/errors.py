"""What can go wrong in the command line itself."""

from ripstop.core.errors import RipstopError


class UsageError(RipstopError):
    """What was typed makes no sense, whatever the host: exit 2."""


class FailedError(RipstopError):
    """It did not work; the text says what and why."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code  # exit code
