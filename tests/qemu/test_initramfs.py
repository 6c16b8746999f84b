"""Which modules the guest loads, in which order."""

from tests.qemu.initramfs import load_order

DEPENDENCIES = """\
kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko kernel/fs/fscache.ko kernel/fs/netfs.ko
kernel/fs/fscache.ko: kernel/fs/netfs.ko
kernel/fs/netfs.ko:
kernel/net/9p/9pnet.ko:
kernel/net/veth.ko.xz:
"""


def test_what_is_needed_comes_first_and_once() -> None:
    assert [path.rpartition("/")[2] for path in load_order(DEPENDENCIES, ["9p", "netfs"])] == [
        "9pnet.ko",
        "netfs.ko",
        "fscache.ko",
        "9p.ko",
    ]


def test_what_is_built_into_the_kernel_is_not_loaded() -> None:
    assert load_order(DEPENDENCIES, ["virtio_pci", "veth"]) == ["kernel/net/veth.ko.xz"]
