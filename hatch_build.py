"""Compile the eBPF objects while the wheel is built, so that no host that installs it needs a compiler."""

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileBpf(BuildHookInterface):  # type: ignore[type-arg]  # the config type is hatchling's own business
    """Runs `make bpf` and ships what it made, which git does not track."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the objects and add them to the wheel."""
        if version == "editable":  # an editable install reads src/, where `make bpf` puts them
            return
        root = Path(self.root)
        subprocess.run(["make", "--silent", "-C", str(root / "bpf"), "all"], check=True)
        for made in sorted((root / "src/ripstop/kernel/objects").glob("*.bpf.o")):
            build_data["artifacts"].append(str(made.relative_to(root)))
