"""Names on a disk that is full: refused as a whole, with a reason, and given once there is room again."""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ripstop.api.types import Name, NameRequest
from ripstop.client import RefusedError
from ripstop.lab.host import Host
from ripstop.lab.lab import Lab
from tests.e2e.polling import eventually

SIZE = 1024 * 1024  # bytes of the disk


@pytest.fixture
def disk(bare_host: Lab) -> Iterator[Path]:
    """Have the host keep its state on a small disk; return what fills it up."""
    directory = bare_host.host("h1").state_dir
    directory.mkdir(parents=True, mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(directory)], check=True)
    try:
        yield directory / "filler"
    finally:
        bare_host.host("h1").stop_daemon()
        subprocess.run(["umount", str(directory)], check=True)


def fill(filler: Path) -> None:
    """Leave no room for a single page."""
    with filler.open("ab", buffering=0) as file, pytest.raises(OSError) as refused:
        while True:
            file.write(bytes(4096))
    assert refused.value.errno == errno.ENOSPC


def addresses(host: Host, name: str) -> list[str]:
    found: list[Name] = host.client.call("names")
    return sorted(one.address for one in found if one.name == name)


def test_a_name_of_two_interfaces_is_given_to_both_or_none(bare_host: Lab, disk: Path) -> None:
    host, netns = bare_host.host("h1"), str(bare_host.container("h1c1").netns_path)
    host.start_daemon()
    host.wait()
    host.ripstop("expose")
    for ifname in ("eth0", "eth1"):
        host.ripstop("attach", "--netns", netns, "--id", "c1", "--ifname", ifname)
    host.ripstop("dns", "add", "before", "--container", "c1")
    host.ripstop("dns", "add", "fixed", "--address", "192.0.2.7")
    both = addresses(host, "before")
    assert len(both) == 2
    fill(disk)
    given: list[str] = []
    with pytest.raises(RefusedError):  # what lies free within the database's files is still given
        for number in range(3000):
            host.client.call("add_name", NameRequest(f"n{number}", "c1"))
            given.append(f"n{number}")
    refused = f"n{len(given)}"
    fill(disk)
    done = host.ripstop("dns", "add", refused, "--container", "c1", check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "nothing was" in done.stderr and str(host.state_dir) in done.stderr
    for words in (
        ("remove", "before"),
        ("remove", "fixed"),
        ("add", "gate"),
        ("add", "other", "--address", "192.0.2.8"),
    ):
        assert "nothing was" in host.ripstop("dns", *words, check=False).stderr
    names = {*given, "before", "fixed"}
    assert {one.name for one in host.client.call("names")} == names
    assert addresses(host, "before") == both and addresses(host, "fixed") == ["192.0.2.7"]
    server = host.status().exposed[0].partition("/")[0]
    dig = ["dig", "+short", "+tries=1", f"@{server}", f"{refused}.ripstop.local", "before.ripstop.local"]
    eventually(lambda: sorted(host.run(dig).stdout.split()) == both)
    host.kill_daemon()
    disk.unlink()
    host.restart_daemon()
    assert {one.name for one in host.client.call("names")} == names
    host.ripstop("dns", "add", refused, "--container", "c1")
    host.ripstop("dns", "remove", "before")
    assert addresses(host, refused) == both and addresses(host, "before") == []
