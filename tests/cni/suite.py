"""Does a network plugin do what the specification says?  For any plugin that makes one interface in a namespace.

By itself (as root; nothing but Python and iproute2 is needed):

    python3 tests/cni/suite.py --plugin /usr/lib/cni/bridge --config bridge.json [--netns HOST] [--only NAME]

The configuration is one plugin's, as a runtime hands it over; `cniVersion` is put in.  Everything is tried in network
namespaces made for it; with --netns the plugin runs in that one, as if it were the host.  Each trial says what it
expects, and from which part of the specification.

Source: Container Network Interface Specification 1.1.0, and 0.3.1, 0.4.0 and 1.0.0 for their results.
"""

import argparse
import concurrent.futures
import contextlib
import functools
import ipaddress
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]
TIME_LIMIT = 60.0  # seconds for one call
SETTLE = 10.0  # seconds until what was deleted is gone from the host
VERBS = {"CHECK": (0, 4, 0), "GC": (1, 1, 0), "STATUS": (1, 1, 0)}  # since when


class NotApplicableError(Exception):
    """The plugin does not claim to do this."""


@dataclass(frozen=True)
class Answer:
    """What one call came to."""

    code: int
    printed: str
    complaint: str  # on standard error

    @property
    def json(self) -> Json:
        """What was printed, which has to be one JSON object."""
        found = json.loads(self.printed)
        assert isinstance(found, dict), f"no JSON object: {self.printed!r}"
        return found

    def done(self) -> "Answer":
        """Return this answer if the call went well."""
        assert self.code == 0, f"exit code {self.code}: {self.printed} {self.complaint}"
        return self

    def refused(self, *codes: int) -> Json:
        """Return the error if it is one as the specification wants it, with one of `codes` if any are given."""
        assert self.code != 0, f"not refused: {self.printed}"
        error = self.json
        assert isinstance(error.get("code"), int) and error["code"] > 0, f"no error code: {error}"
        assert isinstance(error.get("msg"), str) and error["msg"], f"no message: {error}"
        assert not codes or error["code"] in codes, f"code {error['code']}, expected one of {codes}: {error['msg']}"
        return error


