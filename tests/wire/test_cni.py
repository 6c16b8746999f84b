"""What a runtime may ask, and how it is refused."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripstop.wire.cni import VERSIONS, CniError, Code, breakdown, decode, refusal, version_of
from ripstop.wire.cni_result import Made, expected, render

CONFIG = {"cniVersion": "1.1.0", "name": "overlay", "type": "ripstop-cni"}
MADE = Made("rs0123456789", "02:01:23:45:67:89", "02:00:00:00:00:01", 1450, ("10.32.0.5/12",), "10.32.0.1", True)


def body(command: str = "ADD", /, *, arguments: str = "", ifname: str = "eth0", **config: Any) -> bytes:
    """Return what the plugin sends."""
    words = (command, "c1", "/run/netns/c1", ifname, arguments, json.dumps({**CONFIG, **config}))
    return "\0".join(words).encode()


def refused(request: bytes) -> Code:
    with pytest.raises(CniError) as caught:
        decode(request)
    return caught.value.code


@given(st.binary() | st.builds(lambda tail: b"ADD\0c1\0/n\0eth0\0\0" + tail, st.binary()))
def test_whatever_comes_is_read_or_refused(request: bytes) -> None:
    try:
        decode(request)
    except CniError as error:
        told = msgspec.json.decode(refusal(version_of(request), error))
        assert told["code"] == error.code and told["cniVersion"] in VERSIONS


def test_a_request_is_what_was_given() -> None:
    request = decode(body(mtu=1300, runtimeConfig={"mac": "02:AB:00:00:00:01"}))
    assert (request.command, request.container, request.netns, request.ifname) == ("ADD", "c1", "/run/netns/c1", "eth0")
    assert (request.config.mtu, request.mac, request.version) == (1300, "02:ab:00:00:00:01", "1.1.0")


def test_addresses_are_allocated_or_as_asked_for() -> None:
    assert decode(body()).addresses("10.32.0.0/12") == ("net:default",)
    assert decode(body(subnet="10.40.0.0/16")).addresses("10.32.0.0/12") == ("net:10.40.0.0/16",)
    asked = decode(body(runtimeConfig={"ips": ["10.40.0.7", "10.50.0.7/24"]}, subnet="10.40.0.0/16"))
    assert asked.addresses("10.32.0.0/12") == ("10.40.0.7/16", "10.50.0.7/24")


def test_arguments_count_where_nothing_else_does() -> None:
    request = decode(body(arguments="IgnoreUnknown=1;K8S_POD_NAME=web;IP=10.32.0.9/12;MAC=02:00:00:00:00:09"))
    assert (request.addresses(""), request.mac) == (("10.32.0.9/12",), "02:00:00:00:00:09")
    request = decode(body(arguments="MAC=02:00:00:00:00:09", runtimeConfig={"mac": "02:00:00:00:00:01"}))
    assert request.mac == "02:00:00:00:00:01"
    assert refused(body(arguments="nonsense")) is Code.ENVIRONMENT


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"ADD", Code.DECODE),
        (body(cniVersion="0.2.0"), Code.VERSION),
        (body("CHECK", cniVersion="0.3.1"), Code.VERSION),
        (body("GC", cniVersion="1.0.0"), Code.VERSION),
        (body("EXPLODE"), Code.ENVIRONMENT),
        (body(ifname="a/b"), Code.ENVIRONMENT),
        (body(name="../etc"), Code.CONFIG),
        (body(ipam={"type": "host-local"}), Code.FIELD),
        (body(mtu=12), Code.CONFIG),
        (body(runtimeConfig={"ips": ["fd00::1/64"]}), Code.CONFIG),
        (body(runtimeConfig={"bandwidth": {"ingressRate": 1000}}), Code.CONFIG),
        (body(padding="x" * (1 << 20)), Code.CONFIG),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_its_number(request_: bytes, code: Code) -> None:
    assert refused(request_) is code


def test_a_nest_of_objects_without_end_is_refused() -> None:
    assert refused(body().replace(b"{", b'{"a":' * 100_000, 1)) is Code.DECODE
    assert refused(body(padding=0).replace(b'"padding": 0', b'"padding": ' + b"[" * 5000 + b"]" * 5000)) is Code.DECODE


def test_gc_needs_a_list_and_takes_either_spelling() -> None:
    one = [{"containerID": "c1", "ifname": "eth0"}]
    for key in ("cni.dev/valid-attachments", "cni.dev/attachments"):
        some: dict[str, Any] = {key: one}
        none: dict[str, Any] = {key: None}
        assert decode(body("GC", **some)).valid() == {("c1", "eth0")}
        assert decode(body("GC", **none)).valid() == frozenset()
    with pytest.raises(CniError, match="valid-attachments"):
        decode(body("GC")).valid()


def test_what_the_runtime_says_of_dns_goes_first() -> None:
    dns = decode(
        body(dns={"nameservers": ["192.0.2.1"], "search": ["a"]}, runtimeConfig={"dns": {"searches": ["b"]}})
    ).dns
    assert (dns.nameservers, dns.search) == (["192.0.2.1"], ["b"])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_result_has_the_form_of_its_version_and_is_understood_again(version: str) -> None:
    result = json.loads(render(decode(body(cniVersion=version)), MADE))
    assert result["cniVersion"] == version
    assert ("version" in result["ips"][0]) == (version in ("0.3.1", "0.4.0"))
    assert ("mtu" in result["interfaces"][1]) == (version == "1.1.0")
    assert {"dst": "0.0.0.0/0", "gw": "10.32.0.1"} in result["routes"]
    again = decode(body(cniVersion=version, prevResult=result))
    assert (expected(again).mac, expected(again).addresses) == (MADE.mac, MADE.addresses)


def test_a_gateway_is_told_where_it_can_be_reached() -> None:
    made = replace(MADE, addresses=("10.32.0.5/12", "10.99.0.5/24"))
    ips = json.loads(render(decode(body()), made))["ips"]
    assert [ip.get("gateway") for ip in ips] == ["10.32.0.1", None]


def test_what_earlier_plugins_made_stays_in_the_result() -> None:
    before = {
        "interfaces": [{"name": "lo", "sandbox": "/run/netns/c1"}],
        "ips": [{"address": "127.0.0.1/8", "interface": 0}],
    }
    result = json.loads(render(decode(body(prevResult=before)), MADE))
    assert [interface["name"] for interface in result["interfaces"]] == ["lo", "rs0123456789", "eth0"]
    assert [ip["interface"] for ip in result["ips"]] == [0, 2]


def test_check_needs_a_result_with_the_interface() -> None:
    with pytest.raises(CniError, match="prevResult"):
        expected(decode(body()))
    wrong: tuple[Any, ...] = ([], 7)
    for interfaces in wrong:
        with pytest.raises(CniError, match="prevResult"):
            expected(decode(body(prevResult={"interfaces": interfaces})))


def pod(annotation: str, namespace: str = "vms", **config: Any) -> bytes:
    """Return what the plugin sends of a pod with this annotation."""
    annotations = {"ripstop/guard": annotation, "team": "red"}
    return body(
        arguments=f"IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME=web",
        runtimeConfig={"io.kubernetes.cri.pod-annotations": annotations}, **config,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "guarded"),
    [
        (body(), (True, ())),
        (body(guard=False), (False, ())),
        (body(runtimeConfig={"io.kubernetes.cri.pod-annotations": None}), (True, ())),
        (pod(""), (True, ())),
        (pod("on"), (True, ())),
        (pod("off", guardByAnnotation=["vms"]), (False, ())),
        (pod("off", guardByAnnotation=["*"]), (False, ())),
        (pod("mac,router", guardByAnnotation=["other", "vms"]), (True, ("mac", "router"))),
        (pod("on", guard=False), (True, ())),  # more than the network has may have anybody
        (pod("mac", guard=False), (True, ("mac",))),
    ],
)
def test_a_pod_may_choose_its_guard_where_its_namespace_may(request_: bytes, guarded: tuple[bool, Any]) -> None:
    request = decode(request_)
    assert (request.guard, request.guards) == guarded


@pytest.mark.parametrize(
    "request_",
    [
        pod("off"),
        pod("mac"),
        pod("off", guardByAnnotation=["other"]),
        pod("off", namespace="", guardByAnnotation=["vms"]),
        pod("OFF", guardByAnnotation=["vms"]),
        pod("off,", guardByAnnotation=["vms"]),
    ],
)
def test_and_is_refused_what_it_may_not_have(request_: bytes) -> None:
    assert refused(request_) is Code.CONFIG
    assert decode(request_.replace(b"ADD", b"DEL", 1)).container == "c1"


def test_the_version_of_what_cannot_be_read_is_ours() -> None:
    for config in (b"", b"nonsense", b'{"a":' * 100_000):
        assert version_of(b"ADD\0c1\0/n\0eth0\0\0" + config) == VERSIONS[-1]


def test_a_bug_is_told_in_the_version_of_the_question_and_asks_to_come_again() -> None:
    for config, version in ((b'{"cniVersion": "0.4.0"}', "0.4.0"), (b"{", VERSIONS[-1])):
        told = msgspec.json.decode(breakdown(b"\0".join((b"DEL", b"c1", b"", b"eth0", b"", config))))
        assert (told["cniVersion"], told["code"]) == (version, Code.LATER)
