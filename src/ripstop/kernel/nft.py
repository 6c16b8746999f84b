"""Masquerading of what leaves the overlay, in an nftables table of our own; no other table is touched.

The whole table is replaced in one transaction, so there is never a moment with half of it.
"""

import subprocess

from ripstop.core.errors import KernelError

TABLE = "ripstop"


def masquerade(universe: str, interface: str) -> None:
    """Masquerade packets from the overlay that leave the host by anything but the overlay's interface.

    Args:
        universe: overlay range as CIDR.
        interface: the host's interface on the overlay, `ripstop0`.

    Raises:
        KernelError: nft is missing or the kernel refused.
    """
    _run(
        f"""
        table ip {TABLE} {{ }}
        delete table ip {TABLE}
        table ip {TABLE} {{
            chain postrouting {{
                type nat hook postrouting priority srcnat; policy accept;
                ip saddr {universe} ip daddr != {universe} ip daddr != 224.0.0.0/4 oifname != "{interface}" masquerade
            }}
        }}
        """
    )


def clear() -> bool:
    """Remove our table; return whether it was there."""
    try:
        found = subprocess.run(["nft", "list", "table", "ip", TABLE], capture_output=True, check=False, timeout=10)
    except FileNotFoundError:  # without nft nobody can have made it
        return False
    if found.returncode:
        return False
    _run(f"delete table ip {TABLE}\n")
    return True


def _run(script: str) -> None:
    try:
        done = subprocess.run(["nft", "-f", "-"], input=script, capture_output=True, text=True, check=False, timeout=10)
    except FileNotFoundError:
        raise KernelError("run", "nft", 2, "not found; install the package nftables") from None
    except subprocess.TimeoutExpired:
        raise KernelError("run", "nft", 110, "no answer for 10 s") from None
    if done.returncode:
        raise KernelError("nft", f"table ip {TABLE}", done.returncode, done.stderr.strip().splitlines()[0])
