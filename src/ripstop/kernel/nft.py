"""Masquerading between the overlay and the rest, in an nftables table of our own; no other table is touched.

The whole table is replaced in one transaction, so there is never a moment with half of it.
"""

import subprocess

from ripstop.core.errors import KernelError

TABLE = "ripstop"


def masquerade(universe: str, interface: str) -> None:
    """Masquerade what leaves the overlay, and what the host sends into it under a foreign address.

    Args:
        universe: overlay range as CIDR.
        interface: the host's interface on the overlay, `ripstop0`.

    Raises:
        KernelError: nft is missing or the kernel refused.
    """
    leaving = f'ip saddr {universe} ip daddr != {universe} ip daddr != 224.0.0.0/4 oifname != "{interface}" masquerade'
    # The host's own packet may have got an address of the overlay only by NAT, when it had another source already; and
    # who answers that would not come back by this host.
    entering = f'oifname "{interface}" ip saddr != {universe} fib saddr type local masquerade'
    # What goes back where it came from does so because NAT gave it another target: a redirect would send the container
    # there with the address that was replaced.
    redirect = f'oifname "{interface}" icmp type redirect drop'
    _run(
        f"""
        table ip {TABLE} {{ }}
        delete table ip {TABLE}
        table ip {TABLE} {{
            chain postrouting {{
                type nat hook postrouting priority srcnat; policy accept;
                {leaving}
                {entering}
            }}
            chain output {{
                type filter hook output priority filter; policy accept;
                {redirect}
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
