"""What a guard costs: `python -m tests.bpf.cost`, in ns per packet, the port with and without it by turns."""

from contextlib import nullcontext
from ipaddress import IPv4Address, IPv6Address

from ripstop.kernel import abi
from ripstop.kernel.abi import GuardFlags
from ripstop.kernel.guards import Guard
from tests.bpf.packets import IPV6, TCP, ethernet, ipv4, ipv6, tcp, udp
from tests.bpf.switch import OTHER_PORT, PORT, UNDERLAY, Switch
from tests.bpf.tables import LOCAL_MAC, OTHER_MAC, OWN, PEER, REMOTE_MAC, TABLES, arrival, payload

ROUNDS, PACKETS = 40, 100  # of each kind, with and without
IP, IP6 = "10.32.0.1", "2001:db8::5"
ALL = GuardFlags.MAC | GuardFlags.IP | GuardFlags.ROUTER | GuardFlags.DHCP
OTHERS = tuple(IPv4Address(f"10.32.1.{last}") for last in range(1, abi.GUARDED_V4))
GUARDS = {
    "one address": Guard(ALL, LOCAL_MAC, (IPv4Address(IP), IPv6Address(IP6))),
    "the last of 16": Guard(ALL, LOCAL_MAC, (*OTHERS, IPv4Address(IP), IPv6Address(IP6))),
}
KINDS = {
    "UDP, to another port": ethernet(OTHER_MAC, LOCAL_MAC, payload(1000)),
    "UDP, wrapped": ethernet(REMOTE_MAC, LOCAL_MAC, payload(1000)),
    "TCP, to another port": ethernet(OTHER_MAC, LOCAL_MAC, ipv4(IP, "10.32.0.2", tcp(1, 2, bytes(1000)), protocol=TCP)),
    "UDP over IPv6, to another port": ethernet(OTHER_MAC, LOCAL_MAC, ipv6(IP6, IP6, udp(1, 2, bytes(1000))), IPV6),
}


def main() -> None:
    """Print a line for each kind of packet and guard: 10th percentiles."""
    switch = Switch()
    try:
        switch.datapath.apply(TABLES)
        for device, frame in (
            (PORT, ethernet(OTHER_MAC, LOCAL_MAC, payload())),
            (UNDERLAY, arrival(PEER, OWN, ethernet(LOCAL_MAC, REMOTE_MAC, payload()))),
            (OTHER_PORT, ethernet(LOCAL_MAC, OTHER_MAC, payload())),
        ):
            switch.run(device, frame)  # so that each knows where the others are
        for guard_name, guard in GUARDS.items():
            for kind, frame in KINDS.items():
                without, guarded = _measure(switch, None, frame), _measure(switch, guard, frame)
                for _ in range(ROUNDS - 1):
                    without += _measure(switch, None, frame)
                    guarded += _measure(switch, guard, frame)
                before, after = (sorted(found)[len(found) // 10] for found in (without, guarded))
                print(f"{guard_name:16} {kind:32} {before:4} -> {after:4} ns")
    finally:
        switch.close()


def _measure(switch: Switch, guard: Guard | None, frame: bytes) -> list[int]:
    with switch.guarded(guard) if guard else nullcontext():
        return [switch.cost(PORT, frame) for _ in range(PACKETS)]


if __name__ == "__main__":
    main()
