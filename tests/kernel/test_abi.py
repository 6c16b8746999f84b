"""The structs and numbers of `abi.py` are those of the compiled programs."""

import json
import subprocess
from enum import IntEnum, IntFlag
from typing import Any

import pytest

from ripstop.kernel import abi
from ripstop.kernel.datapath import OBJECT


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
        (abi.DeviceFlags, "device_flags", "DEVICE_"),
        (abi.HopFlags, "hop_flags", "HOP_"),
        (abi.DropReason, "drop_reason", "DROP_"),
        (abi.CounterClass, "counter_class", "COUNT_"),
    ],
)
def test_enum(types: list[dict[str, Any]], enum: type[IntEnum | IntFlag], name: str, prefix: str) -> None:
    values = {value["name"].removeprefix(prefix): value["val"] for value in named(types, "ENUM", name)["values"]}
    values = {key: value for key, value in values.items() if key not in ("REASONS", "CLASSES")}  # their counts
    assert values == {member.name: member.value for member in enum}


def test_hash_is_the_same_every_time() -> None:
    assert abi.abi_hash() == abi.abi_hash()
    assert len(abi.abi_hash()) == 12
