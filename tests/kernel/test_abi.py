"""The structs and numbers of `abi.py` are those of the compiled programs."""

import json
import re
import subprocess
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any

import pytest

from ripstop.kernel import abi
from ripstop.kernel.datapath import OBJECT

HEADER = Path(__file__).parents[2] / "bpf/abi.h"


@pytest.fixture(scope="module")
def types() -> list[dict[str, Any]]:
    """All types in the object's BTF."""
    dump = subprocess.run(
        ["bpftool", "-j", "btf", "dump", "file", str(OBJECT)], capture_output=True, text=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(dump.stdout)["types"]
    return found


def named(types: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Return the type of that kind and name."""
    return next(entry for entry in types if entry["kind"] == kind and entry["name"] == name)


@pytest.mark.parametrize("layout", abi.LAYOUTS, ids=lambda layout: layout.name)
def test_layout(types: list[dict[str, Any]], layout: abi.Layout) -> None:
    struct = named(types, "STRUCT", layout.name)
    assert layout.packer.size == struct["size"]
    assert layout.offsets() == {member["name"]: member["bits_offset"] // 8 for member in struct["members"]}


@pytest.mark.parametrize(
    ("enum", "name", "prefix"),
    [
        (abi.ConfigFlags, "config_flags", "CONFIG_"),
        (abi.GroupFlags, "group_flags", "GROUP_"),
        (abi.DeviceFlags, "device_flags", "DEVICE_"),
        (abi.GuardFlags, "guard_flags", "GUARD_"),
        (abi.HopFlags, "hop_flags", "HOP_"),
        (abi.DropReason, "drop_reason", "DROP_"),
        (abi.CounterClass, "counter_class", "COUNT_"),
    ],
)
def test_enum(enum: type[IntEnum | IntFlag], name: str, prefix: str) -> None:
    """Enums leave no trace in the object: the header is read instead."""
    source = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    found = re.search(rf"enum {name} {{(.*?)}}", source, re.DOTALL)
    assert found is not None
    values = {}
    for index, line in enumerate(filter(None, (part.strip() for part in found[1].split(",")))):
        key, _, value = line.partition(" = ")
        values[key.removeprefix(prefix)] = int(value) if value else index
    values = {key: value for key, value in values.items() if key not in ("REASONS", "CLASSES")}  # their counts
    assert values == {member.name: member.value for member in enum}


def test_hash_is_the_same_every_time() -> None:
    assert abi.abi_hash() == abi.abi_hash()
    assert len(abi.abi_hash()) == 12
