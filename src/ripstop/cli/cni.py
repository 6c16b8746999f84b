"""`ripstop cni install` and `remove`: where container runtimes find the plugin and the network.

A runtime may look at any moment, and what it finds it uses: so files are there whole or not at all, the plugin comes
before the network that names it, and neither before the daemon can serve.
"""

import argparse
import contextlib
import json
import os
import re
import time
from pathlib import Path

from ripstop.api.types import PrimeRequest
from ripstop.cli.errors import FailedError, UsageError
from ripstop.client import Client, DaemonUnreachableError, RefusedError
from ripstop.cni.assembly import assemble

PLUGIN = "ripstop-cni"
CONFIG = "10-ripstop.conflist"
VERSION = "1.0.0"  # of the network: what runtimes of today speak; the plugin answers in that of the question
_CAPABILITIES = {"portmap": "portMappings", "bandwidth": "bandwidth"}  # what each acts upon
_OWN_CAPABILITIES = ("bandwidth", "io.kubernetes.cri.pod-annotations", "ips", "mac")
_POLL = 0.2  # seconds between two looks at a daemon that starts
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}")


def run(args: argparse.Namespace) -> int:
    """Do what the subcommand says."""
    return {"install": install, "remove": remove}[args.subcommand](args)


def install(args: argparse.Namespace) -> int:
    """Write plugin and network, when the daemon is ready."""
    try:
        plugin = assemble(args.python, args.run_dir)
    except ValueError as error:
        raise UsageError(str(error)) from None
    network = _network(args)
    _await_daemon(Client(args.run_dir), args.wait)
    done: dict[str, str] = {}
    for path, content, mode in (
        (args.bin_dir / PLUGIN, plugin, 0o755),
        (args.config_dir / CONFIG, network.encode(), 0o644),
    ):
        done[str(path)] = "wrote" if _put(path, content, mode) else "kept"
    _show(done, args.json)
    return 0


def remove(args: argparse.Namespace) -> int:
    """Take both away, the network first, so that nobody is led to a plugin that is gone."""
    done: dict[str, str] = {}
    for path in (args.config_dir / CONFIG, args.bin_dir / PLUGIN):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            done[str(path)] = "removed"
    _show(done, args.json)
    return 0


def _show(done: dict[str, str], as_json: bool) -> None:
    if as_json:
        print(json.dumps([{"path": path, "done": what} for path, what in done.items()]))
    else:
        for path, what in done.items():
            print(f"{what} {path}")


def _network(args: argparse.Namespace) -> str:
    if not _NAME.fullmatch(args.name):
        raise UsageError(f"--name {args.name!r}: letters, digits, '_', '.', '-', up to 128")
    ours: dict[str, object] = {"type": PLUGIN, "capabilities": dict.fromkeys(_OWN_CAPABILITIES, True)}
    if args.subnet:
        ours["subnet"] = args.subnet
    if args.mtu:
        ours["mtu"] = args.mtu
    if args.no_default_route:
        ours["defaultRoute"] = False
    if args.no_guard:
        ours["guard"] = False
    if args.guard_by_annotation:
        ours["guardByAnnotation"] = sorted(set(args.guard_by_annotation))
    if args.no_multicast:
        ours["multicast"] = False
    if args.no_multicast_route:
        ours["multicastRoute"] = False
    chain = args.chain
    if chain is None:
        chain = ["portmap"] if (args.bin_dir / "portmap").exists() else []
    for name in chain:
        if not (args.bin_dir / name).is_file():
            raise FailedError(f"plugin {name} is not in {args.bin_dir}; every container would fail to start")
    plugins = [ours]
    for name in chain:
        capability = _CAPABILITIES.get(name)
        plugins.append({"type": name, "capabilities": {capability: True}} if capability else {"type": name})
    return json.dumps({"cniVersion": VERSION, "name": args.name, "plugins": plugins}, indent=2) + "\n"


def _await_daemon(client: Client, wait: float) -> None:
    """Wait until the daemon can give addresses."""
    deadline = time.monotonic() + wait
    while True:
        try:
            client.call("prime", PrimeRequest(max(0.1, min(10.0, deadline - time.monotonic()))))
        except (DaemonUnreachableError, RefusedError):
            if time.monotonic() >= deadline:
                raise
            time.sleep(_POLL)
        else:
            return


def _put(path: Path, content: bytes, mode: int) -> bool:
    """Put a file in place, whole or not at all; return False if it is there already as it should be."""
    try:
        if path.read_bytes() == content and path.stat().st_mode & 0o777 == mode:
            return False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")  # no runtime takes a hidden file for a network
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return True
