"""A lab: pretend hosts on one switch, each with its daemon and containers; made, changed, and always taken down."""

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from ripstop.lab import namespaces, state, switch
from ripstop.lab.host import Host
from ripstop.lab.node import Container, Node
from ripstop.lab.plan import LabError, Pair, Plan, cuts_of, number, pair
from ripstop.lab.removal import remove
from ripstop.lab.state import State


class Lab:
    """Pretend hosts h1..hN on one switch, and containers h1c1.. on each.

    As a context manager it is up inside the block and gone after it, whatever happened:

        with Lab(hosts=3, topology="chain", containers=1) as lab:
            lab.container("h1c1").ping(lab.container("h3c1").address())
    """

    def __init__(
        self,
        hosts: int,
        *,
        name: str = "lab",
        topology: str | Path = "full",
        containers: int = 0,
        mtu: int = 1500,
        daemons: bool = True,
        flags: Sequence[str] = (),
        progress: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Describe a lab; nothing is made yet.

        Args:
            hosts: how many.
            name: tells labs on one machine apart.
            topology: `full`, `chain`, `star` or a JSON file of links.
            containers: on each host.
            mtu: of the underlay, bytes.
            daemons: False leaves hosts bare, and containers without an interface.
            flags: more flags for every `ripstop daemon`.
            progress: told in one line each what is being done.

        Raises:
            LabError: such a lab cannot be.
        """
        self._state = State(Plan(name, hosts, containers, mtu, cuts_of(str(topology), hosts)))
        self._daemons = daemons
        self._flags = tuple(flags)
        self._progress = progress
        self._open = contextlib.ExitStack()  # holds the lock while the context is entered

    @classmethod
    def existing(cls, name: str) -> "Lab":
        """Return the lab of that name that is up now.

        Raises:
            LabError: there is none, or only what a crash has left of it.
        """
        known = state.load(name)
        if not known.complete:
            raise LabError(f"lab {name!r} is not complete; clear up with `ripstop lab down --lab {name}`")
        lab = cls(known.plan.hosts, name=name)
        lab._state = known
        return lab

    @property
    def plan(self) -> Plan:
        """What it consists of, its cuts as they are now."""
        return self._state.plan

    @property
    def name(self) -> str:
        """What tells it from other labs."""
        return self.plan.name

    @property
    def directory(self) -> Path:
        """Where its files are; gone with the lab."""
        return state.directory(self.name)

    @property
    def hosts(self) -> tuple[Host, ...]:
        """All hosts, in order."""
        dials = self.plan.dials()
        return tuple(self._host(name, dials[name]) for name in self.plan.host_names)

    @property
    def containers(self) -> tuple[Container, ...]:
        """All containers, in order of their hosts."""
        return tuple(
            Container(name, self.plan.netns(name), host)
            for host in self.plan.host_names
            for name in self.plan.container_names(host)
        )

    @property
    def switch(self) -> Node:
        """The namespace of the switch."""
        return Node("switch", self.plan.switch_netns)

    def host(self, name: str) -> Host:
        """Return one host."""
        if not 1 <= number(name) <= self.plan.hosts:
            raise LabError(f"no host {name!r}; lab {self.name!r} has h1 to h{self.plan.hosts}")
        return self._host(name, self.plan.dials()[name])

    def container(self, name: str) -> Container:
        """Return one container."""
        host, _, _ = name.partition("c")
        if host not in self.plan.host_names or name not in self.plan.container_names(host):
            raise LabError(f"no container {name!r}; lab {self.name!r} has {self._container_range()}")
        return Container(name, self.plan.netns(name), host)

    def node(self, name: str) -> Node:
        """Return a host, a container or the switch."""
        if name == "switch":
            return self.switch
        return self.container(name) if "c" in name else self.host(name)

    def up(self) -> None:
        """Make it all; on return every daemon is settled and every container attached.  On failure nothing stays.

        Raises:
            LabError: one of that name is up already or being made, or something of the system refused.
        """
        with state.locked(self.name):
            self._up(owner=0)

    def down(self) -> None:
        """Remove it all; removing what is not there is no error."""
        with state.locked(self.name):
            remove(self.name)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(state.locked(self.name))
            self._up(owner=os.getpid())
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        with self._open:
            remove(self.name)

    def cut(self, a: str, b: str) -> None:
        """Drop every frame between two hosts from now on."""
        self._set_cuts(lambda cuts, it: [*cuts, it] if it not in cuts else cuts, a, b)

    def heal(self, a: str, b: str) -> None:
        """Let frames between two hosts pass again."""
        self._set_cuts(lambda cuts, it: [other for other in cuts if other != it], a, b)

    def unplug(self, host: str) -> None:
        """Pull a host's cable: its `eth0` loses the carrier."""
        switch.set_port(self.plan, self.host(host).name, up=False)

    def plug(self, host: str) -> None:
        """Put a host's cable back."""
        switch.set_port(self.plan, self.host(host).name, up=True)

    def island(self, host: str) -> int:
        """Return how many hosts can be reached from `host`, over others if need be, itself not counted."""
        parents = self.plan.dials()

        def root(name: str) -> str:
            parent = parents[name]
            return name if parent is None else root(parent)

        return sum(root(name) == root(host) for name in parents) - 1

    def wait(self, timeout: float = 30.0) -> None:
        """Wait until every daemon is settled and reaches all that can be reached."""
        for host in self.hosts:
            host.wait(reachable=self.island(host.name), timeout=timeout)

    def _host(self, name: str, dials: str | None) -> Host:
        told = () if dials is None else (str(self.plan.address(dials).ip),)
        return Host(name, self.plan.netns(name), self.plan.address(name), self.directory / name, told)

    def _container_range(self) -> str:
        each = self.plan.containers
        return f"h1c1 to h{self.plan.hosts}c{each}" if each else "no containers"

    def _up(self, owner: int) -> None:
        self._clear_leftovers()
        self._state = replace(self._state, complete=False, owner=owner)
        try:
            state.save(self._state)
            self._build()
            self._state = replace(self._state, complete=True)
            state.save(self._state)
        except BaseException:  # Ctrl-C too
            remove(self.name)
            raise

    def _clear_leftovers(self) -> None:
        """Remove what a crash has left under our name; a lab that somebody left up on purpose stays."""
        if not self.directory.exists() and not namespaces.of_lab(self.name):
            return
        try:
            known = state.load(self.name)
        except LabError:
            known = None
        if known is not None and known.complete and not known.owner and namespaces.of_lab(self.name):
            raise LabError(f"lab {self.name!r} is up already; `ripstop lab down --lab {self.name}` first")
        self._progress(f"removing what is left of an earlier lab {self.name!r}")
        remove(self.name)

    def _build(self) -> None:
        plan = self.plan
        self._progress(f"{plan.hosts} hosts on one switch")
        inside = [plan.netns(name) for host in plan.host_names for name in (host, *plan.container_names(host))]
        namespaces.add([plan.switch_netns, *inside])
        switch.build(plan)
        for host in self.hosts:
            host.directory.mkdir(mode=0o700)
        if not self._daemons:
            return
        self._progress("starting daemons")
        for host in self.hosts:
            host.start_daemon(self._flags)
        self.wait()
        self._progress(f"attaching {len(self.containers)} containers")
        for container in self.containers:
            self.host(container.host).attach(container)

    def _set_cuts(self, change: Callable[[list[Pair], Pair], Iterable[Pair]], a: str, b: str) -> None:
        ends = pair(self.host(a).name, self.host(b).name)
        with state.editing(self.name):
            known = state.load(self.name)  # another process may have cut meanwhile
            cuts = tuple(change(list(known.plan.cuts), ends))
            switch.cut(known.plan, cuts)
            self._state = replace(known, plan=replace(known.plan, cuts=cuts))
            state.save(self._state)
