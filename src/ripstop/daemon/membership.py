"""Answers what people ask of multicast, and keeps what was joined by hand."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address

import msgspec

from ripstop.api import types
from ripstop.core.errors import NotFoundError, RequestError
from ripstop.core.events import JoinRequested, LeaveGroupRequested
from ripstop.core.multicast.filters import EVERYTHING, Filter, Mode
from ripstop.core.multicast.messages import ANY_GROUP, Family, Want, is_snooped
from ripstop.core.names import MulticastIp, PeerName, PortId, ShortId, SourceIp
from ripstop.daemon.config import Config
from ripstop.daemon.containers import Containers
from ripstop.daemon.driver import Driver
from ripstop.daemon.host import Host, identify
from ripstop.daemon.kernel import KernelThread
from ripstop.daemon.metrics.snapshot import Heard
from ripstop.daemon.ports import HOST, JOINS
from ripstop.kernel.link import HOST_INTERFACE
from ripstop.kernel.streams import Stream
from ripstop.store.sqlite import Store, StoreError


class Membership:
    """Renders what the node knows of groups, and what the kernel counts."""

    def __init__(
        self, config: Config, store: Store, driver: Driver, kernel: KernelThread, host: Host, containers: Containers
    ) -> None:
        self._config, self._store, self._driver = config, store, driver
        self._kernel, self._host, self._containers = kernel, host, containers
        self._mesh, self._multicast = driver.node.mesh, driver.node.multicast

    async def rejoin(self) -> None:
        """Join what was joined by hand before a restart, or before a port was kept from multicast."""
        ports = {name: port for port, name in (await self._kernel.run(self._host.port_names)).items()}
        members = await self._kernel.run(self._host.group_ports)
        for key, value in self._store.load(JOINS).items():
            name, _, group = key.removeprefix(JOINS).partition("/")
            if name not in ports:
                with suppress(StoreError):  # at the next start then
                    self._store.put([(key, None)])
            elif ports[name] in members:  # else it is kept from multicast, for now
                wanted = msgspec.msgpack.decode(value, type=Want).filter
                with suppress(NotFoundError):  # gone meanwhile
                    await self._join(ports[name], MulticastIp(bytes.fromhex(group)), wanted)

    async def status(self) -> types.MulticastStatus:
        """Return who wants which groups, and who sends to them."""
        names = await self._kernel.run(self._host.port_names)
        streams = await self._kernel.run(self._host.datapath.groups.streams)
        places = self._places(names)
        members = [*self._members(places), *self._others()]
        return types.MulticastStatus(
            snooping=self._config.multicast == "snoop",
            unknown=self._config.multicast_unknown,
            members=tuple(members),
            streams=tuple(self.streams(streams, names)),
            refusals=tuple(self.refusals(names)),
            groups=len({(member.group, member.peer) for member in members if member.why != "router"}),
        )

    def streams(self, found: Iterable[Stream], names: Mapping[PortId, str]) -> list[types.MulticastStream]:
        """Return streams as people know them; `names` are those of our ports."""
        return list(self._streams(found, self._places(names)))

    def refusals(self, names: Mapping[PortId, str]) -> list[types.MulticastRefusal]:
        """Return what was refused at ports that are there."""
        places = self._places(names)
        return [
            types.MulticastRefusal(*places[port], refusal.value, count)
            for port, refused in self._multicast.snooper.refusals().items()
            if port in places
            for refusal, count in refused.items()
        ]

    def heard(self, names: Mapping[PortId, str]) -> list[Heard]:
        """Return how often hosts behind ports that are there said something."""
        places = self._places(names)
        return [
            Heard(*places[port], family.name.lower(), message, count)
            for port, heard in self._multicast.snooper.heard().items()
            if port in places
            for (family, message), count in heard.items()
        ]

    async def trace(self, request: types.TraceRequest) -> types.MulticastTrace:
        """Return which way packets of a source to a group go.

        Raises:
            RequestError: it is no group, or nobody knows where the source is.
        """
        group, source = parse_group(request.group), parse_source(request.source, request.group)
        root = await self._root(group, source, request.host)
        names = await self._kernel.run(self._host.port_names)
        everyone = self._multicast.everyone
        own = self._mesh.name
        ports = [port for port, wanted in everyone.ports(group).items() if wanted.passes(source)]
        ports = sorted({*ports, *everyone.router_ports()})
        takers = {peer for peer, wanted in everyone.peers(group).items() if wanted.passes(source)}
        takers |= {*everyone.router_peers(), *((own,) if ports else ())}
        places = self._places(names)
        listed = tuple(" ".join(places[port]) for port in ports if port in places)
        hops = _walk(root, self._mesh.tree(root), takers)
        return types.MulticastTrace(
            group=request.group,
            source=request.source,
            root=self._mesh.nickname(root),
            hops=tuple(
                types.TraceHop(
                    host=self._mesh.nickname(peer),
                    peer=peer,
                    parent=self._mesh.nickname(parent) if parent else "",
                    depth=depth,
                    member=peer in takers,
                    ports=listed if peer == own else (),
                )
                for peer, parent, depth in hops
            ),
        )

    async def join(self, request: types.GroupRequest) -> list[types.MulticastMember]:
        """Have a port want a group though nobody behind it says so; kept over restarts.

        Raises:
            RequestError: refused, and why.
        """
        group, wanted = parse_group(request.group), _filter(request)
        name, port = await self._port(request)
        if port not in await self._kernel.run(self._host.group_ports):
            raise RequestError(f"{name} is kept from multicast by its guard; `ripstop guard` gives it another")
        await self._join(port, group, wanted)
        self._keep(name, group, wanted)
        return await self._at(port, group)

    async def leave(self, request: types.GroupRequest) -> list[types.MulticastMember]:
        """End what `join` began.

        Raises:
            RequestError: refused, and why.
        """
        group = parse_group(request.group)
        name, port = await self._port(request)
        try:
            await self._driver.ask(lambda number: LeaveGroupRequested(number, port, group))
        except NotFoundError:
            if not self._store.load(_key(name, group)):  # else it would be joined again when no guard is in the way
                raise
        self._keep(name, group, None)
        return await self._at(port, group)

    async def _join(self, port: PortId, group: MulticastIp, wanted: Filter) -> None:
        await self._driver.ask(lambda number: JoinRequested(number, port, group, wanted))

    def _keep(self, name: str, group: MulticastIp, wanted: Filter | None) -> None:
        value = None if wanted is None else msgspec.msgpack.encode(Want.of(group, wanted))
        try:
            self._store.put([(_key(name, group), value)])
        except StoreError as error:
            raise RequestError(f"{error}; it holds until the next restart only") from None

    async def _port(self, request: types.GroupRequest) -> tuple[str, PortId]:
        """Return which port is meant: its interface on the host, and its number."""
        if bool(request.netns) == bool(request.container):
            raise RequestError("say which: a namespace or a container id")
        names = await self._kernel.run(self._host.port_names)
        if request.container == HOST:
            wanted = HOST_INTERFACE if self._containers.exposure.record.addresses else ""
        else:
            inode = identify(request.netns) if request.netns else 0
            wanted = next(
                (
                    port.host_ifname
                    for port in self._containers.ports
                    if port.ifname == request.ifname
                    and (port.inode == inode if request.netns else port.container == request.container)
                ),
                "",
            )
        for number, name in names.items():
            if name == wanted:
                return name, number
        which = f"{request.ifname} of {request.netns or request.container}"
        raise NotFoundError(f"{which} is not attached here; `ripstop ps` lists what is")

    async def _at(self, port: PortId, group: MulticastIp) -> list[types.MulticastMember]:
        places = self._places(await self._kernel.run(self._host.port_names))
        place, text = places[port], format_address(group)
        return [
            found for found in self._members(places) if (found.container, found.ifname, found.group) == (*place, text)
        ]

    def _places(self, names: Mapping[PortId, str]) -> dict[PortId, tuple[str, str]]:
        """Return the container and its interface behind each port."""
        known = {port.host_ifname: (port.container, port.ifname) for port in self._containers.ports}
        known[HOST_INTERFACE] = (HOST, HOST_INTERFACE)
        return {port: known[name] for port, name in names.items() if name in known}

    def _members(self, places: Mapping[PortId, tuple[str, str]]) -> Iterator[types.MulticastMember]:
        snooper, now = self._multicast.snooper, self._driver.now
        for family in Family:
            for port in snooper.router_ports(family):
                routers = tuple(map(format_address, snooper.routers(port, family)))
                yield from self._member(places, port, ANY_GROUP[family], EVERYTHING, "router", routers)
        for group in snooper.groups():
            for port, wanted in snooper.ports(group).items():
                hosts = tuple(format_address(reporter.host) for reporter in snooper.reporters(port, group, now))
                yield from self._member(places, port, group, wanted, "report", hosts)
            for port, wanted in snooper.static_ports(group).items():
                yield from self._member(places, port, group, wanted, "static", ())

    def _member(
        self,
        places: Mapping[PortId, tuple[str, str]],
        port: PortId,
        group: MulticastIp,
        wanted: Filter,
        why: str,
        reporters: tuple[str, ...],
    ) -> Iterator[types.MulticastMember]:
        if port in places:
            own = self._mesh.name
            yield _render(group, self._mesh.nickname(own), own, places[port], wanted, why, reporters)

    def _others(self) -> Iterator[types.MulticastMember]:
        interest = self._multicast.interest
        for group in sorted(interest.groups(), key=lambda group: (len(group), group)):
            why = "peer" if is_snooped(group) else "router"
            for peer, wanted in interest.peers(group).items():
                yield _render(group, self._mesh.nickname(peer), peer, ("", ""), wanted, why, ())

    def _streams(
        self, found: Iterable[Stream], places: Mapping[PortId, tuple[str, str]]
    ) -> Iterator[types.MulticastStream]:
        ids: dict[ShortId, PeerName] = {peer.short_id: peer.name for peer in self._mesh.peers()}
        for one in sorted(found, key=lambda one: (one.selector.group, one.selector.source)):
            peer = ids.get(one.peer, PeerName("")) if one.peer else self._mesh.name
            container, ifname = places.get(one.port, ("", ""))
            yield types.MulticastStream(
                group=format_address(one.selector.group),
                source=format_address(one.selector.source),
                host=self._mesh.nickname(peer) if peer else "",
                peer=peer,
                container=container,
                ifname=ifname,
                packets=one.packets,
                bytes=one.bytes,
                delivered=one.delivered,
                sent=one.sent,
                dropped=one.dropped,
                idle=one.age,
            )

    async def _root(self, group: MulticastIp, source: SourceIp, host: str) -> PeerName:
        """Return the host on which a source is: as told, as seen sending, or as it was given the address."""
        if host:
            for peer in self._mesh.peers():
                if host in (peer.nickname, peer.name):
                    return peer.name
            raise NotFoundError(f"host {host} is not in the mesh; `ripstop status peers` lists who is")
        ids = {peer.short_id: peer.name for peer in self._mesh.peers()}
        seen = await self._kernel.run(self._host.datapath.groups.streams)
        of_source = [one for one in seen if one.selector.source == source]
        for one in sorted(of_source, key=lambda one: (one.selector.group != group, one.age)):
            if one.port:
                return self._mesh.name
            if one.peer in ids:
                return ids[one.peer]
        if len(source) == 4 and self._driver.node.allocator.holder(int.from_bytes(source, "big")):
            return self._mesh.name
        raise NotFoundError(f"nothing of {format_address(source)} was seen here; say on which host it is with --host")


def _key(name: str, group: MulticastIp) -> str:
    return f"{JOINS}{name}/{group.hex()}"


def parse_group(text: str) -> MulticastIp:
    """Read the address of a group that can be joined.

    Raises:
        RequestError: it is none.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise RequestError(f"group {text!r} is no IP address") from None
    group = MulticastIp(address.packed)
    if not is_snooped(group):
        why = "goes to every port anyway" if address.is_multicast else "is no multicast address"
        raise RequestError(f"group {text} {why}")
    return group


