"""Our plugin does all that the specification says; and the suite tells the truth about another one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cni import suite
from tests.cni.conftest import PLUGIN
from tests.cni.suite import NotApplicableError, Runtime, trials

VERSIONS = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]
OTHERS = ["0.3.1", "0.4.0", "1.0.0"]  # what Debian's bridge speaks of these
OTHERS_LACK = {"gc_removes_what_is_not_listed", "gc_is_about_one_network", "status_says_that_it_works"}
OTHERS_FAIL = {
    "errors_say_their_version",  # there is none in them
    "an_unknown_command_is_refused",  # without a command it says what it is, and succeeds
    "the_capability_ips",  # an ADD that was refused leaves its interface in the container
}


@pytest.mark.parametrize("name", trials(VERSIONS))
def test_ours(runtime: Runtime, name: str) -> None:
    assert runtime.versions == VERSIONS
    trials(runtime.versions)[name](runtime)


@pytest.mark.parametrize("name", trials(OTHERS))
def test_the_truth_is_told_of_another(bridge: Runtime, name: str) -> None:
    trial = trials(bridge.versions)[name]
    if name in OTHERS_LACK:
        with pytest.raises(NotApplicableError):
            trial(bridge)
    elif name in OTHERS_FAIL:
        with pytest.raises(AssertionError):
            trial(bridge)
    else:
        trial(bridge)


def test_the_suite_runs_by_itself(runtime: Runtime, tmp_path: Path) -> None:
    config = tmp_path / "ours.json"
    config.write_text('{"name": "overlay", "type": "ripstop-cni"}')
    command = [sys.executable, "-I", suite.__file__, "--plugin", str(PLUGIN), "--config", str(config), "--netns",
               runtime.netns, "--only", "capability"]  # fmt: skip
    done = subprocess.run(command, env=runtime.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "-     the_capability_mac: the configuration declares no capability mac" in done.stdout
