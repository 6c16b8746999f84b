"""The manifest is the chart with its defaults, Kubernetes' own tools take it, and it asks for what is needed alone."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ripstop import __version__
from ripstop.cli.grammar import build
from tests.kubernetes.apiserver import ApiServer

ROOT = Path(__file__).parents[2]
HERE = ROOT / "deploy/kubernetes"
TOOLS = ROOT / "build/tools"
Object = dict[str, Any]


def tool(name: str, *words: str) -> str:
    program = TOOLS / name
    assert program.exists(), f"{program} is missing; `make kube-tools` fetches it"
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(*words: str) -> list[Object]:
    text = tool("helm", "template", "ripstop", str(HERE / "chart"), "--namespace", "kube-system", *words)
    return list(yaml.safe_load_all(text))


def written(name: str = "ripstop.yaml") -> list[Object]:
    return list(yaml.safe_load_all((HERE / name).read_text()))


def daemon_set(objects: list[Object]) -> Object:
    (found,) = [one for one in objects if one["kind"] == "DaemonSet"]
    return found


def containers(objects: list[Object]) -> dict[str, Object]:
    return {one["name"]: one for one in daemon_set(objects)["spec"]["template"]["spec"]["containers"]}


def test_the_manifests_are_the_chart_with_its_defaults() -> None:
    assert written() == rendered(), "run `make manifest`"
    assert written("uninstall.yaml") == rendered("--set", "uninstall=true"), "run `make manifest`"


def test_the_chart_is_of_this_version_and_well_formed() -> None:
    chart = yaml.safe_load((HERE / "chart/Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__
    tool("helm", "lint", "--strict", str(HERE / "chart"))
    for name in ("ripstop.yaml", "uninstall.yaml"):
        for container in containers(written(name)).values():
            assert container["image"] == f"localhost/ripstop:{__version__}"


def test_what_is_chosen_reaches_the_daemon() -> None:
    command = containers(rendered("--set", "range=10.64.0.0/16,flags={--mtu=1400}"))["daemon"]["command"]
    assert "--range=10.64.0.0/16" in command
    assert command[-1] == "--mtu=1400"
    flags = "cni.flags={--guard-by-annotation=vms,--guard-by-annotation=*}"
    script = containers(rendered("--set", flags))["cni"]["command"][2]
    assert "'--guard-by-annotation=vms' '--guard-by-annotation=*' &&" in script


CHOSEN = """
image: {repository: registry.example/r, tag: "9", pullPolicy: Always}
imagePullSecrets: [{name: registry}]
priorityClassName: high
nodeSelector: {zone: a}
affinity: {nodeAffinity: {}}
tolerations: [{key: dedicated, operator: Exists}]
seLinuxOptions: {type: spc_t}
cni: {binaries: /var/lib/cni/bin, configuration: /var/lib/cni/net.d}
resources: {daemon: {limits: {memory: 1Gi}}}
server: https://192.0.2.1:6443
healthPort: 16785
podAnnotations: {a: b}
podLabels: {c: d}
"""


def test_what_is_chosen_is_in_what_is_installed_and_in_what_takes_it_away(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(CHOSEN)
    chosen = yaml.safe_load(CHOSEN)
    installed = rendered("-f", str(tmp_path / "values.yaml"))
    for objects in (installed, rendered("-f", str(tmp_path / "values.yaml"), "--set", "uninstall=true")):
        pod = daemon_set(objects)["spec"]["template"]["spec"]
        for name in ("imagePullSecrets", "priorityClassName", "affinity", "tolerations"):
            assert pod[name] == chosen[name]
        assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "zone": "a"}
        assert {"/var/lib/cni/bin", "/var/lib/cni/net.d"} <= {
            one.get("hostPath", {}).get("path") for one in pod["volumes"]
        }
        for container in pod["containers"]:
            assert (container["image"], container["imagePullPolicy"]) == ("registry.example/r:9", "Always")
            assert container["securityContext"]["seLinuxOptions"] == {"type": "spc_t"}
    meta = daemon_set(installed)["spec"]["template"]["metadata"]
    assert meta["annotations"] == {"a": "b"} and meta["labels"] == {"app.kubernetes.io/name": "ripstop", "c": "d"}
    made = containers(installed)
    assert made["daemon"]["resources"]["limits"] == {"memory": "1Gi"}
    for name in ("daemon", "agent"):
        command = made[name]["command"]
        assert "--server=https://192.0.2.1:6443" in command[: (*command, "--").index("--")]
    assert "--health=127.0.0.1:16785" in made["agent"]["command"]
    assert {made["agent"][probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} == {16785}


def test_no_profile_of_apparmor_that_containers_get_is_in_its_way() -> None:
    """They let nobody write below /sys and /proc/sys: docker-default, cri-containerd.apparmor.d, crio-default."""
    for name in ("ripstop.yaml", "uninstall.yaml"):
        for container in containers(written(name)).values():
            for mount in container["volumeMounts"]:
                assert not mount["mountPath"].startswith(("/sys", "/proc")), (name, mount)


@pytest.mark.parametrize("name", ["ripstop.yaml", "uninstall.yaml"])
def test_kubectl_takes_it(api: ApiServer, tmp_path: Path, name: str) -> None:
    port, api.token = api.listen(), ""  # kubectl sends none in clear
    config = tmp_path / "config"
    config.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "test", "user": {}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            }
        )
    )
    said = tool("kubectl", f"--kubeconfig={config}", f"--cache-dir={tmp_path}", "apply", "--dry-run=client",
                "--validate=false", "-f", str(HERE / name))  # fmt: skip
    assert said.count("created (dry run)") == len(written(name))


@pytest.mark.parametrize("name", ["ripstop.yaml", "uninstall.yaml"])
def test_every_field_of_the_daemon_set_is_one_that_kubernetes_knows(tmp_path: Path, name: str) -> None:
    """`kubectl set --local` reads into Kubernetes' own types, and writes what it has understood."""
    (tmp_path / "set.json").write_text(json.dumps(daemon_set(written(name))))
    first = next(iter(containers(written(name))))
    understood = json.loads(
        tool("kubectl", "set", "image", "--local", "-o", "json", "-f", str(tmp_path / "set.json"), f"{first}=another")
    )
    wanted = daemon_set(written(name))
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "another"
    assert missing(wanted, understood) == []


