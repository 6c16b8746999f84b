"""What people write when they name something."""

import pytest

from ripstop.core.dns.messages import MAX_NAME, MAX_SERVICES, Binding, Service
from ripstop.core.errors import RequestError
from ripstop.daemon.naming import (
    Registration,
    bindings,
    format_address,
    format_service,
    parse_address,
    parse_name,
    parse_services,
    registrations,
)

DOMAIN = "ripstop.local"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web", "web"),
        ("Web.Ripstop.Local", "Web"),
        ("db.prod.ripstop.local.", "db.prod"),
        ("_sip._tcp.web", "_sip._tcp.web"),
        ("ripstop.local.example", "ripstop.local.example"),
        ("x" * 63, "x" * 63),
    ],
)
def test_names(text: str, name: str) -> None:
    assert parse_name(text, DOMAIN) == name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be"),
        ("a b", "cannot be"),
        ("web..db", "cannot be"),
        ("x" * 64, "1 to 63"),
        (".".join(["x" * 60] * 4), f"at most {MAX_NAME}"),
        ("web.example.com.", "not in the domain"),
        ("10.32.0.1", "is an address"),
        ("10.32.0.1.ripstop.local", "is an address"),
        ("fd00::1", "is an address"),
        (".ripstop.local", "cannot be"),
        ("b\u00fccher", "cannot be"),
        ("*", "cannot be"),
    ],
)
def test_what_is_no_name(text: str, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        parse_name(text, DOMAIN)


def test_services() -> None:
    http, dns = Service("http", "tcp", 80), Service("dns", "udp", 53)
    assert parse_services(["http/TCP:80", "dns/udp:53", "http/tcp:80"]) == (dns, http)
    assert format_service(http) == "http/tcp:80"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http", "write it as"),
        ("http/tcp", "write it as"),
        ("http:80", "write it as"),
        ("http/tcp:", "write it as"),
        ("http/tcp:x", "write it as"),
        ("http/tcp:-1", "write it as"),
        ("http/sctp:80", "neither tcp nor udp"),
        ("http/tcp:0", "1..65535"),
        ("http/tcp:65536", "1..65535"),
        ("/tcp:80", "15 letters"),
        ("a_b/tcp:80", "15 letters"),
        ("x" * 16 + "/tcp:80", "15 letters"),
    ],
)
def test_what_is_no_service(text: str, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        parse_services([text])


def test_too_many_services() -> None:
    with pytest.raises(RequestError, match=f"at most {MAX_SERVICES}"):
        parse_services([f"s/tcp:{port}" for port in range(1, MAX_SERVICES + 2)])


@pytest.mark.parametrize("text", ["10.32.0.1", "fd00::1", "169.254.1.1"])
def test_addresses(text: str) -> None:
    assert format_address(parse_address(text)) == text


@pytest.mark.parametrize(
    "text", ["", "web", "10.32.0.1/12", "0.0.0.0", "127.0.0.1", "239.1.1.1", "::", "::1", "fe80::1%eth0"]
)
def test_addresses_that_nobody_in_the_network_has(text: str) -> None:
    with pytest.raises(RequestError, match="address"):
        parse_address(text)


def test_a_name_that_is_given_twice_counts_once() -> None:
    assert registrations(["web", "WEB", "db"], DOMAIN) == (Registration("WEB"), Registration("db"))


def test_each_name_is_bound_to_each_address() -> None:
    names = (Registration("web", (Service("http", "tcp", 80),)), Registration("db"))
    found = bindings("c1", ("10.32.0.1/12", "fd00::1"), names)
    assert len(found) == 4
    assert found[0] == Binding("web", "c1", bytes([10, 32, 0, 1]), (Service("http", "tcp", 80),))
    assert found[3].address[0] == 0xFD and found[3].services == ()