@dataclass
class Runtime:
    """A container runtime in small: calls the plugin, makes and removes namespaces."""

    plugin: Path
    config: Json
    netns: str = ""  # the plugin runs there; "": here
    environment: dict[str, str] = field(default_factory=dict)
    versions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Ask which versions there are."""
        self.versions = self.call("VERSION", {"cniVersion": "1.0.0"}).done().json["supportedVersions"]

    def call(self, command: str, config: Json | str, **variables: str) -> Answer:
        """Call the plugin; variables are those of the specification without CNI_."""
        into = ["nsenter", f"--net=/run/netns/{self.netns}", "--"] if self.netns else []
        environment = {"PATH": os.environ.get("PATH", os.defpath), "CNI_PATH": str(self.plugin.parent)}
        environment |= self.environment | {"CNI_COMMAND": command}
        environment |= {f"CNI_{name.upper()}": value for name, value in variables.items()}
        given = config if isinstance(config, str) else json.dumps(config)
        done = subprocess.run([*into, str(self.plugin)], input=given, env=environment, capture_output=True, text=True,
                              timeout=TIME_LIMIT, check=False)  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr)

    def of(self, version: str, **more: object) -> Json:
        """Return the configuration of a version."""
        return {**self.config, "cniVersion": version, **more}

    @property
    def newest(self) -> str:
        """The highest version that both of us know."""
        return max((version for version in self.versions if version in SHAPES), key=number)

    def needs(self, verb: str, version: str = "") -> None:
        """Go on only if a version has a verb."""
        if number(version or self.newest) < VERBS.get(verb, (0, 0, 0)):
            raise NotApplicableError(f"version {version or self.newest} has no {verb}")

    @contextlib.contextmanager
    def sandbox(self) -> Iterator["Sandbox"]:
        """Make an empty namespace for a container; remove it and all that the plugin has for it."""
        name = f"cni-{uuid.uuid4().hex[:10]}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        sandbox = Sandbox(self, name, f"c{uuid.uuid4().hex}")
        try:
            yield sandbox
        finally:
            sandbox.call("DEL", self.of(self.newest))
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def links(self) -> set[str]:
        """Return the devices of the host."""
        into = ["nsenter", f"--net=/run/netns/{self.netns}", "--"] if self.netns else []
        listed = subprocess.run([*into, "ip", "-json", "link"], capture_output=True, text=True, check=True).stdout
        return {link["ifname"] for link in json.loads(listed)}

    @contextlib.contextmanager
    def leaving_nothing(self) -> Iterator[None]:
        """Check that the host has the same devices after a block as before it."""
        before = self.links()
        yield
        settled(lambda: not self.links() - before, lambda: f"left on the host: {sorted(self.links() - before)}")


@dataclass
class Sandbox:
    """One container's namespace."""

    runtime: Runtime
    name: str
    container: str

    @property
    def path(self) -> str:
        """Where its namespace is."""
        return f"/run/netns/{self.name}"

    def call(self, command: str, config: Json | str, ifname: str = "eth0") -> Answer:
        """Call the plugin for it."""
        return self.runtime.call(command, config, containerid=self.container, netns=self.path, ifname=ifname)

    def add(self, version: str = "", ifname: str = "eth0", **more: object) -> Json:
        """Attach it, and return the result."""
        return self.call("ADD", self.runtime.of(version or self.runtime.newest, **more), ifname).done().json

    def run(self, *command: str) -> str:
        """Run a command in it."""
        done = subprocess.run(["nsenter", f"--net={self.path}", "--", *command], capture_output=True, text=True,
                              check=False)  # fmt: skip
        return done.stdout

    def link(self, ifname: str = "eth0") -> Json | None:
        """Return one of its interfaces as `ip` shows it."""
        listed = json.loads(self.run("ip", "-json", "address", "show"))
        return next((link for link in listed if link["ifname"] == ifname), None)

    def addresses(self, ifname: str = "eth0") -> set[str]:
        """Return the addresses of one of its interfaces, ADDRESS/LEN."""
        link = self.link(ifname) or {"addr_info": []}
        return {f"{found['local']}/{found['prefixlen']}" for found in link["addr_info"]}

    def is_empty(self) -> bool:
        """Whether there is nothing in it but the loopback."""
        return set(re.findall(r"^\d+: ([^:@]+)", self.run("ip", "-o", "link"), re.MULTILINE)) == {"lo"}


def number(version: str) -> tuple[int, ...]:
    """Return a version as numbers."""
    return tuple(map(int, version.split(".")))


def settled(seen: Callable[[], bool], complaint: Callable[[], str]) -> None:
    """Wait for what a plugin may do after its answer."""
    deadline = time.monotonic() + SETTLE
    while not seen():
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.02)


def _old_shape(result: Json) -> None:
    for ip in result["ips"]:
        assert ip["version"] == str(ipaddress.ip_interface(ip["address"]).version), ip
    assert all("mtu" not in interface for interface in result.get("interfaces", [])), "mtu came with 1.1.0"


def _modern_shape(result: Json) -> None:
    assert all("version" not in ip for ip in result["ips"]), "version in ips went with 1.0.0"


SHAPES: dict[str, Callable[[Json], None]] = {
    "0.3.1": _old_shape, "0.4.0": _old_shape, "1.0.0": _modern_shape, "1.1.0": _modern_shape,
}  # fmt: skip


