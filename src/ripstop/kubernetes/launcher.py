"""Finds out which flags this node's daemon gets, and becomes the daemon.

Once everything was found out it is kept on disk, so that a node whose API server is away starts as it did last.  A
peer's state is kept in a directory of its own: the state of a Node that was deleted is nobody's any more.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import msgspec

from ripstop.core.errors import RipstopError
from ripstop.core.names import is_peer_name
from ripstop.kubernetes import plan as planning
from ripstop.kubernetes.api import Api, ApiError
from ripstop.kubernetes.chore import Chore
from ripstop.kubernetes.objects import Lease, Node
from ripstop.kubernetes.plan import Plan
from ripstop.kubernetes.settings import Settings

log = logging.getLogger("ripstop.kubernetes")
PATIENCE = 10.0  # seconds that the API server has, if we know what to do without it
KEPT = "plan.json"  # in the state directory


def main(settings: Settings, flags: Sequence[str]) -> None:
    """Become the daemon; does not return.

    Args:
        settings: who and where we are.
        flags: more flags for `ripstop daemon`.

    Raises:
        PlanError: node and cluster do not go together.
    """
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = load(settings)
    plan = asyncio.run(_find_out(settings, kept, Random()))
    if plan != kept:
        save(settings, plan)
    prune(settings.state_dir, plan.peer)
    state_dir = settings.state_dir / plan.peer
    command = [sys.executable, "-P", "-m", "ripstop.cli.main", "daemon", f"--run-dir={settings.run_dir}",
               f"--state-dir={state_dir}", *plan.flags(), *flags, "--", *plan.targets]  # fmt: skip
    log.info("peer %s: %s", plan.peer, " ".join(command[4:]))
    os.execv(command[0], command)


def load(settings: Settings) -> Plan | None:
    """Return what was found out last for this node, None if nothing was."""
    try:
        found = msgspec.json.decode((settings.state_dir / KEPT).read_bytes(), type=Plan)
    except (OSError, msgspec.DecodeError):
        return None
    return found if found.node == settings.node else None


def save(settings: Settings, plan: Plan) -> None:
    """Keep a plan; after a crash it is the old one or the new one."""
    path, made = settings.state_dir / KEPT, settings.state_dir / f"{KEPT}.new"
    with made.open("wb") as file:
        file.write(msgspec.json.encode(plan))
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)


def prune(state_dir: Path, peer: str) -> None:
    """Delete the state of peers that this node has been."""
    for path in state_dir.iterdir():
        if path.is_dir() and is_peer_name(path.name) and path.name != peer:
            log.warning("this node was made again: the state of peer %s is deleted", path.name)
            shutil.rmtree(path, ignore_errors=True)


async def _find_out(settings: Settings, kept: Plan | None, rng: Random) -> Plan:
    """Ask until there is an answer, or for a while if we can do without."""
    chore = Chore(rng)
    clock = asyncio.get_running_loop().time
    until = clock() + PATIENCE
    async with Api(settings) as api:
        while True:
            try:
                async with asyncio.timeout_at(until if kept else None):
                    return await _ask(api, settings)
            except TimeoutError:
                error: RipstopError = ApiError("the API server gives no answer")
            except ApiError as refused:
                error = refused
            if kept is not None and clock() >= until:
                log.warning("%s; starting as peer %s, as last time", error, kept.peer)
                return kept
            if str(error) != chore.error:
                log.warning("%s; trying again", error)
            chore.fail(str(error), clock())
            await asyncio.sleep(min(chore.due, until if kept else chore.due) - clock())


async def _ask(api: Api, settings: Settings) -> Plan:
    own = await api.node(settings.node)
    cluster = await _cluster(api, settings, own)
    with _fine_if_there():
        await api.make_lease(own)  # before the peer can own an address
    nodes, _ = await api.nodes()
    plan = planning.make(own, nodes, cluster, settings.range)
    if planning.is_outside(own, plan):
        log.warning("node %s has pod CIDR %s, which is not of the range %s: give kube-proxy that as its clusterCIDR",
                    own.name, own.spec.pod_cidr, plan.range)  # fmt: skip
    return plan


async def _cluster(api: Api, settings: Settings, own: Node) -> Lease:
    """Return what all nodes agree on; whoever asks first decides."""
    try:
        return await api.cluster()
    except ApiError as error:
        if not error.is_gone:
            raise
    universe = planning.choose_range(settings.range, await _kubeadm_range(api))
    with _fine_if_there():
        await api.found_cluster(own.peer, universe)
        log.info("this is the first node: the range is %s", universe)
    return await api.cluster()


async def _kubeadm_range(api: Api) -> str:
    try:
        found = await api.config_map("kube-system", "kubeadm-config")
    except ApiError as error:
        if error.is_gone or error.status == 403:
            return ""
        raise
    return planning.pod_subnet(found.get("ClusterConfiguration", ""))


@contextlib.contextmanager
def _fine_if_there() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        if not error.is_conflict:
            raise
