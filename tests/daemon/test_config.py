"""What can be chosen, and what is refused in words."""

from dataclasses import replace

import pytest

from ripstop.core.errors import RequestError, StartError
from ripstop.core.events import Endpoint
from ripstop.daemon.config import Config, parse_target


def test_the_defaults_are_fine() -> None:
    Config().check()
    assert Config().vxlan_port == 6784


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"range": "10.32.0.0"}, "too small"),
        ({"range": "10.32.0.1/12"}, "host bits"),
        ({"range": "ten"}, "write it as"),
        ({"range": "10.32.0.0/31"}, "too small"),
        ({"default_subnet": "10.64.0.0/16"}, "not within the range"),
        ({"port": 0}, "port 0"),
        ({"port": 65535}, "one after it"),
        ({"mtu": 1000}, "mtu 1000"),
        ({"mtu": 70000}, "mtu 70000"),
        ({"name": "h1"}, "16 lower-case hex"),
        ({"peers": ("192.0.2.300",)}, "192.0.2.300"),
        ({"peers": ("192.0.2.1:99999",)}, "99999"),
        ({"advertise": ("host",)}, "host"),
        ({"nickname": "a\nb"}, "printable"),
        ({"metrics": "6782"}, "write it as"),
        ({"metrics": "localhost:6782"}, "write it as"),
        ({"metrics": "::1:6782"}, "write it as"),
        ({"metrics": "[127.0.0.1]:6782"}, "write it as"),
        ({"metrics": "127.0.0.1:"}, "port ''"),
        ({"metrics": "[::1]:65536"}, "port '65536'"),
        ({"dns_domain": "a b"}, "dns-domain 'a b'"),
        ({"dns_domain": ""}, "dns-domain ''"),
        ({"dns_domain": "in-addr.arpa"}, "meaning of its own"),
        ({"dns_ttl": -1}, "dns-ttl -1"),
        ({"dns_listen": ("localhost",)}, "write it as"),
        ({"dns_listen": ("192.0.2.1:0",)}, "write it as"),
        ({"dns_allow": ("192.0.2.1/24",)}, "host bits"),
        ({"multicast": "route"}, "neither snoop nor flood"),
        ({"multicast_unknown": "snoop"}, "neither drop nor flood"),
        ({"multicast_query_interval": 1.0}, r"interval 1 is not within 2\.\.31744 seconds"),
        ({"multicast_query_interval": 40000.0}, "interval 40000"),
        ({"multicast_query_interval": float("nan")}, "interval nan"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, object], reason: str) -> None:
    with pytest.raises(StartError, match=reason):
        replace(Config(), **change).check()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("192.0.2.1", Endpoint("192.0.2.1", 6783)),
        ("192.0.2.1:7000", Endpoint("192.0.2.1", 7000)),
        ("host.example", Endpoint("host.example", 6783)),
    ],
)
def test_targets_are_read(text: str, endpoint: Endpoint) -> None:
    assert parse_target(text, 6783) == endpoint


@pytest.mark.parametrize(
    ("text", "listener"),
    [
        ("127.0.0.1:6782", ("127.0.0.1", 6782)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::]:65535", ("::", 65535)),
        ("[fd00:0::1]:6782", ("fd00::1", 6782)),
    ],
)
def test_addresses_for_metrics_are_read(text: str, listener: tuple[str, int]) -> None:
    config = replace(Config(), metrics=text)
    config.check()
    assert config.metrics_listener == listener


@pytest.mark.parametrize("text", ["", ":6783", "192.0.2", "192.0.2.1:", "192.0.2.1:x", "a b", "-x", "::1", "1.2.3.4:0"])
def test_malformed_targets_are_refused(text: str) -> None:
    with pytest.raises(RequestError):
        parse_target(text, 6783)


def test_where_names_are_answered() -> None:
    config = Config(dns_listen=("192.0.2.1", "192.0.2.1:5353", "fd00::1", "[fd00::1]:5353"))
    config.check()
    assert config.dns_places == (("192.0.2.1", 53), ("192.0.2.1", 5353), ("fd00::1", 53), ("fd00::1", 5353))
