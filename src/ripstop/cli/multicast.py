"""`ripstop multicast`: who gets which group, and joining for those who cannot."""

import argparse
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from ripstop.api.types import (
    EVERY_GROUP,
    GroupRequest,
    MulticastMember,
    MulticastRefusal,
    MulticastStatus,
    MulticastStream,
    MulticastTrace,
    TraceRequest,
)
from ripstop.cli import arguments
from ripstop.cli.errors import UsageError
from ripstop.cli.multicast_top import top
from ripstop.cli.output import DOUBTFUL, Column, duration, paint, present, print_fields, print_table, safe
from ripstop.client import Client

HOST, HOST_IFNAME = "host", "ripstop0"  # how the host's own interface is called
_SHOWN = 4  # addresses of a list that people are shown; JSON has them all


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    client = Client(args.run_dir)
    match args.multicast_command:
        case "groups":
            present(client.call("multicast"), show_groups, json=args.json)
        case "members":
            found = members_of(client.call("multicast").members, args.group)
            present(found, show_members, json=args.json)
        case "sources":
            streams = client.call("multicast").streams
            present([s for s in streams if args.group in (None, s.group)], show_streams, json=args.json)
        case "trace":
            present(client.call("trace", _trace_request(args)), show_trace, json=args.json)
        case "top":
            top(client, args.seconds, args.count, args.by, json=args.json)
        case "join" | "leave" as verb:
            present(client.call(verb, _group_request(args)), show_members, json=args.json)
        case _:
            raise AssertionError(f"no code for command {args.multicast_command}")
    return 0


def members_of(members: Sequence[MulticastMember], group: str | None) -> list[MulticastMember]:
    """Return who wants a group, routers included, for they get it too; all members of all groups for None."""
    if group is None:
        return list(members)
    family = ip_address(group).version
    return [member for member in members if member.group == group or EVERY_GROUP.get(member.group) == family]


def show_groups(status: MulticastStatus) -> None:
    """Print how multicast is doing, then every group: who wants it here and elsewhere, and what came of it."""
    routers = dict.fromkeys(_place(member) for member in status.members if member.group in EVERY_GROUP)
    unknown = "go to everyone" if status.unknown == "flood" else "are dropped"
    print_fields([
        ("snooping", f"on; groups that nobody joined {unknown}") if status.snooping
        else ("snooping", paint("off: every group goes to everyone", DOUBTFUL)),
        ("known", f"{status.groups:,} in the mesh, counted once for each host"),
        ("routers", ", ".join(routers) or "none"),
        *_refused(status.refusals),
    ])  # fmt: skip
    print()
    columns = (Column("GROUP"), *(Column(heading, ">") for heading in (
        "HERE", "HOSTS", "SOURCES", "PACKETS", "DELIVERED", "SENT", "DROPPED",
    )))  # fmt: skip
    groups: dict[str, tuple[list[MulticastMember], list[MulticastStream]]] = {}
    for member in status.members:
        if member.group not in EVERY_GROUP:
            groups.setdefault(member.group, ([], []))[0].append(member)
    for stream in status.streams:
        groups.setdefault(stream.group, ([], []))[1].append(stream)
    rows = [(group, *_totals(*groups[group])) for group in sorted(groups, key=_order)]
    print_table(columns, rows, empty="no group is wanted or sent to")


def show_members(members: Sequence[MulticastMember]) -> None:
    """Print who wants which groups, and who said so."""
    columns = (Column("GROUP"), Column("HOST"), Column("CONTAINER"), Column("INTERFACE"), Column("FROM"),
               Column("WHY"), Column("REPORTERS"))  # fmt: skip
    rows = [
        ("every" if member.group in EVERY_GROUP else member.group, member.host or member.peer, member.container,
         member.ifname, _wish(member), member.why, _some(member.reporters))
        for member in sorted(members, key=lambda member: _order(member.group))
    ]  # fmt: skip
    print_table(columns, rows, empty="no members")


def show_streams(streams: Sequence[MulticastStream]) -> None:
    """Print who sent what to which groups, and where it went."""
    columns = (Column("GROUP"), Column("SOURCE"), Column("HOST"), Column("CONTAINER"), Column("PACKETS", ">"),
               Column("BYTES", ">"), Column("DELIVERED", ">"), Column("SENT", ">"), Column("DROPPED", ">"),
               Column("LAST", ">"))  # fmt: skip
    rows = [
        (stream.group, stream.source, stream.host or stream.peer, stream.container, f"{stream.packets:,}",
         f"{stream.bytes:,}", f"{stream.delivered:,}", f"{stream.sent:,}", f"{stream.dropped:,}",
         f"{stream.idle:.1f} s ago" if stream.idle < 60 else f"{duration(stream.idle)} ago")
        for stream in sorted(streams, key=lambda stream: (_order(stream.group), _order(stream.source)))
    ]  # fmt: skip
    print_table(columns, rows, empty="no sources seen")


