"""`ripstop daemon`, `up` and `down`: the life of one instance."""

import argparse
import os
import sys

from ripstop.cli.background import Started, Stopped, start, stop
from ripstop.cli.errors import FailedError
from ripstop.cli.output import present, safe
from ripstop.client import Client, DaemonUnreachableError
from ripstop.daemon.config import Config

LOG_FILE = "ripstop.log"  # in the state directory


def daemon(args: argparse.Namespace) -> int:
    """Run the daemon in this process until it is told to end."""
    from ripstop.daemon import priority

    priority.take()  # first: most of what a start costs is to read the rest of the program
    from ripstop.daemon.main import run

    return run(make_config(args))


def up(args: argparse.Namespace) -> int:
    """Start the daemon in the background and wait until it answers."""
    config = make_config(args)
    config.check()  # so that what can be said at once does not take the way through the log
    if os.geteuid() != 0:
        raise FailedError("the daemon must run as root: it makes devices and loads eBPF programs")
    client = Client(config.run_dir)
    try:
        pid = client.daemon_pid()
    except DaemonUnreachableError as error:
        if not error.dead:
            raise
    else:
        raise FailedError(f"already running: pid {pid} listens on {client.socket}; stop it with `ripstop down`")
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # -P: whatever lies in the current directory is not ours to import
    command = [sys.executable, "-P", "-m", "ripstop.cli.main", "daemon", *arguments(config)]
    present(start(command, client, config.state_dir / LOG_FILE), _show_started, json=args.json)
    return 0


def down(args: argparse.Namespace) -> int:
    """Stop the daemon; remove what a dead one has left in the kernel."""
    stopped = stop(Client(args.run_dir))
    if not stopped.goodbye:
        from ripstop.daemon.teardown import teardown

        stopped.removed = teardown(args.run_dir, args.state_dir)
    present(stopped, _show_stopped, json=args.json)
    return 0


def make_config(args: argparse.Namespace) -> Config:
    """Return the instance that the flags describe, whether they make sense or not."""
    return Config(
        run_dir=args.run_dir,
        state_dir=args.state_dir,
        name=args.name,
        nickname=args.nickname,
        range=args.range,
        default_subnet=args.default_subnet,
        advertise=tuple(args.advertise),
        port=args.port,
        mtu=args.mtu,
        no_discovery=args.no_discovery,
        peers=tuple(args.peers),
        init=args.init,
        grace=args.grace,
        log_level=args.log_level,
        metrics=args.metrics,
        no_dns=args.no_dns,
        dns_domain=args.dns_domain,
        dns_ttl=args.dns_ttl,
        dns_listen=tuple(args.dns_listen),
        dns_allow=tuple(args.dns_allow),
        dns_resolv_conf=args.dns_resolv_conf,
        multicast=args.multicast,
        multicast_unknown=args.multicast_unknown,
        multicast_query_interval=args.multicast_query_interval,
    )


def arguments(config: Config) -> list[str]:
    """Return the flags that describe an instance: the other way round than `make_config`."""
    flags = [
        f"--run-dir={config.run_dir}",
        f"--state-dir={config.state_dir}",
        f"--nickname={config.nickname}",
        f"--range={config.range}",
        f"--port={config.port}",
        f"--init={config.init}",
        f"--grace={config.grace}",
        f"--log-level={config.log_level}",
        f"--multicast={config.multicast}",
        f"--multicast-unknown={config.multicast_unknown}",
        f"--multicast-query-interval={config.multicast_query_interval}",
        f"--dns-domain={config.dns_domain}",
        f"--dns-ttl={config.dns_ttl}",
        f"--dns-resolv-conf={config.dns_resolv_conf}",
        *(f"--dns-listen={address}" for address in config.dns_listen),
        *(f"--dns-allow={network}" for network in config.dns_allow),
        *(f"--advertise={address}" for address in config.advertise),
    ]
    if config.name is not None:
        flags.append(f"--name={config.name}")
    if config.default_subnet is not None:
        flags.append(f"--default-subnet={config.default_subnet}")
    if config.metrics is not None:
        flags.append(f"--metrics={config.metrics}")
    if config.mtu is not None:
        flags.append(f"--mtu={config.mtu}")
    if config.no_dns:
        flags.append("--no-dns")
    if config.no_discovery:
        flags.append("--no-discovery")
    return [*flags, "--", *config.peers]


def _show_started(started: Started) -> None:
    print(started.name)


def _show_stopped(stopped: Stopped) -> None:
    if stopped.pid:
        print(f"stopped pid {stopped.pid}")
    for line in stopped.removed:
        print(safe(line))
    if not stopped.pid and not stopped.removed:
        print("nothing was running")
