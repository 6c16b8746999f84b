"""The API as one table: what the server serves, the client calls and the documentation lists."""

from dataclasses import dataclass

import msgspec

from ripstop.api import types


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its handler is the daemon's method of the same name."""

    name: str
    method: str
    path: str
    request: type[msgspec.Struct] | None
    answer: object  # type for msgspec to encode and decode
    summary: str


CALLS = (
    Call("version", "GET", "/v1/version", None, types.Version, "version of daemon, protocol and map layout"),
    Call("status", "GET", "/v1/status", None, types.Status, "this host at a glance"),
    Call("peers", "GET", "/v1/peers", None, list[types.Peer], "every known peer"),
    Call("connections", "GET", "/v1/connections", None, list[types.Connection], "control sessions and data paths"),
    Call("routes", "GET", "/v1/routes", None, list[types.Route], "next hop for every reachable peer"),
    Call("targets", "GET", "/v1/targets", None, list[types.Target], "addresses dialed by order of the user"),
    Call("ipam", "GET", "/v1/ipam", None, types.IpamStatus, "who owns which share of the addresses"),
    Call("ports", "GET", "/v1/ports", None, list[types.Port], "attached containers"),
    Call("report", "GET", "/v1/report", None, types.Report, "everything, for a bug report"),
    Call("attach", "POST", "/v1/attach", types.AttachRequest, types.Port, "put an interface into a container"),
    Call("detach", "POST", "/v1/detach", types.DetachRequest, types.Detached, "take it out again"),
    Call("guard", "POST", "/v1/guard", types.GuardRequest, list[types.Port], "guard attached interfaces, or no longer"),
    Call("expose", "POST", "/v1/expose", types.ExposeRequest, types.Exposed, "give the host an overlay address"),
    Call("hide", "POST", "/v1/hide", None, types.Exposed, "take the host's overlay addresses away"),
    Call("connect", "POST", "/v1/connect", types.TargetsRequest, list[types.Target], "add targets"),
    Call("forget", "POST", "/v1/forget", types.TargetsRequest, list[types.Target], "dial these no more"),
    Call("prime", "POST", "/v1/prime", types.PrimeRequest, None, "have the range divided"),
    Call("rmpeer", "POST", "/v1/rmpeer", types.RemovePeersRequest, types.Moved, "take over what dead hosts owned"),
    Call("reset", "POST", "/v1/reset", types.ResetRequest, types.Moved, "give away all addresses, forget, and end"),
    Call("multicast", "GET", "/v1/multicast", None, types.MulticastStatus, "who wants which groups, who sends to them"),
    Call("trace", "POST", "/v1/multicast/trace", types.TraceRequest, types.MulticastTrace, "one source's tree"),
    Call("join", "POST", "/v1/multicast/join", types.GroupRequest, list[types.MulticastMember], "join for a port"),
    Call("leave", "POST", "/v1/multicast/leave", types.GroupRequest, list[types.MulticastMember], "end such a join"),
    Call("dns", "GET", "/v1/dns", None, types.DnsStatus, "how names are doing"),
    Call("names", "GET", "/v1/dns/names", None, list[types.Name], "all names of all hosts"),
    Call("lookup", "POST", "/v1/dns/lookup", types.LookupRequest, list[types.Name], "who has a name or an address"),
    Call("add_name", "POST", "/v1/dns/add", types.NameRequest, list[types.Name], "give a name"),
    Call("remove_name", "POST", "/v1/dns/remove", types.NameRequest, list[types.Name], "take a name away"),
    Call("down", "POST", "/v1/down", None, None, "say goodbye, take everything down, exit"),
)
BY_NAME = {call.name: call for call in CALLS}
