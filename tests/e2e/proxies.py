"""Rules as kube-proxy writes them, in each of its ways, for the services that a test describes.

Source: kube-proxy of Kubernetes 1.31, pkg/proxy/iptables, pkg/proxy/nftables and pkg/proxy/ipvs: the same chains in the
same order with the same matches, without what only spares work (comments, chains of zero endpoints, metrics, ipsets).
"""

from collections.abc import Callable
from dataclasses import dataclass

MASQUERADE_MARK = 0x4000
# What kube-proxy has of iptables' table nat whether it balances with it or with IPVS.
_HOOKS = (
    "-A PREROUTING -j KUBE-SERVICES",
    "-A OUTPUT -j KUBE-SERVICES",
    "-A POSTROUTING -j KUBE-POSTROUTING",
    f"-A KUBE-MARK-MASQ -j MARK --or-mark {MASQUERADE_MARK}",
)
_MASQUERADE = (
    f"-A KUBE-POSTROUTING -m mark ! --mark {MASQUERADE_MARK}/{MASQUERADE_MARK} -j RETURN",
    f"-A KUBE-POSTROUTING -j MARK --xor-mark {MASQUERADE_MARK}",
    "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
)


@dataclass(frozen=True, slots=True)
class Service:
    """One port of one service."""

    name: str  # letters and digits
    address: str  # its ClusterIP
    protocol: str  # tcp, udp
    port: int
    members: tuple[str, ...]  # pods' addresses
    target: int  # their port
    node_port: int = 0
    local: tuple[str, ...] | None = None  # the members here, with externalTrafficPolicy=Local


def iptables(services: tuple[Service, ...], pods: str) -> str:
    """Return the input of `iptables-restore`; `pods` is kube-proxy's clusterCIDR."""
    chains, rules = ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"], []
    for one in services:
        match = f"-d {one.address}/32 -p {one.protocol} -m {one.protocol} --dport {one.port}"
        service, external = f"KUBE-SVC-{one.name}", f"KUBE-EXT-{one.name}"
        chains += [service, external]
        rules += [f"-A KUBE-SERVICES {match} -j {service}", f"-A {service} ! -s {pods} {match} -j KUBE-MARK-MASQ"]
        rules += _balance(service, one.members, one.name)
        for member in one.members:
            endpoint = _endpoint(one.name, member)
            chains.append(endpoint)
            rules.append(f"-A {endpoint} -s {member}/32 -j KUBE-MARK-MASQ")
            to = f"--to-destination {member}:{one.target}"
            rules.append(f"-A {endpoint} -p {one.protocol} -m {one.protocol} -j DNAT {to}")
        if one.node_port:
            port = f"-p {one.protocol} -m {one.protocol} --dport {one.node_port}"
            rules.append(f"-A KUBE-NODEPORTS {port} -j {external}")
            if one.local is None:
                rules += [f"-A {external} -j KUBE-MARK-MASQ", f"-A {external} -j {service}"]
            else:
                local = f"KUBE-SVL-{one.name}"
                chains.append(local)
                rules.append(f"-A {external} -s {pods} -j {service}")
                rules.append(f"-A {external} -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ")
                rules.append(f"-A {external} -m addrtype --src-type LOCAL -j {service}")
                rules.append(f"-A {external} -j {local}")
                rules += _balance(local, one.local, one.name)
    return "\n".join(
        [
            "*filter",
            ":KUBE-FORWARD - [0:0]",
            "-A FORWARD -j KUBE-FORWARD",
            "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
            f"-A KUBE-FORWARD -m mark --mark {MASQUERADE_MARK}/{MASQUERADE_MARK} -j ACCEPT",
            "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "COMMIT",
            "*nat",
            *(f":{chain} - [0:0]" for chain in chains),
            *_HOOKS,
            *_MASQUERADE,
            *rules,
            "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
            "COMMIT",
            "",
        ]
    )


