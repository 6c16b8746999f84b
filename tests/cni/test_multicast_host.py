"""What was joined for the host itself, where its address comes with a container."""

from ripstop.api.types import GroupRequest
from ripstop.lab.lab import Lab
from tests.cni.conftest import runtime_of

GROUP = "239.9.9.11"


def test_what_was_joined_for_the_host_is_joined_when_a_container_has_it_exposed(lab: Lab) -> None:
    host = lab.host("h1")
    host.ripstop("expose")
    host.client.call("join", GroupRequest(GROUP, container="host"))
    host.ripstop("hide")
    assert not [row for row in host.client.call("multicast").members if row.group == GROUP]
    with runtime_of(host).sandbox() as sandbox:
        sandbox.add()
        assert host.client.call("status").exposed
        (member,) = (row for row in host.client.call("multicast").members if row.group == GROUP)
        assert (member.container, member.why) == ("host", "static")
    host.ripstop("multicast", "leave", GROUP, "--id", "host")
