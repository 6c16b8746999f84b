"""What can go wrong in the command line's own work."""

from ripstop.core.errors import RipstopError


class FailedError(RipstopError):
    """It did not work; the text says what and why."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code  # exit code


class UsageError(FailedError):
    """Each argument is fine, but together they make no sense."""

    def __init__(self, text: str) -> None:
        super().__init__(text, code=2)