def check_result(result: Json, version: str, sandbox: Sandbox, ifname: str = "eth0") -> None:
    """Check a result against the form of its version, and against what is really there."""
    assert result["cniVersion"] == version
    SHAPES[version](result)
    inside = [(n, found) for n, found in enumerate(result["interfaces"]) if found.get("sandbox")]
    assert [found["name"] for _, found in inside] == [ifname], result["interfaces"]
    position, interface = inside[0]
    assert interface["sandbox"] == sandbox.path
    link = sandbox.link(ifname)
    assert link is not None, f"no {ifname} in the container"
    assert "UP" in link["flags"], link["flags"]
    assert interface["mac"] == link["address"], (interface, link["address"])
    if "mtu" in interface:
        assert interface["mtu"] == link["mtu"]
    assert result["ips"], "no addresses"
    for ip in result["ips"]:
        assert ip["interface"] == position, "an address is of the interface in the container"
        assert ip["address"] in sandbox.addresses(ifname), (ip, sandbox.addresses(ifname))
        if "gateway" in ip:
            assert ipaddress.ip_address(ip["gateway"]) in ipaddress.ip_interface(ip["address"]).network
    for route in result.get("routes", []):
        shown = sandbox.run("ip", "route")
        wanted = "default" if route["dst"] == "0.0.0.0/0" else route["dst"]
        assert wanted in shown, f"route {route} is not there:\n{shown}"
    for interface in result["interfaces"]:
        if not interface.get("sandbox"):
            assert interface["name"] in sandbox.runtime.links(), f"{interface['name']} is not on the host"


# Trials, each by itself; VERSIONED ones are tried in every version.


def version_says_what_it_speaks(runtime: Runtime) -> None:
    """VERSION: cniVersion and supportedVersions (section 2)."""
    told = runtime.call("VERSION", {"cniVersion": "1.0.0"}).done().json
    assert isinstance(told["cniVersion"], str)
    assert told["supportedVersions"] and all(re.fullmatch(r"\d+\.\d+\.\d+", v) for v in told["supportedVersions"])


def add_check_del(runtime: Runtime, version: str) -> None:
    """A whole life in the form of one version: ADD, CHECK with its result, DEL (sections 2 and 5)."""
    with runtime.leaving_nothing(), runtime.sandbox() as sandbox:
        result = sandbox.add(version)
        check_result(result, version, sandbox)
        if number(version) >= VERBS["CHECK"]:
            sandbox.call("CHECK", runtime.of(version, prevResult=result)).done()
        sandbox.call("DEL", runtime.of(version, prevResult=result)).done()
        settled(sandbox.is_empty, lambda: sandbox.run("ip", "link"))


def success_prints_nothing_but_results(runtime: Runtime, version: str) -> None:
    """DEL and CHECK print nothing when they succeed (section 2)."""
    with runtime.sandbox() as sandbox:
        result = sandbox.add(version)
        if number(version) >= VERBS["CHECK"]:
            assert sandbox.call("CHECK", runtime.of(version, prevResult=result)).done().printed.strip() == ""
        assert sandbox.call("DEL", runtime.of(version, prevResult=result)).done().printed.strip() == ""


def del_is_idempotent(runtime: Runtime, version: str) -> None:
    """DEL of what is gone, never was, has no namespace or no prevResult, succeeds (section 2, DEL)."""
    with runtime.leaving_nothing(), runtime.sandbox() as sandbox:
        sandbox.call("DEL", runtime.of(version)).done()
        result = sandbox.add(version)
        sandbox.call("DEL", runtime.of(version)).done()
        sandbox.call("DEL", runtime.of(version, prevResult=result)).done()
        sandbox.add(version)
        runtime.call("DEL", runtime.of(version), containerid=sandbox.container, ifname="eth0", netns="").done()
    with runtime.leaving_nothing(), runtime.sandbox() as sandbox:
        sandbox.add(version)
        subprocess.run(["ip", "netns", "delete", sandbox.name], check=True)
        sandbox.call("DEL", runtime.of(version)).done()


def add_on_an_interface_that_exists_is_refused(runtime: Runtime) -> None:
    """ADD must fail if the container has such an interface, and leave it alone (section 2, ADD)."""
    with runtime.leaving_nothing(), runtime.sandbox() as sandbox:
        sandbox.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "theirs")
        before = sandbox.link()
        assert before is not None
        sandbox.call("ADD", runtime.of(runtime.newest)).refused()
        assert sandbox.link() == before
        sandbox.run("ip", "link", "delete", "eth0")
        result = sandbox.add()
        sandbox.call("ADD", runtime.of(runtime.newest)).refused()
        check_result(result, runtime.newest, sandbox)


