"""The underlay: one Linux bridge in a namespace of its own, a veth pair to each host, and cuts between ports.

Frames are dropped in the bridge's forward hook, whatever they are, also floods, so a cut is exact for each pair.  The
nftables table exists only while something is cut: a benchmark does not pay for what it does not use.
"""

from collections.abc import Iterable

from ripstop.lab import namespaces
from ripstop.lab.plan import Pair, Plan

UPLINK = "eth0"  # name of the underlay interface inside each host
TABLE = "ripstop_lab"


def build(plan: Plan) -> None:
    """Join the hosts of a plan, whose namespaces exist, by a switch, and cut what the plan cuts."""
    switch = plan.switch_netns
    namespaces.run(["ip", "-batch", "-"], given="".join(_link(plan, host) for host in plan.host_names))
    ports = "".join(f"link set {host} mtu {plan.mtu} master br0 up\n" for host in plan.host_names)
    bridge = f"link add br0 mtu {plan.mtu} type bridge mcast_snooping 0\n"
    # no netfilter of the host's kind, and no IPv6: the switch's own router solicitations would be heard on every host
    quiet = """
        for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$f" ] || echo 0 >"$f"; done
        for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >"$f"; done
    """
    namespaces.run(namespaces.entering(switch, ["sh", "-c", quiet]))
    namespaces.run(
        namespaces.entering(switch, ["ip", "-batch", "-"]),
        given=f"{bridge}link set br0 up\n{ports}",
    )
    for host in plan.host_names:
        _configure(plan, host)
    cut(plan, plan.cuts)


def _link(plan: Plan, host: str) -> str:
    return (
        f"link add {UPLINK} netns {plan.netns(host)} mtu {plan.mtu} "
        f"type veth peer name {host} netns {plan.switch_netns}\n"
    )


def _configure(plan: Plan, host: str) -> None:
    """Give a host its address; loose reverse-path filtering is what Debian's systemd sets."""
    address = plan.address(host)
    script = (
        "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 2 >$f; done\n"
        f"ip address add {address} brd + dev {UPLINK} && ip link set {UPLINK} up"
    )
    namespaces.run(namespaces.entering(plan.netns(host), ["sh", "-c", script]))


def cut(plan: Plan, cuts: Iterable[Pair]) -> None:
    """Drop frames between exactly these pairs, both ways, in one transaction; none = remove the table."""
    elements = ", ".join(f'"{a}" . "{b}", "{b}" . "{a}"' for a, b in cuts)
    script = f"table bridge {TABLE} {{ }}\ndelete table bridge {TABLE}\n"
    if elements:
        script += f"""
            table bridge {TABLE} {{
                set cuts {{ type ifname . ifname; elements = {{ {elements} }} }}
                chain forward {{
                    type filter hook forward priority 0; policy accept;
                    iifname . oifname @cuts counter drop
                }}
            }}
        """
    namespaces.run(namespaces.entering(plan.switch_netns, ["nft", "-f", "-"]), given=script)


def set_port(plan: Plan, host: str, *, up: bool) -> None:
    """Pull a host's cable out of the switch, or put it back: the host's interface loses its carrier."""
    state = "up" if up else "down"
    namespaces.run(namespaces.entering(plan.switch_netns, ["ip", "link", "set", host, state]))
