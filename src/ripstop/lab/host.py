"""One pretend host: its namespace on the underlay, its directories, and the life of its daemon."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path

from ripstop.api.types import AttachRequest, DetachRequest, Port, Status
from ripstop.client import Client, DaemonUnreachableError, RefusedError
from ripstop.lab import namespaces
from ripstop.lab.node import Container, Node
from ripstop.lab.plan import LabError

POLL = 0.02  # seconds between two looks at a daemon that starts
END_TIMEOUT = 30.0  # seconds for a daemon to take everything down
_TAIL = 300  # characters of a log that are worth showing


@dataclass(frozen=True, slots=True)
class Host(Node):
    """One pretend host; `run(["ripstop", ...])` on it speaks to its own daemon."""

    interface: IPv4Interface  # on the underlay
    directory: Path
    dials: tuple[str, ...]  # underlay addresses that its daemon is told

    @property
    def run_dir(self) -> Path:
        """Where the daemon's socket is."""
        return self.directory / "run"

    @property
    def state_dir(self) -> Path:
        """Where the daemon keeps its state."""
        return self.directory / "state"

    @property
    def log(self) -> Path:
        """What the daemon has printed."""
        return self.directory / "daemon.log"

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment of commands that run here: `ripstop` is found, and finds this host's daemon."""
        programs = str(Path(sys.executable).parent)
        return {
            **os.environ,
            "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}",
            "RIPSTOP_RUN_DIR": str(self.run_dir),
            "RIPSTOP_STATE_DIR": str(self.state_dir),
        }

    @property
    def client(self) -> Client:
        """The API of this host's daemon."""
        return Client(self.run_dir)

    def ripstop(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run one `ripstop` command here."""
        return self.run([*_ripstop(), *words], check=check)

    def start_daemon(self, flags: Sequence[str] = ()) -> int:
        """Start the daemon in the background and return its pid; `wait` says when it is of use.

        Args:
            flags: more flags for `ripstop daemon`.
        """
        if (pid := self.daemon_pid()) is not None:
            raise LabError(f"{self.name}: its daemon runs already, pid {pid}")
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [*_ripstop(), "daemon", f"--run-dir={self.run_dir}", f"--state-dir={self.state_dir}",
                   f"--nickname={self.name}", *flags, "--", *self.dials]  # fmt: skip
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                self.command(command),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self.environment,
            )
        self._pid_file.write_text(str(child.pid))
        child.returncode = 0  # it is not waited for: it may outlive this process, and is ended by pid
        return child.pid

    def daemon_pid(self) -> int | None:
        """Return the pid of the daemon that was started here, None if it has ended."""
        try:
            pid = int(self._pid_file.read_text())
            while not (line := Path(f"/proc/{pid}/cmdline").read_bytes()):  # between two programs of one exec
                if Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z"):
                    return None
            words = line.split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if f"--run-dir={self.run_dir}".encode() in words else None

    def kill_daemon(self) -> None:
        """Kill the daemon with SIGKILL and wait until it is gone; the kernel keeps forwarding."""
        if (pid := self.daemon_pid()) is None:
            raise LabError(f"{self.name}: no daemon runs")
        namespaces.kill(pid)
        _reap(pid)

    def stop_daemon(self) -> None:
        """Have the daemon take everything down; also clears up what a dead one left in the kernel."""
        pid = self.daemon_pid()
        if self.run_dir.exists():
            self.run([*_ripstop(), "down"], check=False, timeout=END_TIMEOUT + 30.0)
        if pid is not None:
            namespaces.end([pid])
            _reap(pid)

    def restart_daemon(self, flags: Sequence[str] = (), timeout: float = 30.0) -> None:
        """Start the daemon anew, after `kill_daemon` or on top of a running one, and wait until it is settled."""
        if self.daemon_pid() is not None:
            self.kill_daemon()
        self.start_daemon(flags)
        self.wait(timeout=timeout)

    def status(self) -> Status:
        """Ask the daemon how it is doing."""
        return self.client.call("status")

    def wait(self, *, reachable: int = 0, timeout: float = 30.0) -> Status:
        """Wait until the daemon is settled and reaches at least so many peers.

        Raises:
            LabError: it ended, or `timeout` seconds were not enough; with the reason.
        """
        deadline = time.monotonic() + timeout
        reason = "no answer"
        while time.monotonic() < deadline:
            if self.daemon_pid() is None:
                raise LabError(f"{self.name}: its daemon has ended: {self._last_words()}")
            try:
                status = self.status()
            except (DaemonUnreachableError, RefusedError) as error:
                reason = str(error)
            else:
                if status.settled and status.reachable >= reachable:
                    return status
                reason = "; ".join(status.waiting) or f"reaches {status.reachable} of {reachable} peers"
            time.sleep(POLL)
        raise LabError(f"{self.name}: not settled within {timeout:g} s: {reason}; log: {self.log}")

    def attach(self, container: Container, *addresses: str, gateway: bool = False) -> Port:
        """Put a container on the switch, with addresses as given (ADDRESS/LEN) or an allocated one."""
        request = AttachRequest(netns=str(container.netns_path), addresses=addresses, gateway=gateway)
        return self.client.call("attach", request)

    def detach(self, container: Container) -> None:
        """Take a container off the switch."""
        self.client.call("detach", DetachRequest(netns=str(container.netns_path)))

    @property
    def _pid_file(self) -> Path:
        return self.directory / "daemon.pid"

    def _last_words(self) -> str:
        try:
            return self.log.read_text(errors="replace").strip()[-_TAIL:] or "it said nothing"
        except OSError as error:
            return f"{self.log}: {error.strerror}"


def _ripstop() -> list[str]:
    # -P: whatever lies in the current directory is not ours to import
    return [sys.executable, "-P", "-m", "ripstop.cli.main"]


def _reap(pid: int) -> None:
    """Take note of the end of a daemon that this process started itself; others' are not ours to wait for."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
