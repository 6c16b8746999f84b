"""Where log lines go: standard error, and the last of them into the report."""

import logging
import sys
from collections import deque

KEPT = 200  # lines


class Recent(logging.Handler):
    """Keeps the newest lines for `ripstop report`."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(self.format(record))


def start(level: str) -> Recent:
    """Set logging up; return the handler that keeps the newest lines."""
    recent = Recent()
    form = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    root = logging.getLogger()
    root.setLevel(level.upper())
    for handler in (logging.StreamHandler(sys.stderr), recent):
        handler.setFormatter(form)
        root.addHandler(handler)
    for library in ("asyncio", "aiohttp", "pyroute2"):
        logging.getLogger(library).setLevel(logging.WARNING)
    return recent
