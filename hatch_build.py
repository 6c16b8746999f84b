"""Compile what is in C while the wheel is built, so that no host that installs it needs a compiler."""

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MADE = {"bpf": "src/ripstop/kernel/objects/*.bpf.o", "native": "src/ripstop/cni/objects/courier-*"}


class Compile(BuildHookInterface):  # type: ignore[type-arg]  # the config type is hatchling's own business
    """Runs `make` where C is, and ships what it made, which git does not track."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build and add to the wheel."""
        if version == "editable":  # an editable install reads src/, where `make setup` puts them
            return
        root = Path(self.root)
        for directory, pattern in MADE.items():
            subprocess.run(["make", "--silent", "-C", str(root / directory), "all"], check=True)
            for made in sorted(root.glob(pattern)):
                build_data["artifacts"].append(str(made.relative_to(root)))
