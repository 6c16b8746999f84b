"""What somebody needs to know of the machine to make sense of the numbers."""

import os
import platform
import re
import subprocess
from pathlib import Path

Facts = dict[str, str]


def gather() -> Facts:
    """Return facts about processor, kernel and tools."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    flags = Path("/proc/cpuinfo").read_text()
    return {
        "processor": cpu[1] if cpu else platform.machine(),
        "architecture": platform.machine(),
        "cores": str(os.cpu_count()),
        "virtual": "yes" if " hypervisor" in flags else "no",
        "memory_mb": str(int(memory[1]) // 1024) if memory else "?",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "iperf3": _first_line(["iperf3", "--version"]),
        "commit": _first_line(["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]),
        "load_before": f"{os.getloadavg()[0]:.2f}",
    }


def _first_line(command: list[str]) -> str:
    try:
        printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return "?"
    return next(iter(printed.splitlines()), "?")