def nftables(services: tuple[Service, ...], pods: str) -> str:
    """Return the input of `nft -f`."""
    addresses, ports, chains = [], [], []
    for one in services:
        addresses.append(f"{one.address} . {one.protocol} . {one.port} : goto service-{one.name}")
        outside = f"ip daddr {one.address} {one.protocol} dport {one.port} ip saddr != {pods} jump mark-for-masquerade"
        chains.append(f"chain service-{one.name} {{\n{outside}\n{_vmap(one.name, one.members)}\n}}")
        chains += [
            f"chain endpoint-{_short(one.name, member)} {{\nip saddr {member} jump mark-for-masquerade\n"
            f"meta l4proto {one.protocol} dnat to {member}:{one.target}\n}}"
            for member in one.members
        ]
        if one.node_port:
            ports.append(f"{one.protocol} . {one.node_port} : goto external-{one.name}")
            if one.local is None:
                body = f"jump mark-for-masquerade\ngoto service-{one.name}"
            else:
                body = (
                    f"ip saddr {pods} goto service-{one.name}\n"
                    "fib saddr type local jump mark-for-masquerade\n"
                    f"fib saddr type local goto service-{one.name}\n{_vmap(one.name, one.local)}"
                )
            chains.append(f"chain external-{one.name} {{\n{body}\n}}")
    return f"""
table ip kube-proxy {{
{"".join(f"chain {chain.split()[1]} {{ }}{chr(10)}" for chain in reversed(chains))}
map service-ips {{ type ipv4_addr . inet_proto . inet_service : verdict; elements = {{ {", ".join(addresses)} }} }}
map service-nodeports {{ type inet_proto . inet_service : verdict; elements = {{ {", ".join(ports)} }} }}
chain mark-for-masquerade {{
meta mark set meta mark or {MASQUERADE_MARK:#x}
}}
{chr(10).join(chains)}
chain masquerading {{
meta mark and {MASQUERADE_MARK:#x} == 0 return
meta mark set meta mark xor {MASQUERADE_MARK:#x}
masquerade fully-random
}}
chain services {{
ip daddr . meta l4proto . th dport vmap @service-ips
fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports
}}
chain nat-prerouting {{
type nat hook prerouting priority dstnat; policy accept;
jump services
}}
chain nat-output {{
type nat hook output priority -100; policy accept;
jump services
}}
chain nat-postrouting {{
type nat hook postrouting priority srcnat; policy accept;
jump masquerading
}}
}}
"""


def ipvs(services: tuple[Service, ...], pods: str) -> str:
    """Return the input of `sh`: ClusterIPs on a device, virtual servers, and rules for what to masquerade."""
    addresses: list[str] = []
    servers: list[str] = []
    marks: list[str] = []
    loops: list[str] = []
    for one in services:
        letter, match = one.protocol[0], f"-p {one.protocol} -m {one.protocol} --dport"
        addresses.append(f"ip address add {one.address}/32 dev kube-ipvs0")
        servers += _virtual(f"-{letter} {one.address}:{one.port}", one.members, one.target)
        marks.append(f"-A KUBE-SERVICES ! -s {pods} -d {one.address}/32 {match} {one.port} -j KUBE-MARK-MASQ")
        loops += [
            f"-A KUBE-POSTROUTING -s {pod}/32 -d {pod}/32 {match} {one.target} -j MASQUERADE" for pod in one.members
        ]
        if one.node_port:
            members = one.members if one.local is None else one.local
            servers += _virtual(f"-{letter} $NODE:{one.node_port}", members, one.target)
            if one.local is None:
                marks.append(f"-A KUBE-NODE-PORT {match} {one.node_port} -j KUBE-MARK-MASQ")
    rules = [
        "*filter",
        ":KUBE-FORWARD - [0:0]",
        "-A FORWARD -j KUBE-FORWARD",
        f"-A KUBE-FORWARD -m mark --mark {MASQUERADE_MARK}/{MASQUERADE_MARK} -j ACCEPT",
        "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "COMMIT",
        "*nat",
        *(f":KUBE-{chain} - [0:0]" for chain in ("SERVICES", "NODE-PORT", "POSTROUTING", "MARK-MASQ")),
        *_HOOKS,
        *loops,
        *_MASQUERADE,
        *marks,
        "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT",
        "COMMIT",
    ]
    return "\n".join(
        [
            "set -e",
            "modprobe ip_vs",
            "for name in conntrack expire_nodest_conn expire_quiescent_template; do",
            "echo 1 >/proc/sys/net/ipv4/vs/$name; done",
            'nodes=$(ip -4 -o address show scope global | awk \'{ sub("/.*", "", $4); print $4 }\')',
            "ip link add kube-ipvs0 type dummy",
            *addresses,
            "ipvsadm --restore <<END",
            *(line for line in servers if "$NODE" not in line),
            "END",
            "for NODE in $nodes; do ipvsadm --restore <<END",
            *(line for line in servers if "$NODE" in line),
            "END",
            "done",
            "iptables-restore --noflush <<END",
            *rules,
            "END",
            "",
        ]
    )


