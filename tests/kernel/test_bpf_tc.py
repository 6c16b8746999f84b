"""Programs on devices: by tcx and by clsact alike, beside those of others."""

import ctypes
import os
from collections.abc import Iterator

import pytest

from ripstop.kernel import bpf_clsact, bpf_kept, bpf_tc, bpf_tcx
from ripstop.kernel.abi import abi_hash
from ripstop.kernel.bpf import library
from tests.kernel.switches import Host, Lab

SCHED_CLS, TCX_INGRESS = 3, 46  # linux/bpf.h
NEXT = b"\xb7\x00\x00\x00\xff\xff\xff\xff" + b"\x95" + bytes(7)  # r0 = -1, whoever is next; exit
WAYS = ("clsact", *(("tcx",) if bpf_tcx.is_available() else ()))


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Attach by this way from now on."""
    monkeypatch.setattr(bpf_tcx, "is_available", lambda: request.param == "tcx")
    return str(request.param)


@pytest.fixture
def lab(way: str) -> Iterator[Lab]:
    """Two hosts that reach each other, with a container each."""
    made = Lab()
    try:
        for _ in range(2):
            made.add_host()
        made.join()
        yield made
    finally:
        made.close()


def devices(host: Host) -> list[int]:
    """Return what programs of ours are on."""
    return [*host.switch.ports(), *host.switch.underlays(), host.ifindex("ripstop-vx")]


def ping(lab: Lab) -> None:
    first, second = (host.containers[0] for host in lab.hosts)
    first.run(f"ping -c 2 -i 0.01 -W 2 {second.address}")


def test_frames_pass_and_programs_are_where_they_should_be(lab: Lab, way: str) -> None:
    ping(lab)
    host = lab.hosts[0]
    with host.namespace.entered():
        by_way = {
            "tcx": [bpf_tcx.attached_program(device) for device in devices(host)] if "tcx" in WAYS else [],
            "clsact": [bpf_clsact.attached_program(device) for device in devices(host)],
        }
    assert None not in by_way.pop(way)
    assert all(number is None for numbers in by_way.values() for number in numbers)


def test_a_program_is_replaced_and_taken_off(lab: Lab) -> None:
    host = lab.hosts[0]
    device = host.ifindex("eth0")
    with host.namespace.entered():
        before = bpf_tc.attached_program(device)
        host.switch.close()
    bpf_kept.forget(host.pins / abi_hash())  # else they are taken over
    host.open()
    ping(lab)
    with host.namespace.entered():
        assert None not in (before, after := bpf_tc.attached_program(device)) and before != after
        for _ in range(2):  # the second finds nothing, which is fine
            bpf_tc.detach_ingress(device)
        assert bpf_tc.attached_program(device) is None
        bpf_tc.detach_ingress(0x7FFFFFFF)  # no such device


@pytest.mark.skipif("tcx" not in WAYS, reason="Linux before 6.6")
@pytest.mark.parametrize("way", ["clsact"], indirect=True)
def test_filters_become_tcx_where_that_is_new(lab: Lab, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpf_tcx, "is_available", lambda: True)
    for host in lab.hosts:
        with host.namespace.entered():
            host.switch.close()
        host.open()
        with host.namespace.entered():
            assert [bpf_clsact.attached_program(device) for device in devices(host)] == [None] * len(devices(host))
            assert None not in [bpf_tcx.attached_program(device) for device in devices(host)]
    ping(lab)


@pytest.mark.skipif("tcx" not in WAYS, reason="Linux before 6.6")
@pytest.mark.parametrize("way", ["tcx"], indirect=True)
def test_programs_of_others_stay(lab: Lab, way: str) -> None:
    host = lab.hosts[0]
    device = host.ifindex("eth0")
    theirs = library().bpf_prog_load(SCHED_CLS, b"theirs", b"GPL", ctypes.c_char_p(NEXT), ctypes.c_size_t(2), None)
    assert theirs >= 0, os.strerror(-theirs)
    try:
        with host.namespace.entered():
            assert library().bpf_prog_attach_opts(theirs, device, TCX_INGRESS, None) == 0
            host.switch.close()
        host.open()
        ping(lab)
        with host.namespace.entered():
            assert bpf_tcx.attached_program(device) is not None
            host.switch.detach(device)
            assert bpf_tcx.attached_program(device) is None
            assert library().bpf_prog_detach2(theirs, device, TCX_INGRESS) == 0  # still there
    finally:
        os.close(theirs)
