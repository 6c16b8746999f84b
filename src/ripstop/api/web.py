"""aiohttp's server.  With it comes its client, which reads the system's certificates as it is imported.

Nothing here speaks TLS, and to parse them costs a tenth of a daemon's start.
"""

import contextlib
import os
from collections.abc import Iterator

__all__ = ["web"]


@contextlib.contextmanager
def _no_certificates() -> Iterator[None]:
    """Have OpenSSL find none for the length of a block.  Source: SSL_CTX_set_default_verify_paths(3)."""
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


with _no_certificates():
    from aiohttp import web