def host_port(protocol: str, port: int, member: str, target: int, member_network: str) -> str:
    """Return the input of `iptables-restore --noflush` for a hostPort, as the CNI plugin `portmap` writes it."""
    match = f"-p {protocol} -m {protocol} --dport {port}"
    return "\n".join(
        [
            "*nat",
            ":CNI-HOSTPORT-DNAT - [0:0]",
            ":CNI-HOSTPORT-MASQ - [0:0]",
            ":CNI-DN-test - [0:0]",
            "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
            "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
            "-I POSTROUTING -j CNI-HOSTPORT-MASQ",
            "-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",
            f"-A CNI-HOSTPORT-DNAT {match} -j CNI-DN-test",
            f"-A CNI-DN-test -s {member}/32 {match} -j MARK --or-mark 0x2000",
            f"-A CNI-DN-test -s 127.0.0.1/32 {match} -j MARK --or-mark 0x2000",
            f"-A CNI-DN-test {match} -j DNAT --to-destination {member}:{target}",
            "COMMIT",
            "",
        ]
    )


@dataclass(frozen=True, slots=True)
class Way:
    """One way of kube-proxy: the command that reads its rules, and what writes them."""

    command: tuple[str, ...]
    rules: Callable[[tuple[Service, ...], str], str]


WAYS = {
    "iptables-legacy": Way(("iptables-legacy-restore", "--noflush"), iptables),
    "iptables-nft": Way(("iptables-nft-restore", "--noflush"), iptables),
    "nftables": Way(("nft", "-f", "-"), nftables),
}
IPVS = Way(("sh",), ipvs)  # where the kernel has it


def _endpoint(name: str, member: str) -> str:
    return f"KUBE-SEP-{_short(name, member)}"


def _short(name: str, member: str) -> str:
    return f"{name}-{member.replace('.', '-')}"


def _virtual(server: str, members: tuple[str, ...], target: int) -> list[str]:
    """Return lines for `ipvsadm --restore`: a virtual server, by turns and with masquerading as all of kube-proxy's."""
    return [f"-A {server} -s rr", *(f"-a {server} -r {member}:{target} -m -w 1" for member in members)]


def _balance(chain: str, members: tuple[str, ...], name: str) -> list[str]:
    rules = []
    for left, member in zip(range(len(members), 0, -1), members, strict=True):
        pick = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
        rules.append(f"-A {chain} {pick}-j {_endpoint(name, member)}")
    return rules


def _vmap(name: str, members: tuple[str, ...]) -> str:
    places = ", ".join(f"{at} : goto endpoint-{_short(name, member)}" for at, member in enumerate(members))
    return f"numgen random mod {len(members)} vmap {{ {places} }}"