def two_interfaces_of_one_container(runtime: Runtime) -> None:
    """The key of an attachment is network, container and interface: two interfaces live and go by themselves."""
    with runtime.leaving_nothing(), runtime.sandbox() as sandbox:
        routeless: Json = {"defaultRoute": False, "isDefaultGateway": False}
        first, second = sandbox.add(), sandbox.add(ifname="eth1", **routeless)
        assert first["ips"][0]["address"] != second["ips"][0]["address"]
        sandbox.call("DEL", runtime.of(runtime.newest, **routeless), "eth1").done()
        settled(lambda: sandbox.link("eth1") is None, lambda: "eth1 stays")
        check_result(first, runtime.newest, sandbox)


def check_sees_what_is_missing(runtime: Runtime) -> None:
    """CHECK fails when an address or the interface is gone (section 2, CHECK)."""
    runtime.needs("CHECK")
    with runtime.sandbox() as sandbox:
        result = sandbox.add()
        config = runtime.of(runtime.newest, prevResult=result)
        sandbox.run("ip", "address", "delete", result["ips"][0]["address"], "dev", "eth0")
        sandbox.call("CHECK", config).refused()
        sandbox.run("ip", "link", "delete", "eth0")
        sandbox.call("CHECK", config).refused()


def check_needs_a_result(runtime: Runtime) -> None:
    """CHECK without prevResult is an error (section 2, CHECK)."""
    runtime.needs("CHECK")
    with runtime.sandbox() as sandbox:
        sandbox.add()
        sandbox.call("CHECK", runtime.of(runtime.newest)).refused()


def concurrent_adds_have_addresses_of_their_own(runtime: Runtime) -> None:
    """Different containers may be added at once (section 3)."""
    with runtime.leaving_nothing(), contextlib.ExitStack() as stack:
        sandboxes = [stack.enter_context(runtime.sandbox()) for _ in range(10)]
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            results = list(pool.map(lambda sandbox: sandbox.add(), sandboxes))
        assert len({result["ips"][0]["address"] for result in results}) == len(sandboxes)
        for result, sandbox in zip(results, sandboxes, strict=True):
            check_result(result, runtime.newest, sandbox)


def add_and_del_of_one_container_at_once(runtime: Runtime) -> None:
    """A runtime may give up on ADD and call DEL while it runs; after a last DEL nothing is there."""
    with runtime.leaving_nothing(), runtime.sandbox() as sandbox:
        config = runtime.of(runtime.newest)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for answer in pool.map(lambda verb: sandbox.call(verb, config), ["ADD", "DEL", "ADD", "DEL", "ADD", "DEL"]):
                _ = answer.code == 0 or answer.refused()
        sandbox.call("DEL", config).done()
        settled(sandbox.is_empty, lambda: sandbox.run("ip", "link"))


def unknown_versions_are_refused(runtime: Runtime) -> None:
    """Error 1 for a version that the plugin does not speak (section 2, error codes)."""
    with runtime.leaving_nothing(), runtime.sandbox() as sandbox:
        for version in ("9.9.9", "0.0.1", "banana"):
            sandbox.call("ADD", runtime.of(version)).refused(*([1] if version != "banana" else []))
        assert sandbox.is_empty()


def errors_say_their_version(runtime: Runtime) -> None:
    """An error has the version of the configuration (section 5, Error)."""
    with runtime.sandbox() as sandbox:
        for version in (version for version in runtime.versions if version in SHAPES):
            config = runtime.of(version)
            error = runtime.call("ADD", config, containerid="", netns=sandbox.path, ifname="eth0").refused()
            assert error.get("cniVersion") == version, f"no cniVersion {version}: {error}"


def verbs_of_later_versions_are_refused(runtime: Runtime) -> None:
    """CHECK came with 0.4.0, GC and STATUS with 1.1.0: a configuration of an older version has none of them."""
    with runtime.sandbox() as sandbox:
        for verb, since in VERBS.items():
            for version in runtime.versions:
                if version in SHAPES and number(version) < since:
                    sandbox.call(verb, runtime.of(version, **{"cni.dev/valid-attachments": []})).refused()


