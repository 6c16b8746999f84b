"""The host's resolvers, and ourselves among them."""

from pathlib import Path

import pytest

from ripstop.dns.resolvconf import CHECK_INTERVAL, MAX_SERVERS, ResolvConf, parse, without_own


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", ()),
        (
            "nameserver 192.0.2.1\n# nameserver 192.0.2.2\nnameserver\t2001:db8::1  # why\n",
            ("192.0.2.1", "2001:db8::1"),
        ),
        ("search example.com\noptions ndots:5\nnameserver 192.0.2.1", ("192.0.2.1",)),
        ("nameserver 192.0.2.1\nnameserver 192.0.2.1\n", ("192.0.2.1",)),
        ("nameserver fe80::1%eth0\n", ("fe80::1%eth0",)),
        ("nameserver\nnameserver host\nnameserver 192.0.2.300\n\0\n", ()),
        ("".join(f"nameserver 192.0.2.{i}\n" for i in range(20)), tuple(f"192.0.2.{i}" for i in range(MAX_SERVERS))),
    ],
)
def test_the_file(text: str, servers: tuple[str, ...]) -> None:
    assert parse(text) == servers


def test_changes_are_seen_however_they_are_made(tmp_path: Path) -> None:
    path, now = tmp_path / "resolv.conf", 0.0
    conf = ResolvConf(path)
    assert conf.servers(now) == ()
    path.write_text("nameserver 192.0.2.1\n")
    assert conf.servers(now + CHECK_INTERVAL / 2) == ()  # not looked at again so soon
    assert conf.servers(now := now + CHECK_INTERVAL) == ("192.0.2.1",)
    path.write_text("nameserver 192.0.2.22\n")  # in place
    assert conf.servers(now := now + CHECK_INTERVAL) == ("192.0.2.22",)
    (tmp_path / "new").write_text("nameserver 192.0.2.33\n")
    (tmp_path / "new").rename(path)  # replaced
    assert conf.servers(now := now + CHECK_INTERVAL) == ("192.0.2.33",)
    path.unlink()
    assert conf.servers(now := now + CHECK_INTERVAL) == ("192.0.2.33",)
    (tmp_path / "elsewhere").write_text("nameserver 192.0.2.44\n")
    path.symlink_to("elsewhere")
    assert conf.servers(now := now + CHECK_INTERVAL) == ("192.0.2.44",)
    (tmp_path / "elsewhere").write_text("nameserver 192.0.2.5\n")  # behind the link
    assert conf.servers(now + CHECK_INTERVAL) == ("192.0.2.5",)


def test_we_do_not_ask_ourselves() -> None:
    servers = ("10.32.0.1", "127.0.0.1", "192.0.2.1", "::1")
    own = ("127.0.0.1", "::1", "10.32.0.1").__contains__
    assert without_own(servers, (("10.32.0.1", 53), ("127.0.0.1", 5353)), own) == ("127.0.0.1", "192.0.2.1", "::1")
    assert without_own(servers, (("0.0.0.0", 53),), own) == ("192.0.2.1", "::1")
    assert without_own(servers, (("::", 53), ("0.0.0.0", 5353)), own) == ("10.32.0.1", "127.0.0.1", "192.0.2.1")