def show_trace(trace: MulticastTrace) -> None:
    """Draw a tree, one host a line, each below the one that sends it the packets."""
    if not trace.hops:
        print(safe(f"{trace.root} (root, source {trace.source})  for nobody"))
    below = [(hop, later.depth > hop.depth) for hop, later in zip(trace.hops, trace.hops[1:], strict=False)]
    for hop, relays in (*below, *((hop, False) for hop in trace.hops[-1:])):
        roles = [f"member: {', '.join(hop.ports)}" if hop.ports else "member"] if hop.member else []
        if hop.depth:
            roles += ["relays"] if relays else []
            line = f"{'   ' * hop.depth}\N{BOX DRAWINGS LIGHT UP AND RIGHT} {hop.host}"[1:]
        else:
            line = f"{hop.host} (root, source {trace.source})"
        print(safe("  ".join((line, ", ".join(roles) or ("" if relays else "for nobody")))).rstrip())


def _trace_request(args: argparse.Namespace) -> TraceRequest:
    if ip_address(args.source).is_multicast and not ip_address(args.group).is_multicast:
        raise UsageError(
            f"{args.source} is the group and {args.group} the source; the source comes first: "
            f"ripstop multicast trace {args.group} {args.source}"
        )
    try:
        request = TraceRequest(group=arguments.group(args.group), source=arguments.source(args.source), host=args.host)
    except argparse.ArgumentTypeError as error:
        raise UsageError(str(error)) from None
    _check_families(request.group, (request.source,))
    return request


def _group_request(args: argparse.Namespace) -> GroupRequest:
    joins = args.multicast_command == "join"
    sources = tuple(args.source) if joins else ()
    exclude = joins and args.exclude
    if exclude and not sources:
        raise UsageError("--exclude needs to know from whom nothing is wanted; say so with --source")
    if args.host and args.ifname not in (None, HOST_IFNAME):
        raise UsageError(f"this host is on the overlay by {HOST_IFNAME} only; leave --ifname out")
    _check_families(args.group, sources)
    return GroupRequest(
        group=args.group,
        sources=sources,
        exclude=exclude,
        netns=args.netns or "",
        container=HOST if args.host else args.id,
        ifname=HOST_IFNAME if args.host else args.ifname or "eth0",
    )


def _check_families(group: str, sources: Sequence[str]) -> None:
    """Refuse sources that cannot send to a group."""
    family = ip_address(group).version
    for source in sources:
        if ip_address(source).version != family:
            raise UsageError(f"source {source} cannot send to group {group}: one is IPv4 and one IPv6")


def _refused(refusals: Sequence[MulticastRefusal]) -> Iterator[tuple[str, str]]:
    """Yield what had no effect, the most frequent first."""
    ranked = sorted(refusals, key=lambda refusal: (-refusal.count, refusal.container, refusal.ifname, refusal.reason))
    if not ranked:
        yield "refused", "nothing"
    for i, refusal in enumerate(ranked):
        said = f"{refusal.count:,} {refusal.reason} from {refusal.container} {refusal.ifname}"
        yield "" if i else "refused", paint(safe(said), DOUBTFUL)


def _totals(members: Sequence[MulticastMember], streams: Sequence[MulticastStream]) -> Iterator[str]:
    """Yield the numbers of one group: ports and hosts that want it, and what its sources sent."""
    yield f"{len({(member.container, member.ifname) for member in members if member.container}):,}"
    yield f"{len({member.peer for member in members if not member.container}):,}"
    yield f"{len({stream.source for stream in streams}):,}"
    yield f"{sum(stream.packets for stream in streams):,}"
    yield f"{sum(stream.delivered for stream in streams):,}"
    yield f"{sum(stream.sent for stream in streams):,}"
    yield f"{sum(stream.dropped for stream in streams):,}"


def _wish(member: MulticastMember) -> str:
    """Return from whom packets are wanted."""
    if member.mode == "exclude":
        return f"all but {_some(member.sources)}" if member.sources else "all"
    return _some(member.sources)


def _some(addresses: Sequence[str]) -> str:
    more = len(addresses) - _SHOWN
    return ", ".join(addresses[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _place(member: MulticastMember) -> str:
    where = f"{member.container} {member.ifname}" if member.container else member.host or member.peer
    return safe(where)


def _order(address: str) -> tuple[int, int, str]:
    """Return what sorts addresses as people count."""
    try:
        known = ip_address(address)
    except ValueError:
        return 0, 0, address
    return known.version, int(known), ""