def malformed_configurations_are_refused(runtime: Runtime) -> None:
    """Error 6, or at least an error in JSON, for what cannot be decoded; 7 for a bad name (error codes)."""
    with runtime.leaving_nothing(), runtime.sandbox() as sandbox:
        nest = '{"a":' * 100_000
        for config in ("", "{", "[]", "nonsense", '{"cniVersion": 4}', "\x00\x01", "null", nest):
            sandbox.call("ADD", config).refused()
        for name in ("", "../../etc", "a/b", "-x"):
            sandbox.call("ADD", runtime.of(runtime.newest, name=name)).refused()
        assert sandbox.is_empty()


def bad_environments_are_refused(runtime: Runtime) -> None:
    """Error 4 names the variable that is missing or makes no sense (section 2, error codes)."""
    config = runtime.of(runtime.newest)
    with runtime.leaving_nothing(), runtime.sandbox() as sandbox:
        good = {"containerid": sandbox.container, "netns": sandbox.path, "ifname": "eth0"}
        for name, value in [
            ("containerid", ""), ("containerid", "../../x"), ("containerid", "a/b"), ("containerid", "-x"),
            ("ifname", ""), ("ifname", ".."), ("ifname", "a/b"), ("ifname", "sixteen-letters-x"), ("ifname", "a b"),
            ("netns", ""),
        ]:  # fmt: skip
            error = runtime.call("ADD", config, **{**good, name: value}).refused(4)
            told = (error["msg"] + error.get("details", "")).lower()
            assert name.removesuffix("id") in told or "interface" in told or "container" in told, error
        assert sandbox.is_empty()


def wrong_namespaces_are_refused(runtime: Runtime) -> None:
    """A namespace that is not there, or none, or the host's own (section 2, ADD)."""
    config = runtime.of(runtime.newest)
    with runtime.leaving_nothing():
        for path in ("/run/netns/there-is-none", "/etc/hostname", "/proc/self/ns/mnt"):
            runtime.call("ADD", config, containerid="wrong", netns=path, ifname="eth0").refused()
            runtime.call("DEL", config, containerid="wrong", netns="", ifname="eth0").done()


def an_unknown_command_is_refused(runtime: Runtime) -> None:
    """Error 4 for a CNI_COMMAND that is none."""
    with runtime.sandbox() as sandbox:
        sandbox.call("EXPLODE", runtime.of(runtime.newest)).refused(4)
        sandbox.call("", runtime.of(runtime.newest)).refused(4)


def a_huge_configuration_does_no_harm(runtime: Runtime) -> None:
    """Megabytes on standard input: refused, or served as if the rest were not there."""
    with runtime.leaving_nothing(), runtime.sandbox() as sandbox:
        answer = sandbox.call("ADD", runtime.of(runtime.newest, padding="x" * (8 << 20)))
        _ = answer.code == 0 or answer.refused()


def gc_removes_what_is_not_listed(runtime: Runtime) -> None:
    """GC: attachments that are not listed go, others stay, in both spellings (section 2, GC)."""
    runtime.needs("GC")
    for key in ("cni.dev/valid-attachments", "cni.dev/attachments"):
        with runtime.leaving_nothing(), runtime.sandbox() as stays, runtime.sandbox() as goes:
            result, _ = stays.add(), goes.add()
            valid = [{"containerID": stays.container, "ifname": "eth0"}]
            runtime.call("GC", runtime.of(runtime.newest, **{key: valid})).done()
            settled(goes.is_empty, lambda: goes.run("ip", "link"))
            check_result(result, runtime.newest, stays)
            runtime.call("GC", runtime.of(runtime.newest, **{key: []})).done()
            settled(stays.is_empty, lambda: stays.run("ip", "link"))


def gc_is_about_one_network(runtime: Runtime) -> None:
    """GC of another network leaves ours alone, and so does one that lists nothing at all."""
    runtime.needs("GC")
    with runtime.sandbox() as sandbox:
        result = sandbox.add()
        other = {**runtime.of(runtime.newest), "name": "another-network", "cni.dev/valid-attachments": []}
        runtime.call("GC", other).done()
        check_result(result, runtime.newest, sandbox)


def status_says_that_it_works(runtime: Runtime) -> None:
    """STATUS: exit code 0 and nothing printed when ADD can be served (section 2, STATUS)."""
    runtime.needs("STATUS")
    assert runtime.call("STATUS", runtime.of(runtime.newest)).done().printed.strip() == ""


