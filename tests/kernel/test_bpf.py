"""Loading: what goes wrong is named, and leaves nothing."""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from ripstop.core.errors import KernelError
from ripstop.kernel import bpf, bpffs
from ripstop.kernel.datapath import OBJECT
from ripstop.kernel.ring import RingReader

REFUSED = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("tc") int reads_too_far(struct __sk_buff *skb) { return *(int *)(long)skb->data; }
char LICENSE[] SEC("license") = "GPL";
"""
REFUSED_AT_LENGTH = REFUSED.replace("{ return", '{ asm volatile(".rept 60000; r0 = 0; .endr" ::: "r0"); return')
MAPS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 10000); __type(key, __u32); __type(value, __u64); }
	numbers SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 2); __type(key, __u32); __type(value, __u32); }
	counts SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
SEC("tc") int nothing(struct __sk_buff *skb)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&numbers, &zero) || bpf_map_lookup_elem(&counts, &zero) || bpf_ringbuf_query(&ring, 0);
}
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture
def pins() -> Iterator[Path]:
    """A directory for pins, empty again at the end."""
    made = bpffs.root() / f"rt-{uuid4().hex[:8]}"
    made.mkdir()
    try:
        yield made
    finally:
        for pin in made.iterdir():
            pin.unlink()
        made.rmdir()


def compiled(source: str, directory: Path) -> Path:
    """Return the object of an eBPF program."""
    multiarch = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True, check=True).stdout.strip()
    path = directory / "test.bpf.o"
    command = ["clang", "-O2", "-g", "-target", "bpf", f"-I/usr/include/{multiarch}", "-xc", "-c", "-", "-o", str(path)]
    subprocess.run(command, input=source, text=True, check=True)
    return path


def test_missing_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=r"none\.bpf\.o") as caught:
        bpf.OpenObject(tmp_path / "none.bpf.o")
    assert caught.value.errno == errno.ENOENT


def test_file_that_is_no_object_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text.bpf.o"
    path.write_text("no object")
    with pytest.raises(KernelError, match=r"text\.bpf\.o"):
        bpf.OpenObject(path)


def test_object_can_be_opened_without_the_kernel() -> None:
    bpf.OpenObject(OBJECT).close()


def test_refused_program_comes_with_the_verifiers_words(tmp_path: Path, pins: Path) -> None:
    with pytest.raises(KernelError, match=r"reads_too_far.*invalid access to packet") as caught:
        bpf.OpenObject(compiled(REFUSED, tmp_path)).load(pins, ())
    assert "\n" not in str(caught.value)
    assert caught.value.errno == errno.EACCES


def test_long_log_does_not_hide_the_reason(tmp_path: Path, pins: Path) -> None:
    with pytest.raises(KernelError, match=r"reads_too_far.*invalid access to packet") as caught:
        bpf.OpenObject(compiled(REFUSED_AT_LENGTH, tmp_path)).load(pins, ())
    assert caught.value.errno == errno.EACCES


def test_unknown_map_is_named(tmp_path: Path, pins: Path) -> None:
    with pytest.raises(KernelError, match="no_such_map"):
        bpf.OpenObject(compiled(MAPS, tmp_path)).load(pins, ("no_such_map",))


def test_maps(tmp_path: Path, pins: Path) -> None:
    loaded = bpf.OpenObject(compiled(MAPS, tmp_path)).load(pins, ("numbers",))
    numbers = loaded.map("numbers")
    expected = {n.to_bytes(4, "little"): (n * n).to_bytes(8, "little") for n in range(9000)}
    for key, value in expected.items():
        numbers.update(key, value)
    assert dict(numbers.items()) == expected
    first = (0).to_bytes(4, "little")
    numbers.delete(first)
    numbers.delete(first)
    assert numbers.lookup(first) is None
    loaded.close()
    loaded.close()
    again = bpf.OpenObject(compiled(MAPS, tmp_path)).load(pins, ("numbers",))
    assert len(dict(again.map("numbers").items())) == 8999
    assert set(again.map("counts").lookup_cpus(first)) == {bytes(4)}
    again.close()


def test_empty_map_and_ring(tmp_path: Path, pins: Path) -> None:
    loaded = bpf.OpenObject(compiled(MAPS, tmp_path)).load(pins, ())
    assert list(loaded.map("numbers").items()) == []
    reader = RingReader(loaded.map("ring"))
    assert reader.read() == []
    reader.close()
    reader.close()
    with pytest.raises(KernelError, match="program"):
        loaded.program_fd("no_such_program")
    with pytest.raises(KernelError, match="map"):
        loaded.map("no_such_map")
    loaded.close()


def test_this_kernel_has_all_that_is_needed() -> None:
    assert bpf.missing_features() == []
