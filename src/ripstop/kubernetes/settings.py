"""Where the API server is, who we are there, and where this node's files are: from flags and the pod's environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ripstop.core.errors import RipstopError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # Source: "Accessing the API from a Pod"
HEALTH = "127.0.0.1:6785"


class SettingsError(RipstopError):
    """Something is missing that the pod should have."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What agent and launcher must know before they can ask anybody."""

    server: str  # URL of the API server, without a path
    node: str  # name of our Node
    namespace: str  # of our Leases
    token: Path | None  # None: the server wants none, as `kubectl proxy`
    authority: Path | None  # certificates to trust; None: those of the system
    run_dir: Path
    state_dir: Path
    range: str = ""  # "": the cluster's, or the default


def from_pod(
    environment: Mapping[str, str], *, run_dir: Path, state_dir: Path, node: str = "", server: str = "",
    namespace: str = "", universe: str = "", account: Path = ACCOUNT,
) -> Settings:  # fmt: skip
    """Return the settings; what a flag does not say, the pod says.

    Raises:
        SettingsError: neither does.
    """
    node = node or environment.get("NODE_NAME", "")
    if not node:
        raise SettingsError("which Node is this? give --node, or the environment variable NODE_NAME (spec.nodeName)")
    if not server:
        host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise SettingsError("no API server: this is no pod (KUBERNETES_SERVICE_HOST is not set); give --server URL")
        server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    token, authority, own = account / "token", account / "ca.crt", account / "namespace"
    if not namespace:
        namespace = own.read_text().strip() if own.exists() else "kube-system"
    return Settings(
        server=server.rstrip("/"),
        node=node,
        namespace=namespace,
        token=token if token.exists() else None,
        authority=authority if authority.exists() and server.startswith("https") else None,
        run_dir=run_dir,
        state_dir=state_dir,
        range=universe,
    )