def the_capability_mac(runtime: Runtime) -> None:
    """`mac`: the interface has the address asked for (CNI conventions)."""
    needs_capability(runtime, "mac")
    with runtime.sandbox() as sandbox:
        result = sandbox.add(runtimeConfig={"mac": "02:42:ac:11:99:07"})
        check_result(result, runtime.newest, sandbox)
        assert (sandbox.link() or {})["address"] == "02:42:ac:11:99:07"
    with runtime.leaving_nothing(), runtime.sandbox() as sandbox:
        for mac in ("banana", "01:00:5e:00:00:01", "02:42"):
            sandbox.call("ADD", runtime.of(runtime.newest, runtimeConfig={"mac": mac})).refused()
        assert sandbox.is_empty()


def the_capability_ips(runtime: Runtime) -> None:
    """`ips`: the interface has the address asked for; one that is taken is refused (CNI conventions)."""
    needs_capability(runtime, "ips")
    with runtime.leaving_nothing(), runtime.sandbox() as first, runtime.sandbox() as second:
        free = first.add()["ips"][0]["address"]
        first.call("DEL", runtime.of(runtime.newest)).done()
        result = first.add(runtimeConfig={"ips": [free]})
        assert [ip["address"] for ip in result["ips"]] == [free]
        check_result(result, runtime.newest, first)
        second.call("ADD", runtime.of(runtime.newest, runtimeConfig={"ips": [free]})).refused()
        for address in ("banana", "300.1.1.1/24", "fd00::/129"):
            second.call("ADD", runtime.of(runtime.newest, runtimeConfig={"ips": [address]})).refused()
        assert second.is_empty()


def needs_capability(runtime: Runtime, name: str) -> None:
    """Go on only if the configuration declares a capability."""
    if not runtime.config.get("capabilities", {}).get(name):
        raise NotApplicableError(f"the configuration declares no capability {name}")


VERSIONED = (add_check_del, success_prints_nothing_but_results, del_is_idempotent)
SINGLE = (
    version_says_what_it_speaks, add_on_an_interface_that_exists_is_refused, two_interfaces_of_one_container,
    check_sees_what_is_missing, check_needs_a_result, concurrent_adds_have_addresses_of_their_own,
    add_and_del_of_one_container_at_once, unknown_versions_are_refused, errors_say_their_version,
    verbs_of_later_versions_are_refused,
    malformed_configurations_are_refused, bad_environments_are_refused, wrong_namespaces_are_refused,
    an_unknown_command_is_refused, a_huge_configuration_does_no_harm, gc_removes_what_is_not_listed,
    gc_is_about_one_network, status_says_that_it_works, the_capability_mac, the_capability_ips,
)  # fmt: skip


def trials(versions: list[str]) -> dict[str, Callable[[Runtime], None]]:
    """Return every trial by its name, those of versions once for each that is spoken."""
    found: dict[str, Callable[[Runtime], None]] = {trial.__name__: trial for trial in SINGLE}
    for trial in VERSIONED:
        for version in versions:
            if version in SHAPES:
                found[f"{trial.__name__}[{version}]"] = functools.partial(trial, version=version)
    return found


def main() -> int:
    """Try everything; exit code 1 if something is not as it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plugin", type=Path, required=True, help="the executable")
    parser.add_argument("--config", type=Path, required=True, help="JSON file: the configuration of that plugin")
    parser.add_argument("--netns", default="", help="namespace that plays the host (default: this one)")
    parser.add_argument("--only", default="", metavar="TEXT", help="trials whose name has this in it")
    args = parser.parse_args()
    runtime = Runtime(args.plugin, json.loads(args.config.read_text()), args.netns, dict(os.environ))
    with runtime.sandbox() as sandbox:
        sandbox.add()  # what a plugin makes once and for all is no leftover
    failed = 0
    for name, trial in trials(runtime.versions).items():
        if args.only not in name:
            continue
        try:
            trial(runtime)
        except NotApplicableError as reason:
            print(f"-     {name}: {reason}")
        except (AssertionError, KeyError, ValueError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"FAIL  {name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
        else:
            print(f"ok    {name}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
