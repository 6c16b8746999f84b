"""A pod has a name on all hosts, as long as it has its interface."""

import pytest

from ripstop.lab.host import Host
from tests.cni.suite import Runtime
from tests.e2e.polling import eventually

POD = "IgnoreUnknown=1;K8S_POD_NAMESPACE=prod;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=1"


def test_a_pod_is_known_by_its_name_and_namespace(runtime: Runtime, host: Host) -> None:
    with runtime.sandbox() as pod:
        variables = {"containerid": pod.container, "netns": pod.path, "ifname": "eth0", "args": POD}
        added = runtime.call("ADD", runtime.of(runtime.newest), **variables).done().json
        (name,) = host.client.call("names")
        assert (name.name, name.container) == ("web-0.prod", pod.container)
        assert added["ips"][0]["address"].partition("/")[0] == name.address
        runtime.call("DEL", runtime.of(runtime.newest), **variables).done()
        eventually(lambda: not host.client.call("names"))


@pytest.mark.parametrize(
    "args", ["", "K8S_POD_NAME=web-0", "K8S_POD_NAME=;K8S_POD_NAMESPACE=", "K8S_POD_NAME=-;K8S_POD_NAMESPACE=a"]
)
def test_what_is_no_name_keeps_nobody_from_the_network(runtime: Runtime, host: Host, args: str) -> None:
    with runtime.sandbox() as pod:
        variables = {"containerid": pod.container, "netns": pod.path, "ifname": "eth0", "args": args}
        runtime.call("ADD", runtime.of(runtime.newest), **variables).done()
        assert host.client.call("names") == []
