# SPDX-License-Identifier: Apache-2.0
"""The zip is reproducible, complete, and accepted by Blender's own tool."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import build_addon
from effigy import __version__

from .blender.environments import NEWEST_3_11


@pytest.fixture(scope="module")
def archive(addon_zip):
    with zipfile.ZipFile(addon_zip) as archive:
        yield archive


def test_the_same_sources_give_the_same_bytes(addon_zip, tmp_path):
    assert build_addon.build(None, tmp_path).read_bytes() == addon_zip.read_bytes()


def test_blender_accepts_it(addon_zip):
    assert NEWEST_3_11 is not None, "run make test: it sets up Blender"
    build_addon.validate(addon_zip, NEWEST_3_11.python)


def test_a_zip_that_blender_refuses_is_an_error(tmp_path):
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("blender_manifest.toml", 'schema_version = "1.0.0"\n')
    with pytest.raises(SystemExit, match="Blender refuses bad.zip"):
        build_addon.validate(bad, NEWEST_3_11.python)


def test_it_bundles_a_wheel_for_every_python_and_platform(archive):
    manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    wheels = [name.removeprefix("./wheels/") for name in manifest["wheels"]]
    ours = [name for name in wheels if name.startswith("effigy_client-")]
    assert len(ours) == 1
    assert sorted(set(wheels) - set(ours)) == sorted(wheel.file for wheel in build_addon.read_lock())
    assert manifest["platforms"] == ["linux-x64", "windows-x64", "macos-arm64"]
    for python in ("cp311", "cp313", "cp314"):
        for system in ("manylinux", "win_amd64", "macosx"):
            assert [w for w in wheels if w.startswith("msgpack") and python in w and system in w], (python, system)
    for python in ("cp311", "abi3"):
        for system in ("manylinux", "win_amd64", "macosx"):
            assert [w for w in wheels if w.startswith("pyzmq") and python in w and system in w], (python, system)


def test_versions_agree(archive):
    manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert manifest["version"] == build_addon.read_version() == __version__


def client_wheel(archive):
    """Opens our own wheel."""
    (name,) = [name for name in archive.namelist() if name.startswith("wheels/effigy_client-")]
    return zipfile.ZipFile(io.BytesIO(archive.read(name)))


def test_it_holds_the_protocol_and_nothing_that_was_compiled_or_locked(archive):
    names = [*archive.namelist(), *client_wheel(archive).namelist()]
    assert "effigy_protocol/codec.py" in names
    assert "effigy_client/link.py" in names
    assert "LICENSE" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".lock.json"))]


def test_the_client_s_wheel_is_one_that_pip_installs(archive, tmp_path):
    (name,) = [name for name in archive.namelist() if name.startswith("wheels/effigy_client-")]
    wheel = tmp_path / Path(name).name
    wheel.write_bytes(archive.read(name))
    command = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--target", tmp_path / "site", wheel]
    subprocess.run(command, check=True)
    version = "import effigy_client; print(effigy_client.__version__, effigy_client.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    said = subprocess.run([sys.executable, "-c", version], env=environment, capture_output=True, text=True, check=True)
    installed = tmp_path / "site" / "effigy_client" / "__init__.py"
    assert said.stdout.split() == [wheel.name.split("-")[1], str(installed)]


def test_another_content_is_another_version_of_the_client_s_wheel(monkeypatch, tmp_path):
    name = build_addon.pack_client("0.1.0", tmp_path).name
    changed = tmp_path / "effigy_client"
    shutil.copytree(build_addon.PURE[0], changed)
    (changed / "more.py").touch()
    monkeypatch.setattr(build_addon, "PURE", (changed, *build_addon.PURE[1:]))
    assert build_addon.pack_client("0.1.0", tmp_path).name != name


def test_it_stays_small(addon_zip):
    assert addon_zip.stat().st_size < 9 * 2**20


def test_a_wheel_that_is_not_the_locked_one_is_refused(monkeypatch, tmp_path):
    (wheel, *_) = build_addon.read_lock()
    monkeypatch.setattr(build_addon, "CACHE", tmp_path)
    (tmp_path / wheel.file).write_bytes(b"not the wheel")
    with pytest.raises(SystemExit, match="not the file that was locked"):
        build_addon.fetch([wheel])
    assert not (tmp_path / wheel.file).exists()
