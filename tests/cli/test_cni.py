"""`ripstop cni install` and `remove`: files that are whole, in order, and gone again."""

import json
import subprocess
from pathlib import Path

import pytest

from ripstop.cli.main import main
from ripstop.core.errors import NotReadyError
from tests.cli.fake_daemon import FakeDaemon


def install(run_dir: Path, root: Path, *words: str) -> int:
    places = (f"--bin-dir={root}/bin", f"--config-dir={root}/net.d")
    return main(["--run-dir", str(run_dir), "cni", "install", *places, *words])


def plugins(root: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((root / "net.d/10-ripstop.conflist").read_text())["plugins"]
    return found


def test_nothing_is_written_before_the_daemon_is_ready(
    fake: FakeDaemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(tmp_path / "none", tmp_path, "--wait=0") == 3
    assert "no daemon" in capsys.readouterr().err
    fake.answers["prime"] = NotReadyError("two of three hosts are missing")
    assert install(fake.run_dir, tmp_path, "--wait=0") == 1
    assert "two of three hosts are missing" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_plugin_and_network_are_written_once_and_taken_away(
    fake: FakeDaemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.answers["prime"] = None
    flags = ("--subnet=10.40.0.0/16", "--mtu=1400", "--no-default-route", "--guard-by-annotation=vms")
    assert install(fake.run_dir, tmp_path, *flags) == 0
    plugin = tmp_path / "bin/ripstop-cni"
    assert capsys.readouterr().out.splitlines() == [f"wrote {plugin}", f"wrote {tmp_path}/net.d/10-ripstop.conflist"]
    (ours,) = plugins(tmp_path)
    assert (ours["type"], ours["subnet"], ours["mtu"], ours["defaultRoute"], ours["guardByAnnotation"]) == (
        "ripstop-cni", "10.40.0.0/16", 1400, False, ["vms"],
    )  # fmt: skip
    spoken = subprocess.run([plugin], input="", env={"CNI_COMMAND": "VERSION"}, capture_output=True, check=True).stdout
    assert "1.1.0" in json.loads(spoken)["supportedVersions"]
    assert f'RUN_DIR = "{fake.run_dir}"'.encode() in plugin.read_bytes()
    assert f"\0{fake.run_dir}\0".encode() in plugin.read_bytes()
    written = plugin.stat().st_mtime_ns
    assert install(fake.run_dir, tmp_path, *flags, "--json") == 0
    assert [one["done"] for one in json.loads(capsys.readouterr().out)] == ["kept", "kept"]
    assert plugin.stat().st_mtime_ns == written
    for removed in (2, 0):
        assert main(["cni", "remove", f"--bin-dir={tmp_path}/bin", f"--config-dir={tmp_path}/net.d"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == removed
    assert list((tmp_path / "bin").iterdir()) == list((tmp_path / "net.d").iterdir()) == []


def test_plugins_that_follow_must_be_there(
    fake: FakeDaemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(fake.run_dir, tmp_path, "--chain=tuning") == 1
    assert "tuning is not in" in capsys.readouterr().err
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/portmap").write_text("")
    fake.answers["prime"] = None
    assert install(fake.run_dir, tmp_path) == 0
    assert [plugin["type"] for plugin in plugins(tmp_path)] == ["ripstop-cni", "portmap"]
    assert install(fake.run_dir, tmp_path, "--name=../x") == 2