def parse_source(text: str, group: str) -> SourceIp:
    """Read the address of somebody who sends to a group.

    Raises:
        RequestError: it is none, or of another family.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise RequestError(f"source {text!r} is no IP address") from None
    if address.version != ip_address(group).version or address.is_multicast:
        raise RequestError(f"source {text} cannot send to group {group}")
    return SourceIp(address.packed)


def format_address(packed: bytes) -> str:
    """Return the text of an address."""
    return str(ip_address(packed))


def _filter(request: types.GroupRequest) -> Filter:
    sources = tuple(parse_source(source, request.group) for source in request.sources)
    if request.exclude and not sources:
        raise RequestError("exclude whom? give at least one source")
    return Filter(Mode.EXCLUDE if request.exclude or not sources else Mode.INCLUDE, sources)


def _render(
    group: MulticastIp, host: str, peer: str, place: tuple[str, str], wanted: Filter, why: str, hosts: tuple[str, ...]
) -> types.MulticastMember:
    sources = tuple(map(format_address, wanted.sources))
    return types.MulticastMember(format_address(group), host, peer, *place, wanted.mode.value, sources, why, hosts)


def _walk(
    root: PeerName, parents: Mapping[PeerName, PeerName], takers: set[PeerName]
) -> Iterator[tuple[PeerName, PeerName | None, int]]:
    """Yield who gets a packet, from whom, and how deep in the tree, depth first."""
    passed = {root}
    for taker in sorted(takers):
        at: PeerName | None = taker if taker in parents else None
        while at is not None and at not in passed:
            passed.add(at)
            at = parents.get(at)
    children: dict[PeerName, list[PeerName]] = {}
    for child, parent in parents.items():
        if child in passed:
            children.setdefault(parent, []).append(child)
    waiting: list[tuple[PeerName, PeerName | None, int]] = [(root, None, 0)]
    while waiting:
        at_, parent_, depth = waiting.pop()
        yield at_, parent_, depth
        waiting += [(child, at_, depth + 1) for child in reversed(children.get(at_, []))]