def missing(wanted: object, found: object, at: str = "") -> list[str]:
    """Return what is in `wanted` and not in `found`."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            one for key, value in wanted.items()
            for one in (missing(value, found[key], f"{at}.{key}") if key in found else [f"{at}.{key}"])
        ]  # fmt: skip
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [
            one for at_, pair in enumerate(zip(wanted, found, strict=True)) for one in missing(*pair, f"{at}[{at_}]")
        ]
    return [] if wanted == found else [f"{at}: {wanted} is {found}"]


def test_it_may_do_what_it_does_and_no_more() -> None:
    pod = daemon_set(written())["spec"]["template"]["spec"]
    assert pod["hostNetwork"] is True
    assert not {"hostPID", "hostIPC"} & pod.keys()
    may = {"daemon": ["NET_BIND_SERVICE", "NET_ADMIN", "NET_RAW", "SYS_ADMIN"]}
    for name, container in containers(written()).items():
        context = container["securityContext"]
        assert context["capabilities"]["drop"] == ["ALL"], name
        assert context["capabilities"].get("add", []) == may.get(name, [])
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert "privileged" not in context
    allowed = {
        (resource, verb)
        for one in written()
        if one["kind"] in ("ClusterRole", "Role")
        for rule in one["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert allowed == {
        ("nodes", "get"), ("nodes", "list"), ("nodes", "watch"), ("nodes/status", "patch"), ("configmaps", "get"),
        *(("leases", verb) for verb in ("get", "list", "create", "patch", "delete")),
    }  # fmt: skip


def test_its_commands_are_commands_of_ours() -> None:
    parser = build().parser
    for name in ("daemon", "agent"):
        command = containers(written())[name]["command"]
        assert command[0] == "ripstop"
        args = parser.parse_args(command[1:])
        assert args.kubernetes_command == name
    flags = parser.parse_args(containers(written())["daemon"]["command"][1:]).flags
    assert parser.parse_args(["daemon", *flags]).log_level == "info"
